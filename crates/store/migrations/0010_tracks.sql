ALTER TABLE recordings ADD COLUMN tracks TEXT;
ALTER TABLE calls ADD COLUMN answered_by TEXT;
