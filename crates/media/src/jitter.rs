//! The jitter buffer: samples by their RTP timestamp, and a play-out clock of its own.
//!
//! The buffer is a ring of samples, so packets of any length, order and number fit without
//! allocation; those of a codec that is decoded in order wait before it as they came. Delay follows the network: the play-out point stays behind the fastest packet by
//! as much as the slowest one of the last seconds was later.

mod pauses;
mod pitch;
#[cfg(test)]
mod tests;
mod transits;

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, Step};
use crate::codec::{Codec, PCM_MAX};
use crate::conceal::{AHEAD, Concealer, GAP_MAX, between};
use crate::g711;
use crate::rate::{Rate, SAMPLES_MAX};
use transits::Transits;

/// The hard bound of all delay and memory: what is further off than this is not kept.
const HORIZON_MS: i64 = 512;
/// The ring of a codec whose packets wait as they came: its longest packet, and a tick.
const DECODED_MS: i64 = 160;
/// The ring of any other as long as the network needs no more: legs are many, and what their rings hold pushes each
/// other out of the processor's caches. It has room for what concealment looks at.
const USUAL_MS: i64 = 128;
const _: () = assert!(USUAL_MS * 8 >= (160 + GAP_MAX + AHEAD) as i64);
/// The longest delay that any setting allows.
pub const DELAY_MAX: Duration = Duration::from_millis(300);
/// Added to what the network needs, until it is known and from then on.
const MARGIN_MS: [i64; 2] = [5, 2];
/// The least that is assumed of a network, until it is known and from then on.
const DEVIATION_MIN_MS: [i64; 2] = [10, 1];
/// When a network is known.
const KNOWN_AFTER_MS: i64 = 5_000;
/// How much too short the delay may be before play-out is moved, until the network is known and
/// from then on; and how much too long, or by half of how much the network's delay varies.
const SHORT_MS: [i64; 2] = [5, 2];
const LONG_MS: [i64; 2] = [10, 3];
/// Up to which deviation packets are played whole.
const CALM_MS: i64 = 10;
/// How often something must have been missing of late for play-out to wait for more, and how much more at most.
const GAPS_MIN: u32 = 2;
const PATIENCE_MAX_MS: i64 = 60;
/// Most samples at 8 kHz by which a tick is stretched, because packets come too late: 2.5 %.
const STRETCH_MAX: i64 = 4;
/// Most samples at 8 kHz by which a tick is squeezed, which has time: 0.6 %, a tenth of a semitone.
const SQUEEZE_MAX: i64 = 1;
/// A sixteenth of how long a delay is remembered.
const WINDOW_MS: i64 = 500;

/// Most that is looked ahead, at the highest rate.
const AHEAD_MAX: usize = 6 * AHEAD;

/// Stands in the ring where no sample is; no decoder leaves it there.
const ABSENT: i16 = i16::MIN;

/// How much delay the buffer may add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At most; [`DELAY_MAX`] is the most that can be asked for.
    pub delay_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { delay_max: DELAY_MAX }
    }
}

/// What a packet did to the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It will be heard.
    InTime,
    /// Its time has passed.
    Late,
    /// It holds no sound of its codec.
    Malformed,
}

/// One leg's buffer.
#[derive(Debug)]
pub struct Jitter {
    rate: Rate,
    /// Samples in a millisecond.
    per_ms: i64,
    /// Samples in a step of the RTP clock.
    per_step: i64,
    ring: Box<[i16]>,
    /// What has to be decoded in order; what need not is in the ring at once.
    backlog: Option<Box<Backlog>>,
    concealer: Concealer,
    bounds: Bounds,
    epoch: Option<Instant>,
    last_timestamp: u32,
    unwrapped: i64,
    /// First sample that is not played yet, and first that was never received.
    play: i64,
    newest: i64,
    /// When the first packet came; then, a frame was read and play-out has its place.
    began: Option<i64>,
    aligned: bool,
    /// The next tick may leave out what makes it late.
    catches_up: bool,
    transits: Transits,
    /// Whether something is missing; whether something began to be since the last packet came.
    missing: bool,
    missed: bool,
    /// Play-out waits for the packet after one that was lost.
    patient: bool,
    /// Where the last packet begins, and its samples.
    position: i64,
    packet: i64,
    /// The far end said that it is silent: a gap is silence, not loss.
    silent: bool,
    /// So is what is missing before this place.
    paused: i64,
    /// Play-out is on its way to where it should be.
    moving: bool,
    /// Ticks until it may be moved by a period again.
    rests: u8,
}

