//! TwiML: text to typed verbs, and which verb comes next.
