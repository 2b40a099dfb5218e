//! One conference's mix: everyone hears the sum of the others.

use crate::bus::Buses;
use crate::command::{LegId, TapId};
use crate::desk::Desk;
use crate::edge::Whisper;
use crate::level::{Dominant, Smoothed};
use crate::player::Player;
use crate::rate::Rate;
use crate::recording::{Recorder, Waiting};
use crate::turn::Turn;
use crate::{Frame, SAMPLES};
use std::collections::VecDeque;

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
    pub fn push(&mut self, frame: &[i16]) {
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
    /// At 8 kHz, as taps and recordings are.
    pub players: Vec<Player>,
    /// What is played to all in this tick; nothing where nothing is.
    pub played: Option<Box<[i32; SAMPLES]>>,
    pub taps: Vec<Tap>,
    pub recorders: Vec<Recorder>,
    pub buses: Buses,
    /// What one leg alone hears of another, in this tick.
    pub whispers: Vec<Whisper>,
    pub turn: Turn,
    /// Those who speak in this tick, and how loud; and who of them is the one to look at.
    pub speaking: Vec<(LegId, Smoothed)>,
    pub dominant: Dominant,
    /// More speak than are mixed.
    pub crowded: bool,
    /// How loud those are who want to speak, while the loudest are chosen.
    pub scores: Vec<f32>,
}

impl Room {
    /// Makes an empty one, with its turn in `slot`.
    pub fn in_slot(slot: usize) -> Self {
        Self {
            members: Vec::new(),
            players: Vec::new(),
            played: None,
            taps: Vec::new(),
            recorders: Vec::new(),
            buses: Buses::default(),
            whispers: Vec::new(),
            turn: Turn::in_slot(slot),
            speaking: Vec::new(),
            dominant: Dominant::default(),
            crowded: false,
            scores: Vec::new(),
        }
    }

    pub fn is_needed(&self) -> bool {
        !self.members.is_empty() || self.has_ports()
    }

    /// Whether something but legs is at the mix.
    fn has_ports(&self) -> bool {
        !(self.players.is_empty() && self.taps.is_empty() && self.recorders.is_empty())
    }

    /// Returns the place of a leg that is all that there is in the room.
    pub fn alone(&self) -> Option<usize> {
        let [place] = self.members[..] else { return None };
        (!self.has_ports()).then_some(place)
    }

    /// Whether recordings need to know what single legs add.
    pub fn records_apart(&self) -> bool {
        self.recorders.iter().any(|one| one.tracks.is_some() || one.first.is_some())
    }

    /// Begins a tick: whoever speaks is added after this.
    pub fn begin(&mut self, desk: &mut Desk) {
        self.buses.begin(desk);
        self.whispers.clear();
    }

    /// Closes the sums: the mixes are made and the taps get theirs.
    pub fn close(&mut self) {
        let kept = self.has_ports().then_some(Rate::Narrow);
        if let Some(rate) = kept {
            self.buses.at(rate);
        }
        self.buses.close(kept);
        if let Some(bus) = self.buses.get(Rate::Narrow) {
            for tap in &mut self.taps {
                tap.push(&bus.sums.common);
            }
        }
    }

    /// Hands the tick to the recordings; `spoken` is what a leg adds to the sum.
    pub fn record<'a>(
        &self,
        recorders: &mut [Recorder],
        spoken: impl Fn(LegId) -> Option<&'a Frame>,
        waiting: &mut Waiting,
    ) {
        let Some(bus) = self.buses.get(Rate::Narrow) else { return };
        let mut common = [0; SAMPLES];
        common.copy_from_slice(&bus.sums.common);
        for recorder in recorders {
            if recorder.tracks.is_some() {
                waiting.push_tracks(recorder, &spoken);
                continue;
            }
            let Some(first) = recorder.first else {
                waiting.push(recorder, common, None);
                continue;
            };
            let voice = spoken(first).map_or([0; SAMPLES], |voice| voice.map(i32::from));
            let others: [i32; SAMPLES] = std::array::from_fn(|at| bus.sums.mix[at] - voice[at]);
            let [mut left, mut right] = [[0; SAMPLES]; 2];
            // Both sides are late by the same look-ahead.
            recorder.limiters[0].limit(Rate::Narrow, &voice, &mut left);
            recorder.limiters[1].limit(Rate::Narrow, &others, &mut right);
            waiting.push(recorder, left, Some(right));
        }
    }
}
