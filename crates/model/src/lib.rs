//! The nouns: SIDs, statuses, resource records, timestamps.
