//! The core: calls, conferences, participants, and what every command does to them.
//!
//! Pure: commands and events come in with the time, effects go out in order. No clock, socket or
//! database is read here, and nothing is known of SIP, RTP or HTTP statuses.

mod audibility;
mod bridge;
mod call;
mod callbacks;
mod callers;
mod cleaning;
mod command;
mod conference;
mod context;
mod dial;
mod edges;
mod effect;
mod ends;
mod enqueue;
mod exchange;
mod hearing;
mod joining;
mod limits;
mod machine;
mod outbound;
mod outside;
mod participants;
mod program;
mod queues;
mod record;
mod recording;
mod recover;
mod tracks;

pub use audibility::{Gathering, Hearing, Silence};
pub use cleaning::{Cleaning, CleaningChanges};
pub use command::*;
pub use conference::{ANNOUNCEMENTS_MAX, NAME_LENGTH_MAX, PARTICIPANTS_MAX};
pub use edges::{EdgeChanges, Edges, Gain};
pub use effect::*;
pub use exchange::Exchange;
pub use limits::{Limits, QUEUE_TIME_MAX};
pub use machine::MachineDetection;
pub use outside::{Outside, TrunkRules};
pub use participants::DEFAULT_MUSIC_URL;
pub use program::REDIRECTS_MAX;
pub use queues::{QUEUE_NAME_MAX, QUEUE_SIZE, QUEUE_SIZE_MAX, QUEUES_MAX};
pub use recording::{
    LENGTH_MIN, PauseBehavior, RECORDINGS_MAX, Recorded, RecordingCallback, RecordingChange,
    RecordingEnd, RecordingKey, RecordingOptions,
};
pub use recover::{Alive, Unreadable};
pub use tracks::TRACKS_MAX;
