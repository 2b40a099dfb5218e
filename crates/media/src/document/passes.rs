//! Documents in codecs that have a memory: each tick is encoded once, in segments of which each begins with what may follow
//! any other encoder's work.
//!
//! Whoever hears a document goes through it tick by tick: that is a pass. Where its length is no multiple of a tick's, the
//! next pass has its ticks elsewhere, and is encoded for itself. The first who is somewhere encodes, a tick at a time; those
//! who come later are sent what that made, and go on with it where the first has left.

mod segment;

use std::sync::Arc;

use super::heard::{Heard, back};
use super::tick::{Listener, Tick};
use crate::SAMPLES;
use crate::codec::{Codec, Encoder, Memory, PAYLOAD_MAX};
use crate::encoding::{ALIKE_AFTER, BEGUN_AFTER};
use crate::follows::Place;
use crate::limiter::Gain;
use crate::player::Pcm;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;
use segment::{Front, Segment, State};

/// Most passes that are kept, and octets of all of them: more than half an hour of Opus, or ten minutes of G.722. What is
/// being encoded while they are reached goes beyond.
const PASSES_MAX: usize = 512;
const OCTETS_MAX: usize = 16 << 20;
/// Ticks for which the passes of a document are kept that nobody hears: 10 s.
const KEPT_TICKS: u32 = 500;
/// Most segments that are not encoded to their end, each of which has an encoder.
const ENCODERS_MAX: usize = 256;

/// Whether what follows another encoder's work has to stand by itself.
fn stands_apart(codec: Codec) -> bool {
    matches!(codec, Codec::Opus(_))
}

/// Returns the ticks of a segment. What stands by itself takes more bits in Opus: half a second. In G.722 it takes nothing:
/// 200 ms.
const fn ticks(codec: Codec) -> usize {
    match codec {
        Codec::Opus(_) => 25,
        Codec::Pcmu | Codec::Pcma | Codec::G722 => 10,
    }
}

/// Returns for how many ticks one has to have heard a document alone that comes to what others hear of it. What stands
/// by itself asks for little more than that nothing else is held back, but it takes an encoder some time to find that
/// silence need not be sent.
fn alike_after(codec: Codec) -> u32 {
    match codec {
        Codec::Opus(options) if !options.dtx => BEGUN_AFTER,
        _ => ALIKE_AFTER,
    }
}

/// Where a segment begins: in which pass, and which it is of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    offset: usize,
    segment: usize,
}

/// What is heard.
#[derive(Debug, Default)]
pub struct Passes {
    all: Vec<Option<Box<Pass>>>,
    octets: usize,
    encoders: usize,
    last: u64,
}

/// One document, from `offset` samples after its beginning to its end. A short one is heard several times in a pass.
#[derive(Debug)]
struct Pass {
    number: u64,
    codec: Codec,
    loss: u8,
    pcm: Pcm,
    offset: usize,
    segments: Box<[Option<Box<Segment>>]>,
    octets: usize,
    /// Ticks in which nobody heard it.
    unheard: u32,
}

impl Passes {
    /// Ends a tick.
    pub fn finish(&mut self) {
        for index in 0..self.all.len() {
            let Some(pass) = &mut self.all[index] else { continue };
            pass.unheard += 1;
            if pass.unheard.is_multiple_of(KEPT_TICKS) && !self.is_document_heard(index) {
                self.let_go(index);
            }
        }
    }

    /// Whether anybody has heard the document of a pass lately, in whatever pass.
    fn is_document_heard(&self, index: usize) -> bool {
        let Some(pass) = &self.all[index] else { return false };
        let tick = Tick { codec: pass.codec, loss: pass.loss, pcm: &pass.pcm, at: 0 };
        let heard = |other: &Pass| other.is_of(&tick) && other.unheard < KEPT_TICKS;
        self.all.iter().flatten().any(|other| heard(other))
    }

    /// Returns what a leg is sent in this tick that others are sent as well, if it may be without a seam.
    pub fn payload(
        &mut self,
        tick: Tick<'_>,
        mut listener: Listener<'_>,
        count: &mut u64,
    ) -> Option<&[u8]> {
        let follows = &mut listener.own.follows;
        follows.ticks = follows.ticks.saturating_add(1);
        let place = match follows.place {
            Some(place) => {
                let place = self.go_on(place, tick);
                if place.is_none() {
                    self.release(&mut listener, tick.codec);
                }
                place
            }
            None => self.come(tick, &mut listener),
        }?;
        listener.own.follows.place = Some(Place { tick: place.tick + 1, ..place });
        let pass = self.all[place.pass].as_deref_mut()?;
        pass.unheard = 0;
        self.octets += pass.encode(place, count);
        self.all[place.pass].as_deref()?.segments[place.segment].as_deref()?.payload(place.tick)
    }

