//! Time-scale change by pitch: a period is left out or said twice, which nobody hears, while speech keeps its pitch.

use super::{Jitter, halves};
use crate::conceal::{LAGS, period};
use crate::rate::SAMPLES_MAX;

/// Most samples that a period has at the highest rate.
const LAG_MAX: usize = 6 * (LAGS.end - 1);
/// How alike two periods must be, 0 to 1, of which one is left out; and where play-out is far too late.
const ALIKE: [f32; 2] = [0.9, 0.5];
/// How much too late that is.
const FAR_MS: i64 = 60;
/// What is softer than this may be unlike: 50 dB below overload.
const SOFT: f32 = 100.0;
/// Ticks between two changes, unless play-out is far too late, and after a try that found nothing.
const RESTS: u8 = 2;

impl Jitter {
    /// Fills a tick with a period more or less of the sound than it takes, where play-out is off by so many samples
    /// and that can be done unheard; returns how many of its samples were concealed, or nothing where it cannot.
    pub(super) fn by_pitch(&mut self, frame: &mut [i16], off: i64) -> Option<usize> {
        if self.rests > 0 {
            self.rests -= 1;
            return None;
        }
        let far = off > FAR_MS * self.per_ms;
        self.rests = RESTS;
        let scale = (self.per_ms / 8) as usize;
        let shortest = (LAGS.start * scale) as i64;
        let squeezes = off >= shortest;
        if self.concealer.conceals() || !squeezes && 2 * off > -shortest {
            return None;
        }
        let longest = (LAGS.end - 1) * scale;
        let mut sound = [0; SAMPLES_MAX + LAG_MAX];
        let sound = &mut sound[..frame.len() + longest];
        // Of what is to be left out, all is there; to say something twice, the past is needed.
        let ahead = if squeezes { sound.len() } else { frame.len() };
        let from = sound.len() - ahead;
        let made_up = self.look(&mut sound[from..])?;
        if !squeezes {
            self.concealer.past(&mut sound[..longest]);
        } else {
            // The search looks back from the end.
            sound.reverse();
        }
        // Of silence, any part may be left out.
        let silent = squeezes && is_soft(sound);
        let lag = if silent {
            longest.min(off as usize)
        } else {
            period(sound, scale, frame.len() / scale)
        };
        if squeezes {
            sound.reverse();
        }
        let (early, late) = if squeezes {
            (&sound[..frame.len()], &sound[lag..][..frame.len()])
        } else {
            (&sound[longest..], &sound[longest - lag..][..frame.len()])
        };
        let fits = if squeezes { lag as i64 <= off } else { lag as i64 <= -2 * off };
        if !fits || !alike(early, late, ALIKE[usize::from(far)]) {
            return None;
        }
        cross(early, late, lag, frame);
        self.concealer.received(frame);
        let taken = if squeezes { frame.len() + lag } else { frame.len() - lag };
        self.let_go(taken);
        if far || silent {
            self.rests = 0;
        }
        Some(made_up)
    }

    /// Copies what is played next, and leaves it where it is; nothing where some of it is missing.
    fn look(&mut self, sound: &mut [i16]) -> Option<usize> {
        if self.newest < self.play + sound.len() as i64 {
            return None;
        }
        let made_up = self.decode_until(self.play + sound.len() as i64);
        let (first, second) = halves(self.ring.len(), self.play, sound.len());
        let (early, late) = sound.split_at_mut(first.len());
        early.copy_from_slice(&self.ring[first]);
        late.copy_from_slice(&self.ring[second]);
        (!super::lacks(sound)).then_some(made_up)
    }

    /// Goes on by so many samples.
    pub(super) fn let_go(&mut self, samples: usize) {
        let (first, second) = halves(self.ring.len(), self.play, samples);
        self.ring[first].fill(super::ABSENT);
        self.ring[second].fill(super::ABSENT);
        self.play += samples as i64;
    }
}

fn power(sound: &[i16]) -> f32 {
    sound.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum()
}

fn is_soft(sound: &[i16]) -> bool {
    power(sound) < SOFT * SOFT * sound.len() as f32
}

/// Whether two sounds are so much alike, or too soft to matter.
fn alike(one: &[i16], other: &[i16], least: f32) -> bool {
    let product: f32 = one.iter().zip(other).map(|(&a, &b)| f32::from(a) * f32::from(b)).sum();
    is_soft(one) && is_soft(other) || product >= least * (power(one) * power(other)).sqrt()
}

