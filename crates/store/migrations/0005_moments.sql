-- The history of each conference, also of those that are over.

CREATE TABLE moments (
    seq INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    conference TEXT NOT NULL,
    date INTEGER NOT NULL,
    event TEXT NOT NULL,
    call TEXT,
    label TEXT,
    muted INTEGER,
    hold INTEGER,
    coaches TEXT,
    reason TEXT,
    callback TEXT
) STRICT;
CREATE INDEX moments_of_conference ON moments (conference, seq);