/// Returns the places of `length` samples from `position` on, before and after the ring's end.
fn halves(ring: usize, position: i64, length: usize) -> (Range<usize>, Range<usize>) {
    let start = position.rem_euclid(ring as i64) as usize;
    let first = length.min(ring - start);
    (start..start + first, 0..length - first)
}

impl Jitter {
    pub fn new(codec: Codec, bounds: Bounds) -> Self {
        let rate = codec.rate();
        let per_ms = i64::from(rate.hertz() / 1_000);
        let ring = per_ms * if codec.is_stateless() { USUAL_MS } else { DECODED_MS };
        Self {
            rate,
            per_ms,
            per_step: i64::from(rate.hertz() / codec.clock()),
            ring: vec![ABSENT; ring as usize].into(),
            backlog: (!codec.is_stateless()).then(|| Box::new(Backlog::new(codec))),
            concealer: Concealer::at(rate),
            bounds,
            epoch: None,
            last_timestamp: 0,
            unwrapped: 0,
            play: 0,
            newest: 0,
            began: None,
            aligned: false,
            catches_up: false,
            transits: Transits::new(),
            missing: true,
            missed: false,
            patient: false,
            position: 0,
            packet: 0,
            silent: false,
            paused: i64::MIN,
            moving: false,
            rests: 0,
        }
    }

    pub fn set_bounds(&mut self, bounds: Bounds) {
        // What is too much now is given up at once: whoever is bound has just come, and was not heard before.
        self.catches_up |= bounds.delay_max < self.bounds.delay_max;
        self.bounds = bounds;
    }

    /// Forgets the timeline: another source speaks, or its timestamps jumped.
    pub fn reset(&mut self) {
        self.ring.fill(ABSENT);
        if let Some(backlog) = &mut self.backlog {
            backlog.clear();
        }
        self.began = None;
        self.aligned = false;
        self.transits.reset();
        self.patient = false;
        self.missing = true; // At first nothing is there, and nothing is lost by that.
        self.missed = false;
        self.silent = false;
        self.paused = i64::MIN;
        self.moving = false;
        self.rests = 0;
    }

    /// Gives play-out its place anew with the next tick, where it is too late: nobody hears the step.
    pub fn catch_up(&mut self) {
        self.catches_up = true;
    }

    /// Reads something of each line of memory that a tick reads; returns anything that depends on it.
    pub fn prefetch(&self) -> u64 {
        let own = self.play as u64 | u64::from(self.missing);
        own | self.transits.prefetch() | self.concealer.prefetch()
    }

    /// Takes a packet that came at `at`.
    pub fn insert(&mut self, timestamp: u32, payload: &[u8], codec: Codec, at: Instant) -> Taken {
        let length = match &self.backlog {
            Some(backlog) => backlog.samples(payload),
            None => Some(payload.len()),
        };
        let Some(length) = length else { return Taken::Malformed };
        self.packet = length as i64;
        let position = self.unwrap(timestamp) * self.per_step;
        self.position = position;
        let horizon = HORIZON_MS * self.per_ms;
        if self.began.is_some() && (position - self.play).abs() > horizon {
            self.reset();
        }
        let now = self.clock(at);
        self.observe(now, position);
        if self.began.is_none() {
            self.began = Some(now);
            self.newest = position;
            self.play = position;
        }
        self.silent = false;
        self.missed = false;
        if position < self.play {
            self.transits.found();
        }
        // Of what is too early or too late, nothing is kept.
        let end = (position + length as i64).min(self.play + horizon);
        if position.max(self.play) >= end {
            return Taken::Late;
        }
        let in_time = match &mut self.backlog {
            Some(backlog) => {
                // The far end's way to say that it sends nothing for a while.
                self.silent = payload.len() <= 2;
                backlog.keep(position, length, payload)
            }
            None => {
                self.make_room(end);
                // Each by itself, so that no call is made for an octet.
                match codec {
                    Codec::Pcma => self.write(position, payload, |&o| g711::alaw_to_linear(o)),
                    _ => self.write(position, payload, |&o| g711::ulaw_to_linear(o)),
                }
                true
            }
        };
        self.newest = self.newest.max(end);
        if in_time { Taken::InTime } else { Taken::Late }
    }

