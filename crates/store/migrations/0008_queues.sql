CREATE TABLE queues (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    max_size INTEGER NOT NULL,
    date_created INTEGER NOT NULL,
    date_updated INTEGER NOT NULL
) STRICT;
CREATE INDEX queues_of_account ON queues (account, seq);

CREATE TABLE queue_members (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    call TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    date_enqueued INTEGER NOT NULL
) STRICT;
CREATE INDEX queue_members_of_queue ON queue_members (queue, seq);

-- A queue and how many wait in it since when.
CREATE VIEW queue_census AS
    SELECT queues.*,
        (SELECT count(*) FROM queue_members WHERE queue = queues.sid) AS current_size,
        (SELECT total(date_enqueued) FROM queue_members WHERE queue = queues.sid) AS enqueued
    FROM queues;

-- Who waits, with its place: lists are in descending order, and the first is to come first.
CREATE VIEW queue_line AS
    SELECT line.*, line.call AS sid, -line.seq AS place,
        (SELECT count(*) FROM queue_members AS before
            WHERE before.queue = line.queue AND before.seq <= line.seq) AS position
    FROM queue_members AS line;
