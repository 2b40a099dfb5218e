-- What lists of calls and conferences are filtered by. Dates have none: a list is walked from its newest end,
-- and an index of dates would have all that is younger sorted first.
CREATE INDEX calls_by_callee ON calls (account, callee);
CREATE INDEX calls_by_caller ON calls (account, caller);
CREATE INDEX calls_by_parent ON calls (account, parent) WHERE parent IS NOT NULL;
CREATE INDEX calls_by_status ON calls (account, status);
CREATE INDEX conferences_by_name ON conferences (account, friendly_name);
CREATE INDEX conferences_by_status ON conferences (account, status);
