//! What is heard where a packet is missing: the last pitch periods again, fading out.
//!
//! The idea is that of ITU-T G.711 appendix I, without the delay that it adds: what was heard already is not touched.

use crate::rate::Rate;
use crate::rounded;

/// Periods that are looked for, in samples at 8 kHz: 66 to 200 Hz.
pub const LAGS: std::ops::Range<usize> = 40..121;
/// How much of the past is compared with what was before, in samples at 8 kHz: 20 ms.
const WINDOW: usize = 160;
/// The past that is kept, in samples at 8 kHz: three of the longest periods, and a quarter of one.
const PAST: usize = 3 * (LAGS.end - 1) + LAGS.end / 4;
/// Samples at 8 kHz after which more periods are repeated, and the sound begins to fade: 10 ms.
const STEP: usize = 80;
/// What is left after each further step.
const FADE: f32 = 0.2;
/// Samples at 8 kHz after which nothing is left: 60 ms.
const FADED: usize = 6 * STEP;
/// Most periods that are repeated.
const PERIODS_MAX: usize = 3;

/// How much of what follows a gap tells where it should lead, in samples at 8 kHz: 20 ms; and the least that does.
pub const AHEAD: usize = 160;
pub const AHEAD_MIN: usize = 100;
/// The longest gap that is filled from both sides, in samples at 8 kHz: 40 ms.
pub const GAP_MAX: usize = 320;
/// Most samples of it that are compared at a time, so that a sum of products fits.
const COMPARED_MAX: usize = 2 * AHEAD;
/// How much less it is worth to be in step if it takes half a period: the pitch is bent by it.
const FAR: f32 = 0.25;
/// The highest scale.
const SCALE_MAX: usize = 6;

/// One leg's concealment.
#[derive(Debug, Clone)]
pub struct Concealer {
    /// Samples for each one at 8 kHz.
    scale: usize,
    /// What was heard last, as a ring whose oldest sample is at `oldest`: so a tick touches only as
    /// much of it as it adds.
    history: Box<[i16]>,
    oldest: usize,
    /// What had been when the gap began.
    past: Box<[i16]>,
    lag: usize,
    /// Both are of this gap.
    begun: bool,
    concealed: usize,
    /// The rest of a gap whose end is known, made up already: from where on it is still to be played.
    bridge: Box<[i16]>,
    played: usize,
}

impl Concealer {
    /// Starts after silence.
    pub fn at(rate: Rate) -> Self {
        let scale = rate.samples() / Rate::Narrow.samples();
        let lag = (LAGS.end - 1) * scale;
        let mut concealer = Self {
            scale,
            history: vec![0; PAST * scale].into(),
            oldest: 0,
            past: Box::default(),
            lag,
            begun: false,
            concealed: 0,
            bridge: Box::default(),
            played: 0,
        };
        // At full rate there is Opus alone, which conceals by itself and is seldom in want of this.
        if rate != Rate::Full {
            concealer.make_room();
        }
        concealer
    }

    fn make_room(&mut self) {
        if self.past.is_empty() {
            self.past = vec![0; PAST * self.scale].into();
            self.bridge = vec![0; GAP_MAX * self.scale].into();
            self.played = self.bridge.len();
        }
    }

    /// Samples of the cross-fade back to what was received: a quarter of a period, and 4 ms more for
    /// each 10 ms that were made up; 10 ms at most.
    fn join(&self) -> usize {
        let more = (self.concealed / (STEP * self.scale)).saturating_sub(1) * 32 * self.scale;
        (self.lag / 4 + more).min(STEP * self.scale)
    }

    /// Passes what was received on; the first samples after a gap are joined to its end.
    pub fn received(&mut self, samples: &mut [i16]) {
        // What comes although it was given up is joined to what was to be played in its place.
        let planned = self.bridge.len() - self.played;
        let join =
            if self.concealed > 0 { self.join() } else { planned.min(STEP * self.scale / 2) };
        for (index, sample) in samples.iter_mut().take(join).enumerate() {
            let weight = (index + 1) as f32 / (join + 1) as f32;
            let continued = match self.bridge.get(self.played + index) {
                Some(&planned) => planned.into(),
                None => self.next(),
            };
            *sample = pcm(f32::from(*sample) * weight + continued * (1.0 - weight));
        }
        self.concealed = 0;
        self.played = self.bridge.len();
        self.remember(samples);
    }

