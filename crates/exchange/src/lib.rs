//! The core: calls, conferences, participants, and what every command does to them.
//!
//! Pure: commands and events come in with the time, effects go out in order. No clock, socket or
//! database is read here, and nothing is known of SIP, RTP or HTTP statuses.

mod command;

pub use command::*;
