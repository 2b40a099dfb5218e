-- An account is its own owner unless it is a part of another.

ALTER TABLE accounts ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE accounts SET owner = sid;
ALTER TABLE accounts ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
CREATE INDEX accounts_of_owner ON accounts (owner);
