//! Some ticks of a document that were encoded one after the other, and what goes on with them.

use super::super::heard::Heard;
use super::super::tick::{Listener, Tick};
use crate::codec::{Encoder, Memory};
use crate::encoding::{ALIKE_AFTER, WAIT_MAX};
use crate::limiter::Gain;
use crate::rate::SAMPLES_MAX;

/// Whoever has heard what leads to it may begin with it, and leave it before any tick.
#[derive(Debug)]
pub struct Segment {
    pub ticks: usize,
    octets: Vec<u8>,
    /// How it is before the first tick, and after each that is encoded; what is remembered then, where that is little.
    pub states: Vec<State>,
    pub memories: Vec<Memory>,
    /// What goes on with it; at its end, until the next one has it.
    pub front: Option<Box<Front>>,
}

/// What encodes.
#[derive(Debug)]
pub struct Front {
    pub encoder: Box<Encoder>,
    pub heard: Heard,
}

/// How what encodes was between two ticks.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Octets until then.
    end: usize,
    pub gain: Gain,
    /// The last packet led over to what stands by itself, or was such.
    pub led: bool,
}

impl Segment {
    /// Makes one of so many ticks, which is empty.
    pub fn new(ticks: usize, front: Box<Front>) -> Self {
        let mut segment = Self {
            ticks,
            octets: Vec::new(),
            states: Vec::with_capacity(ticks + 1),
            memories: Vec::new(),
            front: Some(front),
        };
        segment.note();
        segment
    }

    /// Notes how what encodes is now.
    fn note(&mut self) {
        let Some(front) = &self.front else { return };
        let (gain, led) = (front.heard.limiter.gain(), front.encoder.has_led());
        self.states.push(State { end: self.octets.len(), gain, led });
        if let Some(memory) = front.encoder.memory() {
            self.memories.reserve_exact((self.ticks + 1).saturating_sub(self.memories.len()));
            self.memories.push(memory);
        }
    }

    /// Adds a tick; returns how many octets that takes.
    pub fn push(&mut self, payload: &[u8]) -> usize {
        self.octets.extend_from_slice(payload);
        self.note();
        if self.states.len() > self.ticks {
            self.octets.shrink_to_fit();
        }
        let memory = if self.memories.is_empty() { 0 } else { size_of::<Memory>() };
        payload.len() + size_of::<State>() + memory
    }

    /// Returns a tick that is encoded.
    pub fn payload(&self, tick: usize) -> Option<&[u8]> {
        let (start, end) = (self.states.get(tick)?.end, self.states.get(tick + 1)?.end);
        self.octets.get(start..end)
    }

    /// Whether one may be sent its first tick who was encoded for alone.
    pub fn admits(&self, tick: &Tick<'_>, listener: &Listener<'_>) -> bool {
        let own = &*listener.own;
        let is_like =
            self.states.first().is_some_and(|state| listener.limiter.gain().is_like(state.gain));
        let (Some(memory), Some(remembered)) = (own.memory(), self.memories.first()) else {
            return is_like;
        };
        let is_near = || {
            let mut frame = [0; SAMPLES_MAX];
            let frame = &mut frame[..tick.codec.rate().samples()];
            listener.heard(tick).next(tick.pcm, tick.at, tick.codec.rate(), frame);
            memory.is_near(remembered, frame)
        };
        is_like && (own.follows.ticks > ALIKE_AFTER + WAIT_MAX || is_near())
    }
}