    /// Lets a leg encode for itself again, from where it is.
    pub fn release(&mut self, listener: &mut Listener<'_>, codec: Codec) {
        let follows = &mut listener.own.follows;
        follows.ticks = 0;
        let Some(place) = follows.place.take() else { return };
        let Some(Front { encoder, heard }) = self.leave(place) else {
            return listener.own.give(Box::new(Encoder::new(codec)));
        };
        listener.own.give(encoder);
        *listener.limiter = heard.limiter;
        match &mut *listener.resampler {
            Some(resampler) => **resampler = heard.resampler,
            None if heard.resampler.is_silent() => {}
            none => *none = Some(Box::new(heard.resampler)),
        }
    }

    fn pass(&self, place: Place) -> Option<&Pass> {
        self.all.get(place.pass)?.as_deref().filter(|pass| pass.number == place.number)
    }

    fn segment(&self, place: Place) -> Option<&Segment> {
        self.pass(place)?.segments.get(place.segment)?.as_deref()
    }

    fn segment_mut(&mut self, place: Place) -> Option<&mut Segment> {
        self.all.get_mut(place.pass)?.as_mut()?.segments.get_mut(place.segment)?.as_deref_mut()
    }

    /// Returns what goes on where a leg is.
    fn leave(&self, place: Place) -> Option<Front> {
        let (pass, segment) = (self.pass(place)?, self.segment(place)?);
        let state = segment.states.get(place.tick)?;
        let at = pass.at(place.segment, place.tick);
        let memory = segment.memories.get(place.tick);
        Some(pass.front(at, state.gain, state.led, memory))
    }

    /// Returns where a leg is in this tick that was sent the last one, if it may stay.
    fn go_on(&mut self, place: Place, tick: Tick<'_>) -> Option<Place> {
        let (pass, segment) = (self.pass(place)?, self.segment(place)?);
        let is_there = pass.codec == tick.codec
            && Arc::ptr_eq(&pass.pcm, tick.pcm)
            && pass.at(place.segment, place.tick) == tick.at;
        if !is_there || place.tick < segment.ticks {
            return is_there.then_some(place);
        }
        let start = Start::of(&tick)?;
        if let Some(next) = self.next(place, &tick, start) {
            self.take_front(place);
            return Some(next);
        }
        // Each segment ends with what leads over, so that the next one may begin with another's work as well.
        let goes_on = self.pass(place)?.loss == tick.loss;
        let front = match if goes_on { self.take_front(place) } else { None } {
            Some(front) => front,
            None => Box::new(self.leave(place)?),
        };
        self.begin(&tick, start, front)
    }

    /// Returns the segment that may follow the one at whose end a leg is, if there is one: in the same pass, else in the
    /// latest.
    fn next(&self, place: Place, tick: &Tick<'_>, start: Start) -> Option<Place> {
        let (pass, end) = (self.pass(place)?, self.segment(place)?);
        let follows = |other: &Pass| {
            let begin = other.segments.get(start.segment).and_then(Option::as_deref);
            other.is_at(tick, start)
                && begin.is_some_and(|begin| pass.leads_to(end, begin, tick.at))
        };
        if follows(pass) {
            return self.place(place.pass, start);
        }
        let others = self.all.iter().enumerate();
        let others = others.filter_map(|(index, other)| Some((index, other.as_deref()?)));
        let latest =
            others.filter(|(_, other)| follows(other)).max_by_key(|(_, other)| other.number);
        self.place(latest?.0, start)
    }

    /// Lets a leg in that was encoded for alone, where a segment begins.
    fn come(&mut self, tick: Tick<'_>, listener: &mut Listener<'_>) -> Option<Place> {
        let own = &mut *listener.own;
        if let Some(start) = Start::of(&tick)
            && own.follows.ticks > alike_after(tick.codec)
            && (own.has_led() || !stands_apart(tick.codec))
        {
            let found = self.find(&tick, start, true).and_then(|found| self.place(found, start));
            match found.and_then(|place| self.segment(place).map(|segment| (place, segment))) {
                Some((place, segment)) => {
                    if segment.admits(&tick, listener) {
                        listener.own.take()?;
                        return Some(place);
                    }
                }
                None => {
                    if self.make_room(tick.codec)
                        && let Some(encoder) = own.take()
                    {
                        return self.begin(&tick, start, listener.front(&tick, encoder));
                    }
                }
            }
        }
        let next = Tick { at: (tick.at + SAMPLES) % tick.pcm.len(), ..tick };
        if stands_apart(tick.codec)
            && listener.own.follows.ticks >= alike_after(tick.codec)
            && Start::of(&next).is_some()
        {
            listener.own.lead_over();
        }
        None
    }

