//! Audio: RTP and RTCP, the jitter buffer, concealment, G.711, telephone events, players and the
//! mix of a room.
//!
//! Hides everything between a datagram and an ear. Pure: time comes in as [`std::time::Instant`],
//! datagrams come in and go out as octets. It knows nothing of SIP, of Twilio or of files, and it
//! runs at 8 kHz throughout, so that a room of telephones is never resampled.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod activity;
mod audio_level;
mod backlog;
mod bus;
mod codec;
mod comfort;
mod command;
mod conceal;
mod desk;
mod document;
mod dtmf;
mod edge;
mod encoding;
mod fade;
mod follows;
mod g711;
mod ids;
mod insert;
mod jitter;
mod latch;
mod leg;
mod legs;
mod level;
mod leveller;
mod limiter;
mod loudness;
mod machine;
mod mos;
mod narrowed;
mod offset;
mod pacer;
mod player;
mod protected;
mod rate;
mod recording;
mod resample;
mod room;
mod rooms;
mod round;
pub mod rtcp;
mod rtp;
mod shard;
mod sidebar;
mod source;
mod srtp;
mod suppressor;
mod talkers;
mod transmits;
mod turn;

#[cfg(test)]
mod tests;

pub use activity::{
    Activity, STARTS_AFTER as SPEECH_STARTS_AFTER, STOPS_AFTER as SPEECH_STOPS_AFTER,
};
pub use audio_level::AudioLevel;
pub use codec::{Codec, Decoder, Encoder, OPUS, OpusOptions, PAYLOAD_MAX, PCM_MAX};
pub use comfort::ComfortNoise;
pub use command::{
    Audible, Channel, Cleaning, Command, Event, Hears, JITTER_BOUNDS_MS, LOSS_BOUNDS, LegOptions,
    LegStats, LiveStats, MOS_BOUNDS, PlayTo, Route, ShardStats, Speaks, Transmit, Voiced,
};
pub use g711::{alaw_to_linear, linear_to_alaw, linear_to_ulaw, ulaw_to_linear};
pub use ids::{LegId, PlayerId, RoomId, TapId};
pub use insert::Process;
pub use jitter::{Bounds, DELAY_MAX};
pub use leg::SILENT_AFTER;
pub use level::{Dominant, SILENCE, Smoothed, level};
pub use leveller::Leveller;
pub use limiter::{LOOK_AHEAD, Limiter, look_ahead};
pub use machine::{Answerer, Detection};
pub use offset::Offset;
pub use player::Pcm;
pub use rate::{Rate, SAMPLES_MAX};
pub use recording::{Pause, Recorded, RecordingId, Sound, Source, TRACKS_MAX, Track};
pub use resample::{Resampler, delay as resampling_delay};
pub use rtp::{Header, OVERHEAD_MAX, PACKET_MAX};
pub use shard::{Departed, LEGS_MAX, Part, Shard};
pub use srtp::{KEY_MAX, MasterKey, Protection, SALT_MAX, Srtp, Suite};
pub use suppressor::{Suppressor, delay as suppression_delay};
pub use turn::{SLOT, SLOTS};

use std::time::Duration;

/// Samples in a second, of every signal in this crate.
pub const RATE: u32 = 8_000;

/// Samples in a frame: 20 ms of mono at 8 kHz.
pub const SAMPLES: usize = 160;

/// The period of [`Shard::handle_tick`].
pub const TICK: Duration = Duration::from_millis(20);

/// Linear PCM, full scale ±32 767, of one tick.
pub type Frame = [i16; SAMPLES];

/// Returns the samples in `duration`, rounded down.
fn samples_in(duration: Duration) -> i64 {
    const NANOS: u32 = 1_000_000_000 / RATE;
    let whole = duration.as_secs().saturating_mul(u64::from(RATE));
    i64::try_from(whole)
        .unwrap_or(i64::MAX)
        .saturating_add((duration.subsec_nanos() / NANOS).into())
}

/// Returns the nearest integer. `f32::round` is a call on the processors that we are built for.
fn rounded(value: f32) -> i32 {
    (value + 0.5_f32.copysign(value)) as i32
}

/// Returns a sample within full scale.
fn saturate(sample: i32) -> i16 {
    sample.clamp(-i32::from(i16::MAX), i16::MAX.into()) as i16
}
