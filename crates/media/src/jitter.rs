//! The jitter buffer: samples by their RTP timestamp, and a play-out clock of its own.
//!
//! The buffer is a ring of samples, so packets of any length, order and number fit without
//! allocation. Delay follows the network: the play-out point stays behind the fastest packet by
//! as much as the slowest one of the last seconds was later.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::conceal::Concealer;
use crate::{SAMPLES, samples_in};

/// Samples in the ring: the hard bound of all delay and memory, 512 ms.
const RING: usize = 4_096;
/// The longest delay that any setting allows.
pub const DELAY_MAX: Duration = Duration::from_millis(300);
/// Added to what the network needs: 5 ms.
const MARGIN: i64 = 40;
/// Assumed of a network that is not known yet: 10 ms.
const FIRST_DEVIATION: i64 = 80;
/// How far play-out may be from where it should be before it is moved: 10 ms.
const SLACK: i64 = 80;
/// Most samples by which a frame is stretched, because packets come too late to be heard: 2.5 %.
const STRETCH_MAX: i64 = 4;
/// Most samples by which a frame is squeezed, which has time: 0.6 %, a tenth of a semitone.
const SQUEEZE_MAX: i64 = 1;
/// How long a delay is remembered, in eighths.
const WINDOW: Duration = Duration::from_millis(500);

/// Stands in the ring where no sample is: no G.711 octet means it.
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
}

/// One leg's buffer.
#[derive(Debug)]
pub struct Jitter {
    ring: Box<[i16; RING]>,
    concealer: Concealer,
    bounds: Bounds,
    epoch: Option<Instant>,
    last_timestamp: u32,
    unwrapped: i64,
    /// First sample that is not played yet, and first that was never received.
    play: i64,
    newest: i64,
    /// A packet has come; then, a frame was read and play-out has its place.
    started: bool,
    aligned: bool,
    /// Least and greatest transit in each of the last eighths of the window.
    transits: [(i64, i64); 8],
    eighth: i64,
    /// The far end said that it is silent: a gap is silence, not loss.
    silent: bool,
    /// Play-out is on its way to where it should be.
    moving: bool,
}

/// Returns the places of `length` samples from `position` on, before and after the ring's end.
fn halves(position: i64, length: usize) -> (Range<usize>, Range<usize>) {
    let start = position.rem_euclid(RING as i64) as usize;
    let first = length.min(RING - start);
    (start..start + first, 0..length - first)
}

const NO_TRANSIT: (i64, i64) = (i64::MAX, i64::MIN);

