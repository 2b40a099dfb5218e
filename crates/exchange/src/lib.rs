//! The core: calls, conferences, participants.
