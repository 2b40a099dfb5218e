//! The rooms of a shard, and in which slot of a tick each has its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ids::RoomId;
use crate::room::Room;
use crate::turn::SLOTS;

/// The rooms of a shard.
#[derive(Debug, Default)]
pub struct Rooms {
    all: BTreeMap<RoomId, Box<Room>>,
    slots: [BTreeSet<RoomId>; SLOTS],
}

impl Rooms {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, id: RoomId) -> Option<&Room> {
        self.all.get(&id).map(|room| &**room)
    }

    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.all.get_mut(&id).map(|room| &mut **room)
    }

    /// Returns a room; one that is not there yet is made, with its turn in `slot`.
    pub fn get_or_open(&mut self, id: RoomId, slot: usize) -> &mut Room {
        self.all.entry(id).or_insert_with(|| {
            self.slots[slot].insert(id);
            Box::new(Room::in_slot(slot))
        })
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.all.values_mut().map(|room| &mut **room)
    }

    /// Returns the room after `room` in a slot.
    pub fn next(&self, slot: usize, room: Option<RoomId>) -> Option<RoomId> {
        let after = room.map_or(Bound::Unbounded, Bound::Excluded);
        self.slots[slot].range((after, Bound::Unbounded)).next().copied()
    }

    /// Gives a room its turn in another slot.
    pub fn move_to(&mut self, id: RoomId, slot: usize) {
        if let Some(room) = self.all.get_mut(&id) {
            self.slots[room.turn.slot].remove(&id);
            self.slots[slot].insert(id);
            room.turn.move_to(slot);
        }
    }

    /// Lets go of rooms in which nothing is.
    pub fn tidy(&mut self) {
        let slots = &mut self.slots;
        self.all.retain(|id, room| room.is_needed() || !slots[room.turn.slot].remove(id));
    }
}