    /// Fills a gap, or as much of it as has to be known now: `rest` samples more are missing, and then
    /// comes `ahead`, which is empty where that is not known.
    pub fn conceal(&mut self, gap: &mut [i16], rest: usize, ahead: &[i16]) {
        if self.played == self.bridge.len() {
            self.begin();
            let whole = gap.len() + rest;
            if ahead.len() >= AHEAD_MIN * self.scale && whole <= self.bridge.len() {
                self.plan(whole, &ahead[..ahead.len().min(AHEAD * self.scale)]);
            }
        }
        let planned = self.bridge.len() - self.played;
        let (bridged, open) = gap.split_at_mut(planned.min(gap.len()));
        bridged.copy_from_slice(&self.bridge[self.played..][..bridged.len()]);
        self.played += bridged.len();
        for sample in open {
            *sample = pcm(self.next());
        }
        self.remember(gap);
    }

    /// Whether a gap has lasted for so long that nothing is left of what was before it.
    pub fn is_silent(&self) -> bool {
        self.concealed >= (FADED + PAST) * self.scale
    }

    /// Reads something of each line of memory that every tick reads; returns anything that depends on it.
    pub fn prefetch(&self) -> u64 {
        (self.concealed | self.oldest) as u64
    }

    /// Whether a gap is being filled.
    pub fn conceals(&self) -> bool {
        self.concealed > 0
    }

    /// Returns what was played last.
    pub fn last<const N: usize>(&self) -> [i16; N] {
        let mut last = [0; N];
        recent(&self.history, self.oldest, &mut last);
        last
    }

    /// Writes the last samples of what was played, as many as there is room for; no more are kept than a few periods.
    pub fn past(&self, past: &mut [i16]) {
        recent(&self.history, self.oldest, past);
    }

    /// Tells what would be made up next if nothing were known of what follows.
    pub fn preview(&mut self, sound: &mut [i16]) {
        self.begin();
        for (index, sample) in sound.iter_mut().enumerate() {
            let at = self.concealed + index;
            *sample = pcm(self.plain(at) * self.gain(at));
        }
    }

    /// Looks at what was heard before a gap, once.
    fn begin(&mut self) {
        if self.concealed == 0 && !self.begun {
            self.make_room();
            recent(&self.history, self.oldest, &mut self.past);
            self.lag = period(&self.past, self.scale, WINDOW);
            self.begun = true;
        }
    }

    /// Makes up a whole gap whose end is known, from both of its sides.
    fn plan(&mut self, length: usize, ahead: &[i16]) {
        let start = self.concealed;
        let mut back = [0; AHEAD * SCALE_MAX];
        let back = &mut back[..ahead.len()];
        back.iter_mut().zip(ahead.iter().rev()).for_each(|(to, &from)| *to = from);
        let lag = period(back, self.scale, AHEAD_MIN - LAGS.start);
        // By how much what goes on from the past is to be moved, so that it is in step with what follows.
        let reach = (self.lag / 2).min(start + length);
        let compared = self.lag.clamp(LAGS.start, COMPARED_MAX).min(ahead.len());
        let first = start + length - reach;
        let mut onward = [0; (2 * LAGS.end + AHEAD) * SCALE_MAX];
        let onward = &mut onward[..2 * reach + compared];
        for (index, sample) in onward.iter_mut().enumerate() {
            *sample = pcm(self.repeated(first + index, self.periods(start))) >> SPARE;
        }
        let (shift, like) = in_step(onward, &ahead[..compared]);
        let shift = shift as f32 - reach as f32;
        // On the way it is moved evenly, and by parts of a sample.
        let mut path = [0.0; (GAP_MAX + 2 * LAGS.end) * SCALE_MAX];
        let base = start.saturating_sub(reach);
        let path = &mut path[..start - base + length + reach + 3];
        path.iter_mut().enumerate().for_each(|(index, sample)| *sample = self.plain(base + index));
        // What is alike adds up as amplitudes do, and what is not as powers do.
        let weight = |part: f32| part.sqrt() + (part - part.sqrt()) * like;
        let gain = self.gain(start);
        self.played = self.bridge.len() - length;
        for index in 0..length {
            let part = (index + 1) as f32 / (length + 1) as f32;
            let place = ((start - base + index) as f32 + shift * part).max(0.0);
            let onward = between(path, place) * gain * weight(1.0 - part);
            let backward = continued(back, lag, length - 1 - index, 1) * weight(part);
            self.bridge[self.played + index] = pcm(onward + backward);
        }
        self.concealed = 0;
    }

