-- Dates are milliseconds since 1970-01-01 UTC. `state` is what a restart needs, as JSON.

CREATE TABLE accounts (
    sid TEXT PRIMARY KEY,
    friendly_name TEXT NOT NULL,
    auth_token TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    sid TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL,
    date_created INTEGER NOT NULL
) STRICT;

CREATE TABLE calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    parent TEXT,
    callee TEXT NOT NULL,
    caller TEXT NOT NULL,
    status TEXT NOT NULL,
    direction TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL,
    start_time INTEGER,
    end_time INTEGER,
    answered_at INTEGER,
    caller_name TEXT,
    queue_time_ms INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX calls_of_account ON calls (account, seq);

CREATE TABLE conferences (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    status TEXT NOT NULL,
    region TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL,
    end_reason TEXT,
    call_ending TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX conferences_of_account ON conferences (account, seq);

CREATE TABLE participants (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    call TEXT NOT NULL,
    conference TEXT NOT NULL,
    label TEXT,
    status TEXT NOT NULL,
    muted INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    coaching INTEGER NOT NULL,
    call_to_coach TEXT,
    start_on_enter INTEGER NOT NULL,
    end_on_exit INTEGER NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX participants_of_conference ON participants (conference, seq);
CREATE INDEX participants_of_call ON participants (call);

CREATE TABLE callbacks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    conference TEXT,
    call TEXT,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    params TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT
) STRICT;
CREATE INDEX callbacks_owed ON callbacks (seq) WHERE state = 'pending';

CREATE TABLE notifications (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    call TEXT,
    conference TEXT,
    level TEXT NOT NULL,
    code INTEGER NOT NULL,
    message TEXT NOT NULL,
    request_url TEXT,
    date INTEGER NOT NULL
) STRICT;

CREATE TABLE dialogs (
    call TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT;
