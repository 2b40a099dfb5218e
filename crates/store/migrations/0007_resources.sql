-- What the API keeps as it was told. `list` is where it stands: account, kind and what it is a part of.
CREATE TABLE resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    list TEXT NOT NULL,
    sid TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL,
    UNIQUE (list, sid)
) STRICT;
CREATE INDEX resources_of_list ON resources (list, seq);
CREATE INDEX resources_of_parent ON resources (parent);
CREATE UNIQUE INDEX resources_known_by_name ON resources (kind, name)
    WHERE kind IN ('incoming-phone-number', 'domain');

-- What a call's receivers were told, and what it used, is asked for.
CREATE INDEX callbacks_of_call ON callbacks (call, seq);
CREATE INDEX calls_by_end ON calls (account, end_time);