    fn periods(&self, at: usize) -> usize {
        (at / (STEP * self.scale) + 1).min(PERIODS_MAX)
    }

    fn gain(&self, at: usize) -> f32 {
        let steps = at as f32 / (STEP * self.scale) as f32;
        (1.0 - (steps - 1.0).max(0.0) * FADE).max(0.0)
    }

    fn next(&mut self) -> f32 {
        let at = self.concealed;
        self.concealed += 1;
        self.plain(at) * self.gain(at)
    }

    fn plain(&self, at: usize) -> f32 {
        let periods = self.periods(at);
        let sound = self.repeated(at, periods);
        let quarter = self.lag / 4;
        // Where more periods are repeated from now on, the one goes over into the other.
        let into = at % (STEP * self.scale);
        let changes = periods > 1 && at / (STEP * self.scale) < PERIODS_MAX;
        if !changes || into >= quarter {
            return sound;
        }
        let weight = (into + 1) as f32 / (quarter + 1) as f32;
        sound * weight + self.repeated(at, periods - 1) * (1.0 - weight)
    }

    fn repeated(&self, at: usize, periods: usize) -> f32 {
        continued(&self.past, self.lag, at, periods)
    }

    fn remember(&mut self, samples: &[i16]) {
        self.begun = false;
        let length = self.history.len();
        let new = &samples[samples.len().saturating_sub(length)..];
        let (first, rest) = new.split_at(new.len().min(length - self.oldest));
        self.history[self.oldest..][..first.len()].copy_from_slice(first);
        self.history[..rest.len()].copy_from_slice(rest);
        self.oldest = (self.oldest + new.len()) % length;
    }
}

/// Writes the end of a ring whose oldest sample is at that place.
fn recent(ring: &[i16], oldest: usize, past: &mut [i16]) {
    let start = oldest + ring.len() - past.len().min(ring.len());
    for (index, sample) in past.iter_mut().enumerate() {
        *sample = ring[(start + index) % ring.len()];
    }
}

fn pcm(value: f32) -> i16 {
    crate::saturate(rounded(value))
}

/// Returns what is at `place` of a sound, by a cubic curve through four samples.
pub fn between<T: Copy + Into<f32>>(sound: &[T], place: f32) -> f32 {
    let last = sound.len() - 1;
    let left = (place as usize).min(last - 1);
    let weight = place - left as f32;
    let at = |index: usize| sound[index.min(last)].into();
    let (before, a, b, after) = (at(left.saturating_sub(1)), at(left), at(left + 1), at(left + 2));
    let (slope_a, slope_b) = ((b - before) / 2.0, (after - a) / 2.0);
    let bend = 3.0 * (b - a) - 2.0 * slope_a - slope_b;
    let twist = 2.0 * (a - b) + slope_a + slope_b;
    ((twist * weight + bend) * weight + slope_a) * weight + a
}