impl Jitter {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            ring: Box::new([ABSENT; RING]),
            concealer: Concealer::new(),
            bounds,
            epoch: None,
            last_timestamp: 0,
            unwrapped: 0,
            play: 0,
            newest: 0,
            started: false,
            aligned: false,
            transits: [NO_TRANSIT; 8],
            eighth: 0,
            silent: false,
            moving: false,
        }
    }

    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Forgets the timeline: another source speaks, or its timestamps jumped.
    pub fn reset(&mut self) {
        self.ring.fill(ABSENT);
        self.started = false;
        self.aligned = false;
        self.transits = [NO_TRANSIT; 8];
        self.silent = false;
        self.moving = false;
    }

    /// Takes a packet that came at `at`, decoded by `decode`.
    pub fn insert(
        &mut self,
        timestamp: u32,
        payload: &[u8],
        decode: impl Fn(u8) -> i16,
        at: Instant,
    ) -> Taken {
        let position = self.unwrap(timestamp);
        if self.started && (position - self.play).unsigned_abs() > RING as u64 {
            self.reset();
        }
        let now = self.clock(at);
        self.observe(now, position);
        if !self.started {
            self.started = true;
            self.newest = position;
            self.play = position;
        }
        self.silent = false;
        // Of what is too early or too late, nothing is kept.
        let end = (position + payload.len() as i64).min(self.play + RING as i64);
        let start = position.max(self.play);
        if start >= end {
            return Taken::Late;
        }
        let payload = &payload[(start - position) as usize..(end - position) as usize];
        let (first, second) = halves(start, payload.len());
        let (early, late) = payload.split_at(first.len());
        for (slots, octets) in [(first, early), (second, late)] {
            for (sample, &octet) in self.ring[slots].iter_mut().zip(octets) {
                *sample = decode(octet);
            }
        }
        self.newest = self.newest.max(end);
        Taken::InTime
    }

    /// The far end stops sending because nobody speaks.
    pub fn silence(&mut self) {
        self.silent = true;
    }

    /// Fills one frame; returns how many of its samples were concealed, or nothing while there
    /// has been no sound at all.
    pub fn read(&mut self, frame: &mut [i16; SAMPLES], at: Instant) -> Option<usize> {
        if !self.started {
            return None;
        }
        let now = self.clock(at);
        let wanted = self.wanted(now);
        if !std::mem::replace(&mut self.aligned, true) {
            // The time of the first packet says nothing about that of the tick.
            self.play = wanted;
        }
        let off = wanted - self.play;
        if off.abs() > 2 * RING as i64 {
            self.reset();
            return None;
        }
        let nothing_buffered = self.newest <= self.play;
        if nothing_buffered && off.abs() > SLACK {
            // Nothing is heard, so nothing is lost by going there at once.
            self.play = wanted;
        }
        self.moving = off.abs() > if self.moving { STRETCH_MAX } else { SLACK };
        let slip =
            if self.moving && !nothing_buffered { off.clamp(-STRETCH_MAX, SQUEEZE_MAX) } else { 0 };
        if slip == 0 {
            return Some(self.take(frame));
        }
        let mut stretched = [0; SAMPLES + SQUEEZE_MAX as usize];
        let length = (SAMPLES as i64 + slip) as usize;
        let concealed = self.take(&mut stretched[..length]);
        let ratio = (length - 1) as f32 / (SAMPLES - 1) as f32;
        for (index, out) in frame.iter_mut().enumerate() {
            let place = index as f32 * ratio;
            let left = (place as usize).min(length - 2);
            let weight = place - left as f32;
            let (a, b) = (f32::from(stretched[left]), f32::from(stretched[left + 1]));
            *out = (a + (b - a) * weight).round() as i16;
        }
        Some(concealed)
    }

    /// Returns the delay that is added at `at`, in samples.
    pub fn delay(&self) -> i64 {
        if self.started { (self.newest - self.play).clamp(0, RING as i64) } else { 0 }
    }

    /// Plays `out.len()` samples from the ring.
    fn take(&mut self, out: &mut [i16]) -> usize {
        let (first, second) = halves(self.play, out.len());
        let present = |slots: &Range<usize>| !self.ring[slots.clone()].contains(&ABSENT);
        if !(present(&first) && present(&second)) {
            return self.take_in_parts(out);
        }
        let (early, late) = out.split_at_mut(first.len());
        early.copy_from_slice(&self.ring[first.clone()]);
        late.copy_from_slice(&self.ring[second.clone()]);
        self.ring[first].fill(ABSENT);
        self.ring[second].fill(ABSENT);
        self.concealer.received(out);
        self.play += out.len() as i64;
        0
    }

    /// Plays what is there and conceals what is not.
    fn take_in_parts(&mut self, out: &mut [i16]) -> usize {
        let play = self.play;
        let slot = |index: usize| (play + index as i64).rem_euclid(RING as i64) as usize;
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
                self.concealer.conceal(&mut out[start..end]);
                concealed += if self.silent { 0 } else { end - start };
            }
            start = end;
        }
        self.play += out.len() as i64;
        concealed
    }

    /// Returns where play-out should be: behind the fastest packet by the slowest one's delay.
    fn wanted(&self, now: i64) -> i64 {
        let least = self.transits.iter().map(|t| t.0).min().unwrap_or(i64::MAX);
        let greatest = self.transits.iter().map(|t| t.1).max().unwrap_or(i64::MIN);
        if least > greatest {
            return self.play + SAMPLES as i64; // No packet for seconds: as before.
        }
        let bound = samples_in(self.bounds.delay_max.min(DELAY_MAX));
        let deviation = (greatest - least).max(FIRST_DEVIATION.min(bound)).min(bound);
        now - least - deviation - MARGIN - SAMPLES as i64
    }

    fn observe(&mut self, now: i64, position: i64) {
        let eighth = now / samples_in(WINDOW).max(1);
        // Over a pause the last values stay: they are the best that is known.
        if eighth != self.eighth {
            for passed in 1..=(eighth - self.eighth).clamp(1, 8) {
                self.transits[(self.eighth + passed).rem_euclid(8) as usize] = NO_TRANSIT;
            }
            self.eighth = eighth;
        }
        let transit = now - position;
        let (least, greatest) = &mut self.transits[eighth.rem_euclid(8) as usize];
        *least = transit.min(*least);
        *greatest = transit.max(*greatest);
    }

    fn clock(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        samples_in(at.saturating_duration_since(epoch))
    }

    fn unwrap(&mut self, timestamp: u32) -> i64 {
        let step = timestamp.wrapping_sub(self.last_timestamp) as i32;
        self.unwrapped += i64::from(step);
        self.last_timestamp = timestamp;
        self.unwrapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711;

    /// Returns the greatest delay, in milliseconds, when every other packet is 200 ms late.
    #[allow(clippy::disallowed_methods)] // An epoch.
    fn delay_of_a_bad_network(delay_max: Duration) -> i64 {
        let mut jitter = Jitter::new(Bounds { delay_max });
        let start = Instant::now();
        let mut greatest = 0;
        for tick in 0..1_000_u32 {
            let at = start + Duration::from_millis(20) * tick;
            let number = if tick % 2 == 0 { tick.checked_sub(10) } else { Some(tick) };
            if let Some(number) = number {
                jitter.insert(number * SAMPLES as u32, &[0; SAMPLES], |_| 0, at);
            }
            jitter.read(&mut [0; SAMPLES], at);
            if tick > 900 {
                greatest = greatest.max(jitter.delay() / 8);
            }
        }
        greatest
    }

    #[test]
    fn a_bound_is_kept_however_late_packets_come() {
        assert!(delay_of_a_bad_network(DELAY_MAX) > 180);
        let bounded = delay_of_a_bad_network(Duration::from_millis(60));
        assert!(bounded < 110, "60 ms and two frames: {bounded} ms");
    }

    #[test]
    fn no_octet_means_that_there_is_no_sample() {
        for octet in 0..=255 {
            assert_ne!(g711::ulaw_to_linear(octet), ABSENT);
            assert_ne!(g711::alaw_to_linear(octet), ABSENT);
        }
    }
}
