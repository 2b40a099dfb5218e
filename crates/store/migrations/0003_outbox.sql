-- The outbox is read lane by lane; what failed is listed newest first.

CREATE INDEX callbacks_of_lane ON callbacks (coalesce(conference, call, sid), seq)
    WHERE state = 'pending';
CREATE INDEX callbacks_of_state ON callbacks (account, state, seq);