/// Returns a sample of the last periods' repetition, in phase with that of one alone.
fn continued(past: &[i16], lag: usize, at: usize, periods: usize) -> f32 {
    let length = past.len();
    // So that all are in phase when their number grows, the newest period is the first.
    let place = (at + (periods - 1) * lag) % (periods * lag);
    let start = length - periods * lag;
    let quarter = (lag / 4).min(start);
    let mut sound = f32::from(past[start + place]);
    let left = periods * lag - place;
    if left <= quarter {
        // Towards its end it goes over into what was before its start.
        let before = f32::from(past[start - left]);
        let weight = left as f32 / (quarter + 1) as f32;
        sound = sound * weight + before * (1.0 - weight);
    }
    if at < quarter && length > lag {
        let jump = f32::from(past[length - 1]) - f32::from(past[length - 1 - lag]);
        sound += jump * (1.0 - (at + 1) as f32 / (quarter + 1) as f32);
    }
    sound
}

/// Returns the lag at which the end of the past resembles what was before it most.
///
/// Pitch is low: of a wide signal, one sample in each at 8 kHz tells enough, also of the lags between
/// those at 8 kHz.
pub fn period(past: &[i16], scale: usize, window: usize) -> usize {
    let mut slow = [0; WINDOW + LAGS.end - 1];
    let count = (past.len() / scale).min(slow.len());
    let slow = &mut slow[..count];
    for (index, sample) in slow.iter_mut().enumerate() {
        *sample = past[past.len() - 1 - (count - 1 - index) * scale] >> SPARE;
    }
    let lag = likest(slow, window) * scale;
    if scale == 1 {
        return lag;
    }
    let recent = &slow[count - window..];
    let likeness = |lag: usize| {
        let end = past.len() - 1 - lag;
        let mut earlier = [0; WINDOW];
        let earlier = &mut earlier[..window];
        for (index, sample) in earlier.iter_mut().enumerate() {
            *sample = past[end - (window - 1 - index) * scale] >> SPARE;
        }
        likeness(product(recent, earlier), product(earlier, earlier))
    };
    let longest = (count - window) * scale;
    let near = (lag - scale + 1..(lag + scale).min(longest + 1)).map(|lag| (likeness(lag), lag));
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(lag, |(_, lag)| lag)
}

/// Returns from where on `onward`, which has lost its bits, is most like `ahead`; and how much, 0 to 1.
fn in_step(onward: &[i16], ahead: &[i16]) -> (usize, f32) {
    let mut fewer = [0; AHEAD * SCALE_MAX];
    let fewer = &mut fewer[..ahead.len()];
    fewer.iter_mut().zip(ahead).for_each(|(to, &from)| *to = from >> SPARE);
    let square = |index: usize| i32::from(onward[index]) * i32::from(onward[index]);
    let mut power: i32 = (0..ahead.len()).map(square).sum();
    let middle = (onward.len() - ahead.len()) / 2;
    let (mut best, mut best_like) = (middle, 0.0);
    let mut most = 0.0;
    for shift in 0..=2 * middle {
        let like = likeness(product(fewer, &onward[shift..][..fewer.len()]), power);
        let worth = like * (1.0 - FAR * shift.abs_diff(middle) as f32 / middle.max(1) as f32);
        if worth > most {
            (best, best_like, most) = (shift, like, worth);
        }
        if shift + ahead.len() < onward.len() {
            power += square(shift + ahead.len()) - square(shift);
        }
    }
    let own = product(fewer, fewer).max(1) as f32;
    (best, (best_like / own.sqrt()).min(1.0))
}

/// Bits that a sample loses before it is multiplied, so that a sum of products fits.
const SPARE: u32 = 4;

/// Returns the lag by which the end of `past`, at 8 kHz, is most like what was before.
///
/// Integers are summed: the processor takes many of them at once, and a room of many legs may lose a
/// packet of each in one tick.
fn likest(past: &[i16], window: usize) -> usize {
    let square = |index: usize| i32::from(past[index]) * i32::from(past[index]);
    let end = past.len();
    let start = end - window;
    let mut power: i32 = (start - LAGS.start..end - LAGS.start).map(square).sum();
    let mut best = (f32::MIN, LAGS.start);
    for lag in LAGS.start..LAGS.end.min(start + 1) {
        let like = likeness(product(&past[start..], &past[start - lag..end - lag]), power);
        if like > best.0 {
            best = (like, lag);
        }
        if lag < start {
            power += square(start - lag - 1) - square(end - lag - 1);
        }
    }
    best.1
}