    /// Fills one tick; returns how many of its samples were concealed, or nothing while there
    /// has been no sound at all.
    pub fn read(&mut self, frame: &mut [i16], at: Instant) -> Option<usize> {
        self.began?;
        let now = self.clock(at);
        let wanted = self.wanted(now);
        if !std::mem::replace(&mut self.aligned, true) {
            // The time of the first packet says nothing about that of the tick.
            self.play = wanted;
        }
        if std::mem::take(&mut self.catches_up) && self.play < wanted {
            self.let_go(((wanted - self.play) as usize).min(self.ring.len()));
            self.play = wanted;
        }
        let off = wanted - self.play;
        if off.abs() > 2 * HORIZON_MS * self.per_ms {
            self.reset();
            return None;
        }
        let nothing_buffered = self.newest <= self.play;
        let (short, long) = self.slack(now);
        if nothing_buffered && (off > long || off < -short) {
            // Nothing is heard, so nothing is lost by going there at once.
            self.play = wanted;
        }
        let scale = self.per_ms / 8;
        let near = STRETCH_MAX * scale;
        // What is too short by a little is too short in every tick.
        self.moving =
            off < -short || off > if self.moving { near } else { long } || self.moving && off < 0;
        let moves = self.moving && !nothing_buffered;
        let slip = if moves { off.clamp(-near, SQUEEZE_MAX * scale) } else { 0 };
        let by_pitch = if moves { self.by_pitch(frame, off) } else { None };
        let concealed = if let Some(made_up) = by_pitch {
            made_up
        } else if slip == 0 {
            self.take(frame)
        } else {
            let mut stretched = [0; SAMPLES_MAX + SAMPLES_MAX / 160];
            let length = (frame.len() as i64 + slip) as usize;
            let concealed = self.take(&mut stretched[..length]);
            stretch(&stretched[..length], frame);
            concealed
        };
        self.miss(concealed);
        Some(concealed)
    }

    /// Returns for how long a packet has waited at `at` since it could be played, and how often one comes in step
    /// with ticks; nothing where they do not come evenly.
    pub fn waits(&self, at: Instant) -> Option<(Duration, Duration)> {
        let passed = at.saturating_duration_since(self.epoch?);
        let now = self.samples_in(passed);
        if !self.is_calm(now) {
            return None;
        }
        let (ready, grid) = (self.ready(now)?, self.grid());
        let waits = (ready - self.position).rem_euclid(grid);
        let time = |samples: i64| Duration::from_micros((samples * 1_000 / self.per_ms) as u64);
        Some((time(waits), time(grid)))
    }

    /// Returns the delay that is added, in milliseconds.
    pub fn delay_ms(&self) -> f32 {
        let samples = if self.began.is_some() { self.newest - self.play } else { 0 };
        samples.clamp(0, HORIZON_MS * self.per_ms) as f32 / self.per_ms as f32
    }

    /// Makes the ring twice as long, or more, where sound up to `end` does not fit.
    fn make_room(&mut self, end: i64) {
        let needed = (end - self.play).max(0) as usize;
        if needed <= self.ring.len() {
            return;
        }
        let most = (HORIZON_MS * self.per_ms) as usize;
        let mut longer = vec![ABSENT; needed.next_power_of_two().min(most)];
        for position in self.play..self.newest {
            let [from, to] = [self.ring.len(), longer.len()]
                .map(|length| position.rem_euclid(length as i64) as usize);
            longer[to] = self.ring[from];
        }
        self.ring = longer.into();
    }

    /// Writes sound to the ring, but for what is played already and what does not fit.
    fn write<T>(&mut self, position: i64, sound: &[T], decode: impl Fn(&T) -> i16) {
        let end = (position + sound.len() as i64).min(self.play + self.ring.len() as i64);
        let start = position.max(self.play);
        if start >= end {
            return;
        }
        let sound = &sound[(start - position) as usize..(end - position) as usize];
        let (first, second) = halves(self.ring.len(), start, sound.len());
        let (early, late) = sound.split_at(first.len());
        for (slots, sound) in [(first, early), (second, late)] {
            for (sample, heard) in self.ring[slots].iter_mut().zip(sound) {
                *sample = decode(heard);
            }
        }
    }