    /// Returns the latest pass of a document with these ticks that has that segment, or has not.
    fn find(&self, tick: &Tick<'_>, start: Start, has: bool) -> Option<usize> {
        let is_it = |pass: &Pass| {
            pass.is_at(tick, start)
                && pass.segments.get(start.segment).is_some_and(|segment| segment.is_some() == has)
        };
        let all = self.all.iter().enumerate();
        let all = all.filter_map(|(index, pass)| Some((index, pass.as_deref()?)));
        let latest = all.filter(|(_, pass)| is_it(pass)).max_by_key(|(_, pass)| pass.number);
        latest.map(|(index, _)| index)
    }

    fn place(&self, pass: usize, start: Start) -> Option<Place> {
        let number = self.all.get(pass)?.as_ref()?.number;
        Some(Place { pass, number, segment: start.segment, tick: 0 })
    }

    /// Begins a segment that is not there.
    fn begin(&mut self, tick: &Tick<'_>, start: Start, front: Box<Front>) -> Option<Place> {
        if !self.make_room(tick.codec) {
            return None;
        }
        let index = match self.find(tick, start, false) {
            Some(index) => index,
            None => {
                self.last += 1;
                self.add(Pass::new(tick, start.offset, self.last))?
            }
        };
        let pass = self.all[index].as_deref_mut()?;
        let ticks = pass.ticks_of(start.segment);
        let slot = pass.segments.get_mut(start.segment)?;
        *slot = Some(Box::new(Segment::new(ticks, front)));
        self.encoders += 1;
        self.place(index, start)
    }

    fn add(&mut self, pass: Pass) -> Option<usize> {
        let free = self.all.iter().position(Option::is_none);
        let index = free.unwrap_or(self.all.len());
        if index >= PASSES_MAX {
            return None;
        }
        self.octets += pass.octets;
        let pass = Some(Box::new(pass));
        match self.all.get_mut(index) {
            Some(slot) => *slot = pass,
            None => self.all.push(pass),
        }
        Some(index)
    }

    /// Lets go of what nobody hears until there is room for a pass and a segment; returns whether there is.
    fn make_room(&mut self, codec: Codec) -> bool {
        let segment = ticks(codec) * size_of::<State>();
        loop {
            let is_full = self.all.len() >= PASSES_MAX && self.all.iter().all(Option::is_some);
            if !is_full && self.encoders < ENCODERS_MAX && self.octets + segment <= OCTETS_MAX {
                return true;
            }
            let unheard = |pass: &Option<Box<Pass>>| pass.as_ref().map_or(0, |pass| pass.unheard);
            let longest = self.all.iter().enumerate().max_by_key(|(_, pass)| unheard(pass));
            match longest {
                Some((index, pass)) if unheard(pass) > 1 => self.let_go(index),
                _ => return false,
            }
        }
    }

    fn let_go(&mut self, index: usize) {
        let Some(pass) = self.all[index].take() else { return };
        self.octets -= pass.octets;
        self.encoders -=
            pass.segments.iter().flatten().filter(|segment| segment.front.is_some()).count();
    }

    fn take_front(&mut self, place: Place) -> Option<Box<Front>> {
        let front = self.segment_mut(place)?.front.take();
        self.encoders -= usize::from(front.is_some());
        front
    }
}

impl Listener<'_> {
    /// Goes on, for all, with what encoded for one.
    fn front(&self, tick: &Tick<'_>, mut encoder: Box<Encoder>) -> Box<Front> {
        encoder.expect_loss(tick.loss);
        Box::new(Front { encoder, heard: self.heard(tick) })
    }

    fn heard(&self, tick: &Tick<'_>) -> Heard {
        let none = || Resampler::new(Rate::Narrow, tick.codec.rate());
        let resampler = self.resampler.as_deref().map_or_else(none, Resampler::clone);
        Heard { resampler, limiter: *self.limiter }
    }
}

impl Start {
    /// Returns which segment begins with a tick, if any does.
    fn of(tick: &Tick<'_>) -> Option<Self> {
        let (offset, number) = (tick.at % SAMPLES, tick.at / SAMPLES);
        let of_segment = ticks(tick.codec);
        let segment = number / of_segment;
        let begins = number.is_multiple_of(of_segment)
            && segment < segments(tick.codec, tick.pcm.len(), offset);
        begins.then_some(Self { offset, segment })
    }
}

/// Returns the ticks of a pass: to the end of the document, or of as many as it takes for a segment where that is short.
fn ticks_in_all(codec: Codec, length: usize, offset: usize) -> usize {
    let samples = length * (ticks(codec) * SAMPLES).div_ceil(length);
    (samples - offset).div_ceil(SAMPLES)
}

