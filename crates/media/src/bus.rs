//! The mix of a room at one rate: the voices of that rate as they are, and the sums of the others.

use crate::desk::{Desk, Sums};
use crate::encoding::Encodings;
use crate::limiter::Limiter;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// One rate of a room.
#[derive(Debug)]
pub struct Bus {
    rate: Rate,
    pub sums: Sums,
    /// From the sums of the other rates.
    resamplers: [Option<Box<Resampler>>; 3],
    limiter: Limiter,
    /// The limiter as it was before this tick.
    pub limiter_before: Limiter,
    /// Those of the common mix.
    pub encodings: Encodings,
    /// Legs of this rate, counted in each tick.
    pub members: usize,
}

impl Bus {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            sums: Sums::at(rate),
            resamplers: [None, None, None],
            limiter: Limiter::new(),
            limiter_before: Limiter::new(),
            encodings: Encodings::default(),
            members: 0,
        }
    }

    /// Adds a tick of sound of this rate.
    pub fn add(&mut self, sound: &[i32]) {
        for (sum, &sample) in self.sums.sum.iter_mut().zip(sound) {
            *sum += sample;
        }
    }
}

/// The rates of a room, each there for as long as somebody needs it.
#[derive(Debug, Default)]
pub struct Buses([Option<Box<Bus>>; 3]);

impl Buses {
    /// Returns the bus of a rate.
    pub fn at(&mut self, rate: Rate) -> &mut Bus {
        self.0[rate.index()].get_or_insert_with(|| Box::new(Bus::new(rate)))
    }

    /// Returns the bus of a rate, where there is one.
    pub fn get(&self, rate: Rate) -> Option<&Bus> {
        self.0[rate.index()].as_deref()
    }

    /// Begins a tick: whoever speaks is added after this.
    pub fn begin(&mut self, desk: &mut Desk) {
        for bus in self.0.iter_mut().flatten() {
            bus.sums = desk.sums(bus.rate);
            bus.sums.sum.fill(0);
            bus.members = 0;
            bus.encodings.begin();
        }
    }

    /// Ends a turn: what only it needed is given back.
    pub fn end(&mut self, desk: &mut Desk) {
        for bus in self.0.iter_mut().flatten() {
            desk.put_sums(bus.rate, std::mem::take(&mut bus.sums));
        }
    }

    /// Makes the mixes of all rates; one that has no members is let go, but for `kept`.
    pub fn close(&mut self, kept: Option<Rate>) {
        for bus in &mut self.0 {
            if bus.as_ref().is_some_and(|bus| bus.members == 0 && kept != Some(bus.rate)) {
                *bus = None;
            }
        }
        for rate in Rate::ALL {
            let Some(mut bus) = self.0[rate.index()].take() else { continue };
            let Sums { sum, mix, common } = &mut bus.sums;
            mix.copy_from_slice(sum);
            for other in Rate::ALL.into_iter().filter(|other| *other != rate) {
                let resampler = &mut bus.resamplers[other.index()];
                let Some(other_bus) = &self.0[other.index()] else {
                    *resampler = None;
                    continue;
                };
                let resampler =
                    resampler.get_or_insert_with(|| Box::new(Resampler::new(other, rate)));
                let mut came = [0; SAMPLES_MAX];
                let came = &mut came[..rate.samples()];
                resampler.resample(&other_bus.sums.sum, came);
                for (mix, &sample) in mix.iter_mut().zip(came.iter()) {
                    *mix += sample;
                }
            }
            bus.limiter_before = bus.limiter;
            bus.limiter.limit(rate, mix, common);
            self.0[rate.index()] = Some(bus);
        }
    }
}