/// Goes over from one sound to another within a period.
fn cross(from: &[i16], to: &[i16], period: usize, frame: &mut [i16]) {
    for (index, out) in frame.iter_mut().enumerate() {
        let weight = ((index + 1) as f32 / (period + 1) as f32).min(1.0);
        let sample = f32::from(from[index]) * (1.0 - weight) + f32::from(to[index]) * weight;
        *out = crate::saturate(crate::rounded(sample));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // An epoch.
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::codec::{Codec, OpusOptions};
    use crate::codec::{Encoder, PAYLOAD_MAX};
    use crate::g711;
    use crate::jitter::Bounds;

    /// A voice of 120 Hz: its harmonics, at 8 kHz.
    fn voice(at: i64) -> i16 {
        let phase = at as f32 * 120.0 / 8_000.0 * std::f32::consts::TAU;
        (1..12).map(|n| (phase * n as f32).cos() * 6_000.0 / n as f32).sum::<f32>() as i16
    }

    /// Plays two seconds, keeps packets back for so many ticks that then come at once, and plays on; returns the
    /// delay before and so many ticks after that, in milliseconds, and the greatest step between two samples.
    fn delays(kept_back: u32, ticks: u32, said: fn(i64) -> i16) -> (f32, f32, i32) {
        let mut jitter = Jitter::new(Codec::Pcmu, Bounds::default());
        let start = Instant::now();
        let (mut before, mut greatest, mut last) = (0.0, 0, 0);
        for tick in 0..500 + kept_back + ticks {
            let at = start + Duration::from_millis(20) * tick;
            let back = 500..500 + kept_back;
            let first = if tick == back.end { back.start } else { tick };
            for number in (first..=tick).filter(|_| !back.contains(&tick)) {
                let samples = i64::from(number) * 160..i64::from(number + 1) * 160;
                let payload: Vec<u8> = samples.map(|at| g711::linear_to_ulaw(said(at))).collect();
                jitter.insert(number * 160, &payload, Codec::Pcmu, at);
            }
            let mut frame = [0; 160];
            jitter.read(&mut frame, at);
            if tick == back.start - 1 {
                before = jitter.delay_ms();
            }
            // What was made up while nothing came, and its end, is not what is looked at.
            for sample in frame {
                if tick > back.end + 2 {
                    greatest = greatest.max((i32::from(sample) - last).abs());
                }
                last = sample.into();
            }
        }
        (before, jitter.delay_ms(), greatest)
    }

    #[test]
    fn what_a_burst_left_of_delay_is_gone_once_the_network_is_calm_again() {
        // Play-out waits for as long as the burst is remembered: eight seconds.
        let (before, after, steps) = delays(15, 550, voice);
        assert!(after - before < 6.0, "{before} ms, then {after}");
        let own = (0..800).map(|at| (i32::from(voice(at + 1)) - i32::from(voice(at))).abs());
        let own = own.max().unwrap_or(0);
        assert!(steps < own * 5 / 4, "{steps} where the voice itself has {own}");
    }

    #[test]
    fn silence_is_left_out_as_well() {
        let (before, after, _) = delays(15, 550, |_| 0);
        assert!(after - before < 6.0, "{before} ms, then {after}");
    }

    /// Asserts that what has come while nobody read, for 300 ms, no longer waits so many ticks later.
    #[track_caller]
    fn check_late_reader(codec: Codec, said: fn(i64) -> i16, ticks: u32) {
        let mut encoder = Encoder::new(codec);
        let mut jitter = Jitter::new(codec, Bounds::default());
        let (start, samples) = (Instant::now(), codec.rate().samples());
        let per_sample = (samples / 160) as i64;
        let (mut before, late) = (0.0, 100..115);
        for tick in 0..late.end + ticks {
            let at = start + Duration::from_millis(20) * tick;
            let first = i64::from(tick) * samples as i64;
            let sample = |at: usize| said((first + at as i64) / per_sample);
            let frame: Vec<i16> = (0..samples).map(sample).collect();
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(&frame, &mut payload);
            jitter.insert(tick * (codec.clock() / 50), &payload[..length], codec, at);
            if !late.contains(&tick) {
                jitter.read(&mut vec![0; samples], at + Duration::from_millis(10));
            }
            if tick == late.start - 1 {
                before = jitter.delay_ms();
            }
        }
        let after = jitter.delay_ms();
        assert!(after - before < 12.0, "{codec:?}: {before} ms, then {after}");
    }

    #[test]
    fn what_came_while_nobody_read_does_not_stay_in_the_way() {
        let opus = Codec::Opus(OpusOptions::default());
        for codec in [Codec::Pcmu, Codec::G722, opus] {
            check_late_reader(codec, voice, 75);
            // 750 ms a second.
            check_late_reader(codec, |_| 0, 25);
        }
    }
}
