//! The legs of a shard, in an array: each keeps its place for as long as it is there.

use rustc_hash::FxHashMap;

use crate::ids::LegId;
use crate::leg::Leg;
use crate::turn::SLOTS;

#[derive(Debug, Default)]
pub struct Legs {
    places: Vec<Place>,
    free: Vec<usize>,
    by_id: FxHashMap<LegId, usize>,
    /// How many have their turn in each slot, and how many of these are in no room.
    in_slots: [usize; SLOTS],
    loose: [usize; SLOTS],
}

#[derive(Debug)]
struct Place {
    /// Whose it is, so that a leg that is not worked with need not be looked into.
    id: LegId,
    leg: Option<Box<Leg>>,
    /// Whether a room will come for it.
    seated: bool,
    /// In which slot it has its turn.
    slot: usize,
}

impl Place {
    fn is_loose(&self, slot: usize) -> bool {
        !self.seated && self.slot == slot && self.leg.is_some()
    }
}

impl Legs {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes in a leg, in no room, with its turn in `slot`.
    pub fn insert(&mut self, leg: Box<Leg>, slot: usize) {
        let (id, place) = (leg.id, Place { id: leg.id, leg: Some(leg), seated: false, slot });
        self.remove(id);
        self.in_slots[slot] += 1;
        self.loose[slot] += 1;
        if let Some(free) = self.free.pop() {
            self.places[free] = place;
            self.by_id.insert(id, free);
        } else {
            self.by_id.insert(id, self.places.len());
            self.places.push(place);
        }
    }

    pub fn remove(&mut self, id: LegId) -> Option<Box<Leg>> {
        let at = self.by_id.remove(&id)?;
        self.free.push(at);
        let place = &mut self.places[at];
        self.in_slots[place.slot] -= 1;
        self.loose[place.slot] -= usize::from(!place.seated);
        place.leg.take()
    }

    pub fn place(&self, id: LegId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub fn get(&self, id: LegId) -> Option<&Leg> {
        self.at(self.place(id)?)
    }

    pub fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        let place = self.place(id)?;
        self.at_mut(place)
    }

    /// Returns whose a place is.
    pub fn id(&self, place: usize) -> Option<LegId> {
        self.places.get(place).filter(|place| place.leg.is_some()).map(|place| place.id)
    }

    pub fn at(&self, place: usize) -> Option<&Leg> {
        self.places.get(place)?.leg.as_deref()
    }

    pub fn at_mut(&mut self, place: usize) -> Option<&mut Leg> {
        self.places.get_mut(place)?.leg.as_deref_mut()
    }

    /// Notes whether the leg at `place` is in a room, and in which slot it has its turn.
    pub fn seat(&mut self, place: usize, seated: bool, slot: usize) {
        if let Some(place) = self.places.get_mut(place).filter(|place| place.leg.is_some()) {
            self.in_slots[place.slot] -= 1;
            self.in_slots[slot] += 1;
            self.loose[place.slot] -= usize::from(!place.seated);
            self.loose[slot] += usize::from(!seated);
            (place.seated, place.slot) = (seated, slot);
        }
    }

    /// Returns in which slot the leg at `place` has its turn.
    pub fn slot(&self, place: usize) -> usize {
        self.places.get(place).map_or(0, |place| place.slot)
    }

    /// Returns how many legs have their turn in each slot.
    pub fn in_slots(&self) -> [usize; SLOTS] {
        self.in_slots
    }

    /// Returns the first place from `place` on whose leg is in no room and has its turn in `slot`.
    pub fn next_loose(&self, slot: usize, place: usize) -> Option<usize> {
        if self.loose[slot] == 0 {
            return None;
        }
        let rest = self.places.get(place..)?;
        Some(place + rest.iter().position(|place| place.is_loose(slot))?)
    }

    /// Returns those of `count` places that are in no room and have their turn in `slot`.
    pub fn loose(&self, slot: usize, place: usize, count: usize) -> impl Iterator<Item = LegId> {
        let places = self.places.iter().skip(place).take(count);
        places.filter(move |place| place.is_loose(slot)).map(|place| place.id)
    }

    /// Returns those of `count` places that are in no room and have their turn in `slot`.
    pub fn loose_mut(
        &mut self,
        slot: usize,
        place: usize,
        count: usize,
    ) -> impl Iterator<Item = &mut Leg> {
        let places = self.places.iter_mut().skip(place).take(count);
        let loose = places.filter(move |place| place.is_loose(slot));
        loose.filter_map(|place| place.leg.as_deref_mut())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Leg> {
        self.places.iter().filter_map(|place| place.leg.as_deref())
    }
}
