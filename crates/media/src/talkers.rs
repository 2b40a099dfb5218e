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
    leg.loudness.value() * if has_floor { LOUDER } else { 1.0 }
}
