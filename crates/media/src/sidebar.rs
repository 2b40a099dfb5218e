//! Those of a room who hear the same few by ways of their own: one mix and one encoding for all of them.

use crate::SAMPLES;
use crate::edge::{Whisper, Whispers};
use crate::encoding::Encodings;
use crate::fade::Fade;
use crate::ids::LegId;
use crate::leg::Leg;
use crate::limiter::Limiter;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// Most of one room at a time. Who hears what none of these do is encoded for alone.
const SIDEBARS_MAX: usize = 32;
/// Listeners from whom on one encoding is less work than one for each.
const LISTENERS_MIN: usize = 2;

/// What is heard beside the few.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Beside {
    rate: Rate,
    /// What all hear.
    all: bool,
    /// What is played to all, where that is not heard with all.
    played: bool,
}

/// A mix that some hear and others do not.
#[derive(Debug)]
pub struct Sidebar {
    /// Its name in the room.
    id: u32,
    beside: Beside,
    /// Who is heard, and how loud.
    speakers: Vec<(LegId, f32)>,
    sum: Box<[i32]>,
    /// What those hear who add nothing themselves.
    pub common: Box<[i16]>,
    limiter: Limiter,
    limiter_before: Limiter,
    resampler_played: Option<Box<Resampler>>,
    pub encodings: Encodings,
    /// Who hears it in this tick, and in the last one.
    listeners: usize,
    before: usize,
    /// It has been mixed in this tick, and was in the last one.
    is_mixed: bool,
    was_mixed: bool,
}

impl Sidebar {
    fn new(id: u32, beside: Beside, whispers: &[Whisper]) -> Self {
        let samples = beside.rate.samples();
        Self {
            id,
            beside,
            speakers: whispers.iter().filter_map(|one| Some((one.from, one.gain?))).collect(),
            sum: vec![0; samples].into(),
            common: vec![0; samples].into(),
            limiter: Limiter::new(),
            limiter_before: Limiter::new(),
            resampler_played: None,
            encodings: Encodings::default(),
            listeners: 0,
            before: 0,
            is_mixed: false,
            was_mixed: false,
        }
    }

    fn is_of(&self, beside: Beside, whispers: &[Whisper]) -> bool {
        let heard = whispers.iter().map(|whisper| (whisper.from, whisper.gain));
        let known = self.speakers.iter().map(|&(from, gain)| (from, Some(gain)));
        self.beside == beside && heard.eq(known)
    }

    /// The limiter as it was before this tick.
    pub fn limiter_before(&self) -> &Limiter {
        if self.is_mixed { &self.limiter_before } else { &self.limiter }
    }

    fn mix(&mut self, mixes: &Mixes<'_>, leg: LegId) {
        match mixes.all.filter(|_| self.beside.all) {
            Some(all) => self.sum.copy_from_slice(all),
            None => self.sum.fill(0),
        }
        mixes.whispers.add_to(leg, &mut self.sum);
        match mixes.played.filter(|_| self.beside.played) {
            Some(played) => {
                let rate = self.beside.rate;
                add_narrow(played, rate, &mut self.resampler_played, &mut self.sum);
            }
            None => self.resampler_played = None,
        }
        self.limiter_before = self.limiter;
        self.limiter.limit(self.beside.rate, &self.sum, &mut self.common);
        self.is_mixed = true;
    }
}

/// What the mix of a few is made of.
pub struct Mixes<'a> {
    pub whispers: &'a Whispers,
    /// What all hear, at the rate of the leg.
    pub all: Option<&'a [i32]>,
    /// What is played to all.
    pub played: Option<&'a [i32; SAMPLES]>,
}

/// Those of a room.
#[derive(Debug, Default)]
pub struct Sidebars {
    all: Vec<Sidebar>,
    last: u32,
}

impl Sidebars {
    /// Begins a tick: what nobody heard in the last one is let go.
    pub fn begin(&mut self) {
        self.all.retain_mut(|sidebar| {
            sidebar.before = std::mem::take(&mut sidebar.listeners);
            sidebar.was_mixed = std::mem::take(&mut sidebar.is_mixed);
            sidebar.encodings.begin();
            sidebar.before > 0
        });
    }

    pub fn get(&self, id: u32) -> Option<&Sidebar> {
        self.all.iter().find(|sidebar| sidebar.id == id)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Sidebar> {
        self.all.iter_mut().find(|sidebar| sidebar.id == id)
    }

    /// Counts a leg that hears some by ways of their own among those who hear the same; returns the name of what they
    /// hear, where there are enough of them.
    pub fn join(&mut self, leg: &Leg, mixes: &Mixes<'_>) -> Option<u32> {
        let whispers = mixes.whispers.to(leg.id);
        let at_rest = |fade: Fade| fade.is_unity() || fade.is_silent();
        let (all, played) = (leg.hear_fade.is_unity(), leg.played_fade.is_unity());
        let hears_itself = all && (leg.speaks_now || leg.spoke);
        let is_steady = at_rest(leg.hear_fade)
            && at_rest(leg.played_fade)
            && whispers.iter().all(|whisper| whisper.gain.is_some());
        if hears_itself || !is_steady || leg.pending.is_some() {
            return None;
        }
        let sidebar = self.of(Beside { rate: leg.rate(), all, played }, whispers)?;
        sidebar.listeners += 1;
        if sidebar.before < LISTENERS_MIN {
            return None;
        }
        if !sidebar.is_mixed {
            sidebar.mix(mixes, leg.id);
        }
        sidebar.was_mixed.then_some(sidebar.id)
    }

    fn of(&mut self, beside: Beside, whispers: &[Whisper]) -> Option<&mut Sidebar> {
        let place = self.all.iter().position(|sidebar| sidebar.is_of(beside, whispers));
        if let Some(place) = place {
            return self.all.get_mut(place);
        }
        if self.all.len() == SIDEBARS_MAX {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        self.all.push(Sidebar::new(self.last, beside, whispers));
        self.all.last_mut()
    }
}

/// Adds what is played, at 8 kHz, to what is heard at another rate.
pub fn add_narrow(
    played: &[i32; SAMPLES],
    rate: Rate,
    resampler: &mut Option<Box<Resampler>>,
    heard: &mut [i32],
) {
    if rate == Rate::Narrow {
        return add_to(heard, played);
    }
    let mut came = [0; SAMPLES_MAX];
    let came = &mut came[..rate.samples()];
    let resampler = resampler.get_or_insert_with(|| Box::new(Resampler::new(Rate::Narrow, rate)));
    resampler.resample(played, came);
    add_to(heard, came);
}

fn add_to(sum: &mut [i32], sound: &[i32]) {
    for (sum, sample) in sum.iter_mut().zip(sound) {
        *sum += sample;
    }
}
