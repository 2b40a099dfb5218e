CREATE TABLE recordings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    call TEXT NOT NULL,
    conference TEXT,
    channels INTEGER NOT NULL,
    source TEXT NOT NULL,
    track TEXT NOT NULL,
    status TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    duration_ms INTEGER,
    error_code INTEGER,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX recordings_of_account ON recordings (account, seq);
CREATE INDEX recordings_of_conference ON recordings (conference, seq);
CREATE INDEX recordings_of_call ON recordings (call, seq);
CREATE INDEX recordings_alive ON recordings (seq) WHERE state <> '';
