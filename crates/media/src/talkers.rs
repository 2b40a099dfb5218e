//! Who is mixed when more speak than can be encoded for.
//!
//! Whoever adds to a mix hears one of its own, which costs an encoding. Where codecs with a memory
//! are spoken by more than a room's budget allows, the loudest are mixed and the others wait.

use crate::leg::Leg;
use crate::legs::Legs;
use crate::room::Room;

/// Most legs of a room that speak a codec with a memory and are mixed at once.
pub const TALKERS_MAX: usize = 12;
/// By how much somebody has to be louder than one who is mixed to take its place: 3 dB.
const LOUDER: f32 = 1.41;
/// What is left of a leg's loudness after a tick of silence: half after 400 ms.
const FADES: f32 = 0.966;

/// What is fainter is nothing.
const FAINTEST: f32 = 1.0;

/// How loud a leg is, and was of late.
#[derive(Debug, Default, Clone, Copy)]
pub struct Loudness(f32);

impl Loudness {
    /// Takes a tick of sound.
    pub fn observe(&mut self, sound: &[i16]) {
        let power: f32 = sound.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let now = (power / sound.len().max(1) as f32).sqrt();
        let late = self.0 * FADES;
        self.0 = now.max(if late < FAINTEST { 0.0 } else { late });
    }

    /// Whether anything was heard of late.
    pub fn is_some(self) -> bool {
        self.0 > 0.0
    }
}

/// Chooses who of a room is mixed in this tick, after how loud each was in the ticks before; returns
/// how many are not.
pub fn choose(room: &mut Room, legs: &mut Legs) -> usize {
    let Room { members, scores, crowded, .. } = room;
    scores.clear();
    for &place in members.iter() {
        let Some(leg) = legs.at(place) else { continue };
        if leg.wants_talk() {
            scores.push(score(leg));
        }
    }
    let fits = scores.len() <= TALKERS_MAX;
    if fits && !*crowded {
        return 0;
    }
    *crowded = !fits;
    // Of those who are as loud as the last for whom there is room, not all may fit.
    let (mut least, mut alike) = (0.0, TALKERS_MAX);
    if !fits {
        let (louder, nth, _) =
            scores.select_nth_unstable_by(TALKERS_MAX - 1, |a, b| b.total_cmp(a));
        least = *nth;
        alike = 1 + louder.iter().filter(|&&score| score <= least).count();
    }
    let mut unmixed = 0;
    for &place in members.iter() {
        let Some(leg) = legs.at_mut(place) else { continue };
        let mut talks = !leg.wants_talk() || fits || score(leg) > least;
        if !talks && score(leg) == least && alike > 0 {
            alike -= 1;
            talks = true;
        }
        unmixed += usize::from(!talks);
        leg.floor.to(if talks { 1.0 } else { 0.0 });
    }
    unmixed
}

fn score(leg: &Leg) -> f32 {
    let has_floor = leg.floor.target() > 0.0;
    leg.loudness.0 * if has_floor { LOUDER } else { 1.0 }
}
