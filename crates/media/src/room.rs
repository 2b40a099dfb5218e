//! One conference's mix: everyone hears the sum of the others.

use crate::bus::Buses;
use crate::desk::Desk;
use crate::edge::Whispers;
use crate::encoding::{Encodings, Mix};
use crate::fade::Fade;
use crate::ids::{LegId, TapId};
use crate::leg::Leg;
use crate::level::{Dominant, Smoothed};
use crate::limiter::Limiter;
use crate::player::Player;
use crate::rate::Rate;
use crate::recording::{Recorder, Waiting};
use crate::sidebar::{Mixes, Sidebar, Sidebars};
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
    pub whispers: Whispers,
    /// What some hear and others do not.
    pub sidebars: Sidebars,
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
            whispers: Whispers::default(),
            sidebars: Sidebars::default(),
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

    /// Returns what a leg hears that others hear as well; nothing where it alone does. One alone is sent what those are
    /// sent who are alone elsewhere.
    pub fn mix_of(&mut self, leg: &mut Leg) -> Option<Mix> {
        if self.played.is_none() {
            // Nobody hears that it has come to where it is going.
            leg.played_fade = Fade::at(leg.played_fade.target());
        }
        if self.members.len() < 2 || !leg.players.is_empty() {
            return None;
        }
        if !self.whispers.to(leg.id).is_empty() {
            let all = self.buses.get(leg.rate()).map(|bus| &bus.sums.mix[..]);
            let mixes = Mixes { whispers: &self.whispers, all, played: self.played.as_deref() };
            return self.sidebars.join(leg, &mixes).map(Mix::Few);
        }
        // The limiter holds the end of the last tick back.
        let hears_all = !leg.speaks_now && !leg.spoke && leg.hear_fade.is_unity();
        hears_all.then_some(Mix::All)
    }

    /// Returns the limiter of what some hear as it was before this tick.
    pub fn limiter_before(&self, mix: Mix, rate: Rate) -> Option<&Limiter> {
        match mix {
            Mix::All => self.buses.get(rate).map(|bus| &bus.limiter_before),
            Mix::Few(id) => self.sidebars.get(id).map(Sidebar::limiter_before),
        }
    }

    /// Returns the encodings of what some hear.
    pub fn encodings(&mut self, mix: Mix, rate: Rate) -> Option<&mut Encodings> {
        self.shared(mix, rate).map(|(_, encodings)| encodings)
    }

    /// Returns what some hear in this tick, and the encodings of it.
    pub fn shared(&mut self, mix: Mix, rate: Rate) -> Option<(&[i16], &mut Encodings)> {
        match mix {
            Mix::All => {
                let bus = self.buses.at(rate);
                Some((&bus.sums.common, &mut bus.encodings))
            }
            Mix::Few(id) => {
                let sidebar = self.sidebars.get_mut(id)?;
                Some((&sidebar.common, &mut sidebar.encodings))
            }
        }
    }

    /// Begins a tick: whoever speaks is added after this.
    pub fn begin(&mut self, desk: &mut Desk) {
        self.buses.begin(desk);
        self.whispers.clear();
        self.sidebars.begin();
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
