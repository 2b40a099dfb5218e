//! The legs of a shard, in an array: each keeps its place for as long as it is there.

use rustc_hash::FxHashMap;

use crate::command::LegId;
use crate::leg::Leg;

#[derive(Debug, Default)]
pub struct Legs {
    places: Vec<Place>,
    free: Vec<usize>,
    by_id: FxHashMap<LegId, usize>,
}

#[derive(Debug)]
struct Place {
    /// Whose it is, so that a leg that is not worked with need not be looked into.
    id: LegId,
    leg: Option<Box<Leg>>,
    /// Whether a room will come for it.
    seated: bool,
}

impl Legs {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn insert(&mut self, leg: Box<Leg>) {
        let (id, place) = (leg.id, Place { id: leg.id, leg: Some(leg), seated: false });
        if let Some(&taken) = self.by_id.get(&id) {
            self.places[taken] = place;
        } else if let Some(free) = self.free.pop() {
            self.places[free] = place;
            self.by_id.insert(id, free);
        } else {
            self.by_id.insert(id, self.places.len());
            self.places.push(place);
        }
    }

    pub fn remove(&mut self, id: LegId) -> Option<Box<Leg>> {
        let place = self.by_id.remove(&id)?;
        self.free.push(place);
        self.places[place].leg.take()
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

    /// Notes whether the leg at `place` is in a room.
    pub fn seat(&mut self, place: usize, seated: bool) {
        if let Some(place) = self.places.get_mut(place) {
            place.seated = seated;
        }
    }

    /// Returns the first place from `place` on whose leg is in no room.
    pub fn next_loose(&self, place: usize) -> Option<usize> {
        let rest = self.places.get(place..)?;
        Some(place + rest.iter().position(|place| place.leg.is_some() && !place.seated)?)
    }

    /// Returns those of `count` places that are in no room.
    pub fn loose(&self, place: usize, count: usize) -> impl Iterator<Item = LegId> {
        let loose = self.places.iter().skip(place).take(count).filter(|place| !place.seated);
        loose.filter_map(|place| place.leg.is_some().then_some(place.id))
    }

    /// Returns those of `count` places that are in no room.
    pub fn loose_mut(&mut self, place: usize, count: usize) -> impl Iterator<Item = &mut Leg> {
        let loose = self.places.iter_mut().skip(place).take(count).filter(|place| !place.seated);
        loose.filter_map(|place| place.leg.as_deref_mut())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Leg> {
        self.places.iter().filter_map(|place| place.leg.as_deref())
    }
}
