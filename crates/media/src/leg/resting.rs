//! Who has sent nothing for a while is not listened to in every tick: many wait, are on hold or only listen.

use super::Leg;
use crate::rate::Rate;

/// Ticks of silence after which a leg rests: a second, in which all that remembers its sound has forgotten it.
const AFTER: u32 = 50;
/// Ticks in which it rests until it is listened to all the same, so that play-out follows its clock.
const FOR: u32 = 50;

/// How long a leg has been silent.
#[derive(Debug, Default)]
pub struct Rest {
    /// Ticks in a row in which there was nothing to hear, since something came.
    silence: u32,
    /// Ticks in which it was not listened to, since it last was.
    rested: u32,
}

impl Rest {
    /// Takes a tick that was listened to.
    pub fn observe(&mut self, silent: bool) {
        self.silence = if silent { self.silence.saturating_add(1) } else { 0 };
    }
}

impl Leg {
    /// Whether it need not be listened to in this tick: nothing has come for long, and nobody wants to know more of it
    /// than that it is silent.
    pub fn rests(&self) -> bool {
        self.rest.silence >= AFTER
            && self.rest.rested < FOR
            && !self.speaking
            && self.voice_fade.is_settled()
            && self.floor.is_settled()
            && self.edges.all.is_empty()
            && self.recorders.is_empty()
            && self.detector.is_none()
    }

    /// Lets a tick pass in which it [rests](Self::rests).
    pub fn pass(&mut self) {
        self.rest.rested += 1;
        (self.speaks_now, self.spoke) = (false, false);
    }

    /// Takes that something came, or that the leg has changed.
    pub(super) fn wake(&mut self) {
        self.rest.silence = 0;
        self.catch_up();
    }

    /// Makes up for the ticks in which it rested.
    pub(super) fn catch_up(&mut self) {
        let rested = std::mem::take(&mut self.rest.rested);
        if rested == 0 {
            return;
        }
        let samples = self.codec_in.rate().samples();
        let missing = self.jitter.pass(samples * rested as usize);
        if missing > 0 {
            self.stats.concealed_samples += (missing * Rate::Narrow.samples() / samples) as u64;
            (0..rested).for_each(|_| self.concealed.observe(1.0));
        }
    }
}
