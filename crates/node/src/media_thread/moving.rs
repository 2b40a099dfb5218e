//! Legs that go from one media thread to another.
//!
//! A leg is on its way for a tick or two. What it is told meanwhile waits where it goes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::TrySendError;

use media::{Command, Departed, LegId, RecordingId};

use super::inbox::Sender;
use super::wire::Wire;
use super::{Input, MediaThread};
use crate::recorder::Ring;

/// What one leg may be told while it is on its way; what is beyond is lost.
const HELD_MAX: usize = 1_024;

/// A leg on its way, with its sockets and where its recordings go.
pub struct Arriving {
    departed: Departed,
    wire: Option<Wire>,
    rings: Vec<(RecordingId, Ring)>,
}

/// What a leg is told while it is on its way.
pub enum Held {
    Command(Command),
    /// It goes on to the thread of that place.
    Depart(LegId, usize),
}

/// The legs that come and go.
pub struct Moves {
    threads: Vec<Sender>,
    /// Where those go whose ramps are not down yet.
    leaving: BTreeMap<LegId, usize>,
    /// Those that will come, and what they were told.
    expected: BTreeMap<LegId, Vec<Held>>,
    /// Those for which the other thread had no room yet.
    ready: VecDeque<(usize, Box<Arriving>)>,
}

impl Moves {
    pub fn to(threads: Vec<Sender>) -> Self {
        let (leaving, expected) = (BTreeMap::new(), BTreeMap::new());
        Self { threads, leaving, expected, ready: VecDeque::new() }
    }

    pub fn expect(&mut self, leg: LegId) {
        self.expected.entry(leg).or_default();
    }

    /// Keeps what a leg is told that is on its way here; returns what need not wait.
    pub fn wait(&mut self, leg: Option<LegId>, told: Held) -> Option<Held> {
        let Some(held) = leg.and_then(|leg| self.expected.get_mut(&leg)) else { return Some(told) };
        if held.len() < HELD_MAX {
            held.push(told);
        } else {
            tracing::error!(
                "a call on its way to another media thread was told too much; it is lost"
            );
        }
        None
    }
}

impl MediaThread {
    /// Lowers a leg's ramps; the next ticks let it go.
    pub fn depart(&mut self, leg: LegId, to: usize) {
        self.moves.leaving.insert(leg, to);
        self.command(Command::Depart(leg));
    }

    /// Hands over the legs whose ramps are down.
    pub fn let_go(&mut self) {
        while let Some(departed) = self.shard.poll_departed() {
            let leg = departed.leg();
            let Some(to) = self.moves.leaving.remove(&leg) else { continue };
            let mut wire = self.sockets.remove(&leg);
            wire.iter_mut().for_each(|wire| self.quiet.forget(wire));
            let rings = departed.recordings().filter_map(|id| self.rings.remove_entry(&id));
            let rings = rings.collect();
            self.moves.ready.push_back((to, Box::new(Arriving { departed, wire, rings })));
        }
        while let Some((to, arriving)) = self.moves.ready.pop_front() {
            let Some(thread) = self.moves.threads.get(to) else { continue };
            // A thread that has ended plays nothing any more.
            if let Err(TrySendError::Full(Input::Arrive(arriving))) =
                thread.try_send(Input::Arrive(arriving))
            {
                self.moves.ready.push_front((to, arriving));
                break;
            }
        }
    }

    /// Takes a leg in, and what it was told on its way.
    pub fn arrive(&mut self, arriving: Arriving) {
        let Arriving { departed, wire, rings } = arriving;
        let leg = departed.leg();
        if let Some(wire) = wire {
            self.sockets.insert(leg, wire);
        }
        self.rings.extend(rings);
        self.shard.take_in(departed);
        for told in self.moves.expected.remove(&leg).into_iter().flatten() {
            match told {
                Held::Command(command) => self.command(command),
                Held::Depart(leg, to) => self.depart(leg, to),
            }
        }
    }
}