/// Returns the segments of a pass. What is left at its end is the last one's.
fn segments(codec: Codec, length: usize, offset: usize) -> usize {
    match length < ticks(codec) * SAMPLES {
        true => 1,
        false => (ticks_in_all(codec, length, offset) / ticks(codec)).max(1),
    }
}

impl Pass {
    fn new(tick: &Tick<'_>, offset: usize, number: u64) -> Self {
        let count = segments(tick.codec, tick.pcm.len(), offset);
        Self {
            number,
            codec: tick.codec,
            loss: tick.loss,
            pcm: tick.pcm.clone(),
            offset,
            segments: (0..count).map(|_| None).collect(),
            octets: size_of::<Self>() + count * size_of::<Option<Box<Segment>>>(),
            unheard: 0,
        }
    }

    fn is_of(&self, tick: &Tick<'_>) -> bool {
        self.loss == tick.loss && self.codec == tick.codec && Arc::ptr_eq(&self.pcm, tick.pcm)
    }

    fn is_at(&self, tick: &Tick<'_>, start: Start) -> bool {
        self.offset == start.offset && self.is_of(tick)
    }

    /// Whether one who has heard a segment of this pass to its end may be sent another one, which begins at `at`: whoever
    /// encoded that had heard the same for a while, and remembered what its end does, or nearly.
    fn leads_to(&self, end: &Segment, begin: &Segment, at: usize) -> bool {
        let (Some(last), Some(first)) = (end.states.last(), begin.states.first()) else {
            return false;
        };
        let (Some(one), Some(other)) = (end.memories.last(), begin.memories.first()) else {
            return last.gain.is_like(first.gain);
        };
        let is_near = || {
            let (mut frame, rate) = ([0; SAMPLES_MAX], self.codec.rate());
            let frame = &mut frame[..rate.samples()];
            Heard::at(&self.pcm, at, rate, last.gain).next(&self.pcm, at, rate, frame);
            one.is_near_enough(other, frame)
        };
        last.gain.is_like(first.gain) && (one == other || is_near())
    }

    /// Returns the ticks of one of its segments.
    fn ticks_of(&self, segment: usize) -> usize {
        if segment + 1 < self.segments.len() {
            return ticks(self.codec);
        }
        let all = ticks_in_all(self.codec, self.pcm.len(), self.offset);
        all - segment * ticks(self.codec)
    }

    /// Returns where in the document a tick of a segment begins.
    fn at(&self, segment: usize, tick: usize) -> usize {
        let tick = segment * ticks(self.codec) + tick;
        (self.offset + tick * SAMPLES) % self.pcm.len()
    }

    /// Returns what goes on from `at` on, where a far end has heard this document.
    fn front(&self, at: usize, gain: Gain, led: bool, memory: Option<&Memory>) -> Front {
        let (rate, pcm) = (self.codec.rate(), &self.pcm);
        if let Some(memory) = memory {
            let encoder = Box::new(Encoder::remembering(memory));
            return Front { encoder, heard: Heard::at(pcm, at, rate, gain) };
        }
        let [before, last] = [2, 1].map(|ticks| back(pcm, at, ticks * SAMPLES));
        let mut heard = Heard::at(pcm, before, rate, gain);
        let mut frames = [[0; SAMPLES_MAX]; 2];
        for (frame, at) in frames.iter_mut().zip([before, last]) {
            heard.next(pcm, at, rate, &mut frame[..rate.samples()]);
        }
        let frames = frames.each_ref().map(|frame| &frame[..rate.samples()]);
        let mut encoder = Box::new(Encoder::after(self.codec, frames, led));
        encoder.expect_loss(self.loss);
        heard.limiter.set_gain(gain);
        Front { encoder, heard }
    }

    /// Encodes a tick, once, and counts that; returns how many octets that takes.
    fn encode(&mut self, place: Place, count: &mut u64) -> usize {
        let (at, rate) = (self.at(place.segment, place.tick), self.codec.rate());
        let Some(segment) = &mut self.segments[place.segment] else { return 0 };
        if place.tick + 1 < segment.states.len() {
            return 0;
        }
        let Some(front) = &mut segment.front else { return 0 };
        let (mut frame, mut payload) = ([0; SAMPLES_MAX], [0; PAYLOAD_MAX]);
        let frame = &mut frame[..rate.samples()];
        front.heard.next(&self.pcm, at, rate, frame);
        if place.tick + 1 == segment.ticks {
            front.encoder.stand_apart();
        }
        let length = front.encoder.encode(frame, &mut payload);
        *count += 1;
        let octets = segment.push(&payload[..length]);
        self.octets += octets;
        octets
    }
}

#[cfg(test)]
mod tests;
