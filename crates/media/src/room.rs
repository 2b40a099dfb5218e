//! One conference's sum: everyone hears the sum of the others.

use std::collections::VecDeque;

use crate::command::{Codec, LegId, TapId};
use crate::g711;
use crate::limiter::Limiter;
use crate::player::Player;
use crate::rate::Rate;
use crate::recording::{Recorder, Waiting};
use crate::{Frame, SAMPLES};

/// Samples that wait in a tap for its reader: 2 s.
const TAP_MAX: usize = 16_000;

/// What a listener without a leg hears.
#[derive(Debug)]
pub struct Tap {
    pub id: TapId,
    pub heard: VecDeque<i16>,
}

impl Tap {
    /// Keeps a frame; the oldest sound goes when nobody reads.
    pub fn push(&mut self, frame: &Frame) {
        let surplus = (self.heard.len() + SAMPLES).saturating_sub(TAP_MAX);
        self.heard.drain(..surplus);
        self.heard.extend(frame);
    }
}

/// One conference's mix.
#[derive(Debug)]
pub struct Room {
    /// The places of its legs, in no order.
    pub members: Vec<usize>,
    pub players: Vec<Player>,
    pub taps: Vec<Tap>,
    pub recorders: Vec<Recorder>,
    /// The sum of all who speak, as wide as it takes.
    pub sum: [i32; SAMPLES],
    /// What one leg alone hears of another, in this tick.
    pub whispers: Vec<(LegId, [i32; SAMPLES])>,
    limiter: Limiter,
    /// What those hear who add nothing themselves, and its encodings.
    common: Frame,
    pcmu: Option<[u8; SAMPLES]>,
    pcma: Option<[u8; SAMPLES]>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            whispers: Vec::new(),
            players: Vec::new(),
            taps: Vec::new(),
            recorders: Vec::new(),
            sum: [0; SAMPLES],
            limiter: Limiter::new(),
            common: [0; SAMPLES],
            pcmu: None,
            pcma: None,
        }
    }
}

impl Room {
    pub fn is_needed(&self) -> bool {
        !(self.members.is_empty()
            && self.players.is_empty()
            && self.taps.is_empty()
            && self.recorders.is_empty())
    }

    /// Begins a tick: whoever speaks adds to [`Self::sum`] after this.
    pub fn clear(&mut self) {
        self.sum = [0; SAMPLES];
        self.whispers.clear();
        self.pcmu = None;
        self.pcma = None;
    }

    /// Closes the sum: the common mix is made and the taps get it.
    pub fn close(&mut self) {
        self.limiter.limit(Rate::Narrow, &self.sum, &mut self.common);
        for tap in &mut self.taps {
            tap.push(&self.common);
        }
    }

    /// Returns what those hear who add nothing themselves.
    pub fn common(&self) -> &Frame {
        &self.common
    }

    /// Hands the tick to the recordings; `spoken` is what a leg adds to the sum.
    pub fn record<'a>(
        &self,
        recorders: &mut [Recorder],
        spoken: impl Fn(LegId) -> Option<&'a Frame>,
        waiting: &mut Waiting,
    ) {
        for recorder in recorders {
            if recorder.tracks.is_some() {
                waiting.push_tracks(recorder, &spoken);
                continue;
            }
            let Some(first) = recorder.first else {
                waiting.push(recorder, self.common, None);
                continue;
            };
            let voice = spoken(first).map_or([0; SAMPLES], |voice| voice.map(i32::from));
            let others: [i32; SAMPLES] = std::array::from_fn(|at| self.sum[at] - voice[at]);
            let [mut left, mut right] = [[0; SAMPLES]; 2];
            // Both sides are late by the same look-ahead.
            recorder.limiters[0].limit(Rate::Narrow, &voice, &mut left);
            recorder.limiters[1].limit(Rate::Narrow, &others, &mut right);
            waiting.push(recorder, left, Some(right));
        }
    }

    /// Returns the common mix in `codec`, encoded at most once in a tick.
    pub fn encoded(&mut self, codec: Codec, count: &mut u64) -> &[u8; SAMPLES] {
        let cached = match codec {
            Codec::Pcmu => &mut self.pcmu,
            Codec::Pcma | Codec::G722 | Codec::Opus(_) => &mut self.pcma,
        };
        cached.get_or_insert_with(|| {
            *count += 1;
            encode(codec, &self.common)
        })
    }
}

/// Encodes one frame.
pub fn encode(codec: Codec, frame: &Frame) -> [u8; SAMPLES] {
    match codec {
        Codec::Pcmu => frame.map(g711::linear_to_ulaw),
        Codec::Pcma | Codec::G722 | Codec::Opus(_) => frame.map(g711::linear_to_alaw),
    }
}
