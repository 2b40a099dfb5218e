-- Lists are walked from their newest end, so that a filter by dates long ago would walk all that is younger. Of each 256
-- rows in a row these tables know the range of each date: what lies in no block near the dates is not walked. A block
-- may claim more than its rows hold, never less.
CREATE TABLE call_blocks (
    block INTEGER PRIMARY KEY,
    start_time_min INTEGER,
    start_time_max INTEGER,
    end_time_min INTEGER,
    end_time_max INTEGER
) STRICT;
INSERT INTO call_blocks
    SELECT seq / 256, min(start_time), max(start_time), min(end_time), max(end_time) FROM calls GROUP BY 1;

CREATE TRIGGER calls_inserted AFTER INSERT ON calls BEGIN
    INSERT INTO call_blocks
        VALUES (new.seq / 256, new.start_time, new.start_time, new.end_time, new.end_time)
        ON CONFLICT (block) DO UPDATE SET
            start_time_min = min(coalesce(start_time_min, new.start_time), coalesce(new.start_time, start_time_min)),
            start_time_max = max(coalesce(start_time_max, new.start_time), coalesce(new.start_time, start_time_max)),
            end_time_min = min(coalesce(end_time_min, new.end_time), coalesce(new.end_time, end_time_min)),
            end_time_max = max(coalesce(end_time_max, new.end_time), coalesce(new.end_time, end_time_max));
END;
CREATE TRIGGER calls_updated AFTER UPDATE OF start_time, end_time ON calls
    WHEN new.start_time IS NOT old.start_time OR new.end_time IS NOT old.end_time BEGIN
    UPDATE call_blocks SET
        start_time_min = min(coalesce(start_time_min, new.start_time), coalesce(new.start_time, start_time_min)),
        start_time_max = max(coalesce(start_time_max, new.start_time), coalesce(new.start_time, start_time_max)),
        end_time_min = min(coalesce(end_time_min, new.end_time), coalesce(new.end_time, end_time_min)),
        end_time_max = max(coalesce(end_time_max, new.end_time), coalesce(new.end_time, end_time_max))
        WHERE block = new.seq / 256;
END;
CREATE TRIGGER calls_deleted AFTER DELETE ON calls BEGIN
    DELETE FROM call_blocks WHERE block < (SELECT min(seq) FROM calls) / 256;
END;

CREATE TABLE conference_blocks (
    block INTEGER PRIMARY KEY,
    date_created_min INTEGER NOT NULL,
    date_created_max INTEGER NOT NULL,
    date_updated_min INTEGER NOT NULL,
    date_updated_max INTEGER NOT NULL
) STRICT;
INSERT INTO conference_blocks
    SELECT seq / 256, min(date_created), max(date_created), min(date_updated), max(date_updated)
    FROM conferences GROUP BY 1;

CREATE TRIGGER conferences_inserted AFTER INSERT ON conferences BEGIN
    INSERT INTO conference_blocks
        VALUES (new.seq / 256, new.date_created, new.date_created, new.date_updated, new.date_updated)
        ON CONFLICT (block) DO UPDATE SET
            date_created_min = min(date_created_min, new.date_created),
            date_created_max = max(date_created_max, new.date_created),
            date_updated_min = min(date_updated_min, new.date_updated),
            date_updated_max = max(date_updated_max, new.date_updated);
END;
CREATE TRIGGER conferences_updated AFTER UPDATE OF date_created, date_updated ON conferences
    WHEN new.date_created <> old.date_created OR new.date_updated <> old.date_updated BEGIN
    UPDATE conference_blocks SET
        date_created_min = min(date_created_min, new.date_created),
        date_created_max = max(date_created_max, new.date_created),
        date_updated_min = min(date_updated_min, new.date_updated),
        date_updated_max = max(date_updated_max, new.date_updated)
        WHERE block = new.seq / 256;
END;
CREATE TRIGGER conferences_deleted AFTER DELETE ON conferences BEGIN
    DELETE FROM conference_blocks WHERE block < (SELECT min(seq) FROM conferences) / 256;
END;

-- Two words together, each of which may be that of most rows.
CREATE INDEX calls_by_pair ON calls (account, caller, callee);
CREATE INDEX calls_by_callee_and_status ON calls (account, callee, status);
CREATE INDEX calls_by_caller_and_status ON calls (account, caller, status);
CREATE INDEX conferences_by_name_and_status ON conferences (account, friendly_name, status);
-- Who is there, of all who ever were, and what a start looks for.
CREATE INDEX participants_present ON participants (conference, seq) WHERE state <> '';
CREATE INDEX calls_alive ON calls (seq) WHERE state <> '';
CREATE INDEX conferences_alive ON conferences (seq) WHERE state <> '';