    /// Decodes what is due before `end`; returns how much of it the codec made up.
    fn decode_until(&mut self, end: i64) -> usize {
        let mut concealed = 0;
        let Some(mut backlog) = self.backlog.take() else { return 0 };
        let mut pcm = [0; PCM_MAX];
        while let Some((position, length, step)) = backlog.step(self.play, end, &mut pcm) {
            if step == Step::Concealed && !self.is_silent() {
                concealed += length;
            }
            self.write(position, &pcm[..length], |&sample| sample.max(-i16::MAX));
        }
        self.backlog = Some(backlog);
        concealed
    }

    /// Plays `out.len()` samples from the ring.
    fn take(&mut self, out: &mut [i16]) -> usize {
        if self.backlog.is_none() && self.newest <= self.play && self.concealer.is_silent() {
            // Nobody sends: there is nothing to look for, and nothing to make up.
            out.fill(0);
            self.play += out.len() as i64;
            return if self.is_silent() { 0 } else { out.len() };
        }
        let made_up = self.decode_until(self.play + out.len() as i64);
        let (first, second) = halves(self.ring.len(), self.play, out.len());
        if lacks(&self.ring[first.clone()]) || lacks(&self.ring[second.clone()]) {
            return made_up + self.take_in_parts(out);
        }
        let (early, late) = out.split_at_mut(first.len());
        early.copy_from_slice(&self.ring[first.clone()]);
        late.copy_from_slice(&self.ring[second.clone()]);
        self.concealer.received(out);
        self.let_go(out.len());
        made_up
    }

    /// Plays what is there and conceals what is not.
    fn take_in_parts(&mut self, out: &mut [i16]) -> usize {
        let (play, ring) = (self.play, self.ring.len() as i64);
        let slot = |index: usize| (play + index as i64).rem_euclid(ring) as usize;
        let mut concealed = 0;
        let mut start = 0;
        while start < out.len() {
            let present = self.ring[slot(start)] != ABSENT;
            let end = (start..out.len())
                .find(|&index| (self.ring[slot(index)] != ABSENT) != present)
                .unwrap_or(out.len());
            for (index, sample) in out.iter_mut().enumerate().take(end).skip(start) {
                let played = std::mem::replace(&mut self.ring[slot(index)], ABSENT);
                *sample = if present { played } else { 0 };
            }
            if present {
                self.concealer.received(&mut out[start..end]);
            } else {
                let mut ahead = [0; AHEAD_MAX];
                let (rest, known) = self.ahead(play + end as i64, &mut ahead);
                self.concealer.conceal(&mut out[start..end], rest, &ahead[..known]);
                concealed += if self.is_silent() { 0 } else { end - start };
            }
            start = end;
        }
        self.play += out.len() as i64;
        concealed
    }

    /// Gives what follows a gap that goes on at `position`; returns how much more of that is missing, and
    /// how much is known of what follows it.
    fn ahead(&self, position: i64, ahead: &mut [i16; AHEAD_MAX]) -> (usize, usize) {
        let (per_sample, ring) = ((self.per_ms / 8) as usize, self.ring.len() as i64);
        let at = |index: usize| self.ring[(position + index as i64).rem_euclid(ring) as usize];
        let Some(rest) = (0..GAP_MAX * per_sample).find(|&index| at(index) != ABSENT) else {
            return (0, 0);
        };
        for (index, sample) in ahead[..AHEAD * per_sample].iter_mut().enumerate() {
            *sample = at(rest + index);
            if *sample == ABSENT {
                return (rest, index);
            }
        }
        (rest, AHEAD * per_sample)
    }

    /// Returns 1 where the network is known, else 0.
    fn known(&self, now: i64) -> usize {
        self.began.is_some_and(|began| now - began > KNOWN_AFTER_MS * self.per_ms).into()
    }

    /// Returns where play-out should be: behind the fastest packet by the slowest one's delay.
    fn wanted(&self, now: i64) -> i64 {
        let tick = self.rate.samples() as i64;
        match self.ready(now) {
            Some(ready) if self.is_calm(now) => ready + self.whole(ready) - tick,
            Some(ready) => ready - tick,
            None => self.play + tick, // No packet yet: as before.
        }
    }

    /// Returns up to where all packets that begin there or before are surely there.
    fn ready(&self, now: i64) -> Option<i64> {
        let known = self.known(now);
        let (least, deviation) = self.transits.spread(known > 0)?;
        let bound = self.samples_in(self.bounds.delay_max.min(DELAY_MAX));
        let assumed = DEVIATION_MIN_MS[known] * self.per_ms;
        let deviation = deviation.max(assumed).min(bound);
        let margin = MARGIN_MS[known] * self.per_ms;
        Some(now - least - deviation - self.patience(bound - deviation) - margin)
    }

