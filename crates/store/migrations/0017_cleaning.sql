-- Whether a participant is levelled, or freed of noise, since a moment that has set it.
ALTER TABLE moments ADD COLUMN levelling INTEGER;
ALTER TABLE moments ADD COLUMN noise_suppression INTEGER;
