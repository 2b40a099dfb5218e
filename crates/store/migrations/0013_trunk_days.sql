-- How many calls a trunk has carried on the day of the last one.
CREATE TABLE trunk_days (
    trunk TEXT PRIMARY KEY,
    day INTEGER NOT NULL,
    calls INTEGER NOT NULL
) STRICT;