fn likeness(product: i32, power: i32) -> f32 {
    product as f32 / (power.max(1) as f32).sqrt()
}

fn product(one: &[i16], other: &[i16]) -> i32 {
    // Sums that are checked are not made side by side; none of these is over.
    one.iter().zip(other).fold(0, |sum, (&one, &other)| {
        i32::wrapping_add(sum, i32::wrapping_mul(one.into(), other.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: Rate, samples: usize) -> Vec<i16> {
        let step = 0.785 / (rate.samples() / 160) as f32;
        (0..samples).map(|i| ((i as f32 * step).sin() * 8_000.0) as i16).collect()
    }

    /// Asserts that no sample is off by more than `most`.
    #[track_caller]
    fn check(heard: &[i16], said: &[i16], most: i32) {
        for (index, (&heard, &said)) in heard.iter().zip(said).enumerate() {
            let off = (i32::from(heard) - i32::from(said)).abs();
            assert!(off <= most, "{off} at {index}");
        }
    }

    #[test]
    fn a_tone_goes_on_through_a_gap_and_fades_out() {
        for rate in Rate::ALL {
            let scale = rate.samples() / 160;
            let tone = tone(rate, 960 * scale);
            let mut concealer = Concealer::at(rate);
            let mut heard = tone[..480 * scale].to_vec();
            concealer.received(&mut heard);
            let mut gap = vec![0; 160 * scale];
            concealer.conceal(&mut gap, 0, &[]);
            check(&gap[..80 * scale], &tone[480 * scale..], 500);
            check(&gap[80 * scale..], &tone[560 * scale..], 2_200);
            let mut long = vec![0; 800 * scale];
            concealer.conceal(&mut long, 0, &[]);
            assert!(long[400 * scale..].iter().all(|&sample| sample == 0), "{rate:?}");
        }
    }

    #[test]
    fn a_gap_whose_end_is_known_is_filled_from_both_sides_in_whatever_pieces_it_is_asked_for() {
        for rate in Rate::ALL {
            let scale = rate.samples() / 160;
            let tone = tone(rate, 960 * scale);
            for pieces in [vec![160], vec![50, 110], vec![1, 70, 89]] {
                let mut concealer = Concealer::at(rate);
                concealer.received(&mut tone[..480 * scale].to_vec());
                let mut heard = Vec::new();
                for piece in pieces {
                    let mut gap = vec![0; piece * scale];
                    let rest = 160 * scale - heard.len() - gap.len();
                    concealer.conceal(&mut gap, rest, &tone[640 * scale..800 * scale]);
                    heard.extend(gap);
                }
                let mut after = tone[640 * scale..800 * scale].to_vec();
                concealer.received(&mut after);
                heard.extend(after);
                check(&heard, &tone[480 * scale..], 1_000);
            }
        }
    }

    #[test]
    fn what_is_received_whole_is_not_touched() {
        let mut concealer = Concealer::at(Rate::Narrow);
        let tone = tone(Rate::Narrow, 480);
        for frame in tone.chunks(160) {
            let mut heard = frame.to_vec();
            concealer.received(&mut heard);
            assert_eq!(heard, frame);
        }
    }

    #[test]
    fn the_loudest_noise_and_the_shortest_pieces_do_no_harm() {
        let mut random = 1_u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random
        };
        for rate in Rate::ALL {
            let scale = rate.samples() / 160;
            let mut concealer = Concealer::at(rate);
            for _ in 0..400 {
                let mut sound = vec![0; 1 + noise() as usize % (160 * scale)];
                let loud =
                    |sample: &mut i16| *sample = if noise() >> 31 == 0 { -32_767 } else { 32_767 };
                sound.iter_mut().for_each(loud);
                match noise() >> 28 {
                    0..6 => concealer.received(&mut sound),
                    6..10 => concealer.conceal(&mut sound, 0, &[]),
                    _ => {
                        let ahead = sound.repeat(3);
                        let rest = noise() as usize % (400 * scale);
                        concealer.conceal(&mut sound, rest, &ahead);
                    }
                }
            }
        }
    }
}
