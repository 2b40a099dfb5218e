//! Legs that go from one shard to another, with all that they remember.

use std::time::Instant;

use super::Shard;
use crate::command::PlayTo;
use crate::ids::LegId;
use crate::leg::{Leg, Pending};
use crate::recording::{RecordingId, Source};
use crate::transmits::Late;
use crate::turn::emptiest;

/// A leg between two shards: what it remembers, what is played to it and what records it.
#[derive(Debug)]
pub struct Departed {
    id: LegId,
    /// Nothing, where it had not been added yet.
    leg: Option<Box<Leg>>,
    recordings: Vec<(RecordingId, Source)>,
    /// What it is to be sent between two ticks: a room late in its tick leaves that for the next one.
    waiting: Vec<(Instant, Late)>,
}

impl Departed {
    /// Returns whose it is.
    pub fn leg(&self) -> LegId {
        self.id
    }

    /// Returns the recordings of it alone, which go along.
    pub fn recordings(&self) -> impl Iterator<Item = RecordingId> {
        self.recordings.iter().map(|(id, _)| *id)
    }
}

impl Shard {
    /// Begins to let a leg go; one that is not there departs at once.
    pub(super) fn begin_to_depart(&mut self, id: LegId) {
        match self.legs.get_mut(id) {
            Some(leg) if leg.pending != Some(Pending::Remove) => {
                leg.fade_out();
                leg.pending = Some(Pending::Depart);
            }
            Some(_) => {
                let (recordings, waiting) = (Vec::new(), Vec::new());
                self.departed.push_back(Departed { id, leg: None, recordings, waiting });
            }
            None => self.depart(id),
        }
    }

    /// Takes a leg out, which is in no room any more.
    pub(super) fn depart(&mut self, id: LegId) {
        let mut leg = self.legs.remove(id);
        if let Some(leg) = &mut leg {
            self.documents.release(leg);
            for player in leg.sounds() {
                self.players.remove(&player);
            }
        }
        let is_of_it =
            |source: &Source| matches!(source, Source::Leg(recorded, _) if *recorded == id);
        let recordings = self.recordings.extract_if(.., |_, source| is_of_it(source)).collect();
        let waiting = self.transmits.take_out(id);
        self.departed.push_back(Departed { id, leg, recordings, waiting });
    }

    /// Returns the next leg that [`crate::Command::Depart`] let go.
    ///
    /// It is in no tick until another shard has it: whoever drives both lets little time pass.
    pub fn poll_departed(&mut self) -> Option<Departed> {
        self.departed.pop_front()
    }

    /// Takes in what departed from another shard. It is in no room.
    pub fn take_in(&mut self, departed: Departed) {
        let Departed { id, leg, recordings, waiting } = departed;
        self.recordings.extend(recordings);
        self.transmits.take_in(waiting);
        let Some(mut leg) = leg else { return };
        leg.arrive();
        for player in leg.sounds() {
            self.players.insert(player, PlayTo::Leg(id));
        }
        self.legs.insert(leg, emptiest(&self.legs.in_slots()));
    }
}
