ALTER TABLE api_keys ADD COLUMN date_updated INTEGER NOT NULL DEFAULT 0;
UPDATE api_keys SET date_updated = date_created;
CREATE INDEX api_keys_of_account ON api_keys (account);
CREATE INDEX notifications_of_account ON notifications (account, seq);
CREATE INDEX notifications_of_call ON notifications (call, seq);