    /// Returns after how many samples a packet comes at the same time of a tick again.
    fn grid(&self) -> i64 {
        common_divisor(self.packet, self.rate.samples() as i64)
    }

    /// Whether packets come so evenly that each is played as soon as it is there.
    fn is_calm(&self, now: i64) -> bool {
        let spread = self.transits.spread(self.known(now) > 0);
        self.packet > 0 && spread.is_some_and(|(_, deviation)| deviation <= CALM_MS * self.per_ms)
    }

    /// Returns how much is there at every tick beyond the place up to which packets have begun that are `ready`: they
    /// come whole, so that their ends need not wait for as long as their beginnings may have to.
    fn whole(&self, ready: i64) -> i64 {
        let tick = self.rate.samples() as i64;
        let grid = self.grid();
        let begun = (ready - self.position).rem_euclid(grid);
        let more = grid - begun;
        // It stays where it is while that is hardly too much, and while hardly more is there.
        let off = |more| ready - tick + more - self.play;
        let is_at = |more| self.aligned && (0..=self.per_ms).contains(&off(more));
        if more <= self.per_ms && is_at(more + grid) {
            more + grid
        } else if begun <= self.per_ms && is_at(more - grid) {
            more - grid
        } else {
            more
        }
    }

    /// Returns how much longer play-out waits, of what `room` is left, for the packet after one that was
    /// lost: both together tell more of what lay between them than the one before it alone.
    fn patience(&self, room: i64) -> i64 {
        let of_use = self.backlog.as_ref().is_none_or(|backlog| backlog.looks_back());
        if !self.patient || !of_use {
            return 0;
        }
        self.packet.min(PATIENCE_MAX_MS * self.per_ms).min(room)
    }

    /// Counts what began to be missing.
    fn miss(&mut self, concealed: usize) {
        let missing = concealed > 0;
        if missing && !std::mem::replace(&mut self.missing, missing) {
            self.transits.missed();
            self.missed = true;
        }
        self.missing = missing;
        // What is sent a second time need not be missing: there one that was lost is enough, for a long while.
        let repeats = self.backlog.as_ref().is_some_and(|backlog| backlog.repeats());
        // Once it waits, one is enough: each time that play-out moves, something is stretched.
        let enough = if self.patient { 1 } else { GAPS_MIN };
        self.patient = self.transits.gaps() >= enough || repeats && self.transits.loses();
    }

    /// Returns by how much the delay may be too short, and too long.
    fn slack(&self, now: i64) -> (i64, i64) {
        let known = self.known(now);
        let varies = self.transits.spread(known > 0).map_or(0, |(_, deviation)| deviation / 2);
        let short = if self.is_calm(now) { 0 } else { SHORT_MS[known] * self.per_ms };
        (short, varies.max(LONG_MS[known] * self.per_ms))
    }

    fn observe(&mut self, now: i64, position: i64) {
        self.transits.observe(now / (WINDOW_MS * self.per_ms), now - position);
    }

    fn samples_in(&self, duration: Duration) -> i64 {
        crate::samples_in(duration).saturating_mul(self.per_ms / 8)
    }

    fn clock(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        let passed = at.saturating_duration_since(epoch);
        let nanos = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX);
        nanos.saturating_mul(self.per_ms) / 1_000_000
    }

    fn unwrap(&mut self, timestamp: u32) -> i64 {
        let step = timestamp.wrapping_sub(self.last_timestamp) as i32;
        self.unwrapped += i64::from(step);
        self.last_timestamp = timestamp;
        self.unwrapped
    }
}

fn common_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

/// Whether a sample is missing. All are looked at, side by side: as a rule none is.
fn lacks(sound: &[i16]) -> bool {
    sound.iter().fold(false, |lacks, &sample| lacks | (sample == ABSENT))
}

/// Spreads `sound` evenly over `frame`, by a cubic curve through four samples.
fn stretch(sound: &[i16], frame: &mut [i16]) {
    let ratio = (sound.len() - 1) as f32 / (frame.len() - 1) as f32;
    for (index, out) in frame.iter_mut().enumerate() {
        *out = crate::saturate(crate::rounded(between(sound, index as f32 * ratio)));
    }
}
