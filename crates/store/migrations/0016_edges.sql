-- What a moment of a participant's gain or sidebars has set: hundredths of a decibel; both lists, each of CallSids or null.
ALTER TABLE moments ADD COLUMN gain INTEGER;
ALTER TABLE moments ADD COLUMN sidebar TEXT;
