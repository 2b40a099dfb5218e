//! What a turn works with and nothing keeps: all rooms and legs use the same buffers, one after the other, so
//! that these stay in the processor's caches. A thousand legs do not fit there.

use crate::rate::Rate;
use crate::rtp::PACKET_MAX;

/// One leg's sound of this tick. Between two turns it is empty.
#[derive(Debug, Default)]
pub struct Sound {
    /// What came from the leg.
    pub voice: Box<[i16]>,
    /// What of it goes to the room, while the leg speaks.
    pub spoken: Box<[i32]>,
}

/// A room's sums at one rate. Between two turns they are empty.
#[derive(Debug, Default)]
pub struct Sums {
    /// Of all who speak at this rate, as wide as it takes.
    pub sum: Box<[i32]>,
    /// Of all who speak at any.
    pub mix: Box<[i32]>,
    /// What those hear who add nothing themselves.
    pub common: Box<[i16]>,
}

impl Sums {
    /// Makes new ones.
    pub fn at(rate: Rate) -> Self {
        let samples = rate.samples();
        Self {
            sum: vec![0; samples].into(),
            mix: vec![0; samples].into(),
            common: vec![0; samples].into(),
        }
    }
}

/// The buffers that are not in use.
#[derive(Debug)]
pub struct Desk {
    /// As many as were ever in use at once.
    sounds: [Vec<Sound>; 3],
    /// One room has its turn at a time.
    sums: [Option<Sums>; 3],
    /// What one leg alone hears, before and after it is limited.
    pub heard: Vec<i32>,
    pub limited: Vec<i16>,
    /// A packet in the making.
    pub packet: Box<[u8; PACKET_MAX]>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            sounds: Default::default(),
            sums: Default::default(),
            heard: Vec::new(),
            limited: Vec::new(),
            packet: Box::new([0; PACKET_MAX]),
        }
    }
}

impl Desk {
    /// Lends the sound of a leg at this rate; what is in it is of another.
    pub fn sound(&mut self, rate: Rate) -> Sound {
        self.sounds[rate.index()].pop().unwrap_or_else(|| {
            let samples = rate.samples();
            Sound { voice: vec![0; samples].into(), spoken: vec![0; samples].into() }
        })
    }

    /// Takes back what [`Self::sound`] lent.
    pub fn put_sound(&mut self, rate: Rate, sound: Sound) {
        if sound.voice.len() == rate.samples() {
            self.sounds[rate.index()].push(sound);
        }
    }

    /// Lends the sums of a room at this rate; what is in them is of another.
    pub fn sums(&mut self, rate: Rate) -> Sums {
        self.sums[rate.index()].take().unwrap_or_else(|| Sums::at(rate))
    }

    /// Takes back what [`Self::sums`] lent.
    pub fn put_sums(&mut self, rate: Rate, sums: Sums) {
        self.sums[rate.index()] = Some(sums);
    }

    /// Lets go of what more than so many legs would need.
    pub fn trim(&mut self, legs: usize) {
        for sounds in &mut self.sounds {
            sounds.truncate(legs);
        }
    }
}
