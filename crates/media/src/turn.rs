//! When in a tick a room has its turn.
//!
//! A tick has two slots. What phones send comes at times of their own, every 20 ms; a room has its turn in the slot
//! in which its legs' packets have waited least, all in all, as long as the slots are about equally full.

use std::time::{Duration, Instant};

use crate::TICK;

/// The slots of a tick. With four each leg costs a seventh more: each slot wakes the thread, and fewer packets pass through the
/// kernel's paths on end.
pub const SLOTS: usize = 2;
/// From the beginning of one to that of the next.
pub const SLOT: Duration = Duration::from_millis(TICK.as_millis() as u64 / SLOTS as u64);

/// Ticks from when a leg came to when the turn is thought over, and from then to the next time: after five seconds play-out knows its
/// network, and waits for less.
const SOON: u32 = 50;
const EVERY: u32 = 300;
/// How much more the packets of one matter who is heard than of one who is muted or silent, and may speak later.
const HEARD: u32 = 4;
/// By how much packets must wait less in the mean for the turn to change.
const WORTH: Duration = Duration::from_millis(3);
/// A slot may have so many legs more than its part of all, and so many percent.
const MORE: usize = 16;
const MORE_PERCENT: usize = 25;

/// A room's turn.
#[derive(Debug)]
pub struct Turn {
    pub slot: usize,
    lag: Option<Duration>,
    thinks_in: u32,
    /// The next tick is left out, as the turn moved beyond its end.
    rests: bool,
}

impl Turn {
    pub const fn in_slot(slot: usize) -> Self {
        Self { slot, lag: None, thinks_in: SOON, rests: false }
    }

    /// Takes when the slot was due and when the room has its turn; returns when it usually has: play-out goes by a
    /// clock that does not jump when others take longer.
    pub fn usual(&mut self, due: Instant, now: Instant) -> Instant {
        let lag = now.saturating_duration_since(due);
        let usual = self.lag.map_or(lag, |usual| (usual * 31 + lag) / 32);
        self.lag = Some(usual);
        due + usual
    }

    /// Thinks the turn over soon: who is in the room has changed.
    pub fn think_soon(&mut self) {
        self.thinks_in = self.thinks_in.min(SOON);
    }

    /// Counts a tick; returns whether the turn is to be thought over.
    pub fn thinks(&mut self) -> bool {
        self.thinks_in = self.thinks_in.saturating_sub(1);
        let thinks = self.thinks_in == 0;
        if thinks {
            self.thinks_in = EVERY;
        }
        thinks
    }

    /// Whether this tick is left out.
    pub fn rests(&mut self) -> bool {
        std::mem::take(&mut self.rests)
    }

    /// Moves to a slot. That is always later: what was to be mixed in an earlier one might not have come yet.
    pub fn move_to(&mut self, slot: usize) {
        self.rests = slot < self.slot;
        self.slot = slot;
    }
}

/// How long the last packet of each leg of a room waits for its turn, all in all, and how long it would in later
/// slots; of those who are heard it is counted more than once.
#[derive(Debug, Default)]
pub struct Waits {
    later: [Duration; SLOTS],
    packets: u32,
}

impl Waits {
    /// Takes a leg whose packets come `every` so often, and for how long the last one has been there.
    pub fn add(&mut self, (wait, every): (Duration, Duration), is_heard: bool) {
        if every.is_zero() {
            return;
        }
        let packets = if is_heard { HEARD } else { 1 };
        self.packets += packets;
        for (slots, sum) in (0..).zip(&mut self.later) {
            let wait = wait + SLOT * slots;
            *sum += Duration::from_nanos((wait.as_nanos() % every.as_nanos()) as u64) * packets;
        }
    }

    /// Returns the slot that is best for a room with its turn in `slot` now, if another is worth the change;
    /// `legs` are those that each slot has, and `members` those of this room.
    pub fn better(&self, slot: usize, legs: &[usize; SLOTS], members: usize) -> Option<usize> {
        let part = legs.iter().sum::<usize>() / SLOTS;
        let most = part + part * MORE_PERCENT / 100 + MORE;
        let best = (1..SLOTS)
            .filter(|later| legs[(slot + later) % SLOTS] + members <= most)
            .min_by_key(|&later| self.later[later])?;
        let is_worth = self.later[best] + WORTH * self.packets < self.later[0];
        is_worth.then_some((slot + best) % SLOTS)
    }
}

/// Returns the slot that has the fewest legs.
pub fn emptiest(legs: &[usize; SLOTS]) -> usize {
    (0..SLOTS).min_by_key(|&slot| legs[slot]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn waits(all: &[u32]) -> Waits {
        let mut waits = Waits::default();
        for &ms in all {
            waits.add((MS * ms, TICK), true);
        }
        waits
    }

    #[test]
    fn a_room_has_its_turn_where_its_packets_wait_least() {
        let empty = [0; SLOTS];
        assert_eq!(waits(&[16]).better(0, &empty, 1), Some(1));
        assert_eq!(waits(&[11]).better(1, &empty, 1), Some(0));
        assert_eq!(waits(&[9]).better(0, &empty, 1), None);
        assert_eq!(waits(&[3]).better(0, &empty, 1), None);
        // One waits longer, three much less.
        assert_eq!(waits(&[17, 18, 19, 1]).better(1, &empty, 4), Some(0));
        assert_eq!(waits(&[17, 8, 7, 1]).better(1, &empty, 4), None);
        assert_eq!(waits(&[]).better(1, &empty, 0), None, "nobody sends");
        // In steps of 10 ms the other slot is the same.
        let mut tens = Waits::default();
        tens.add((MS * 9, MS * 10), true);
        assert_eq!(tens.better(0, &empty, 1), None);
        tens.add((MS, Duration::ZERO), true);
        assert_eq!(tens.packets, HEARD);
        // Whoever is heard matters more than whoever is not.
        let mut one_talks = waits(&[18]);
        for _ in 0..2 {
            one_talks.add((MS, TICK), false);
        }
        assert_eq!(one_talks.better(0, &empty, 3), Some(1));
    }

    #[test]
    fn no_slot_is_filled_beyond_its_part() {
        let waits = waits(&[16; 4]);
        assert_eq!(waits.better(0, &[100, 100], 4), Some(1));
        assert_eq!(waits.better(0, &[100, 180], 4), Some(1));
        assert_eq!(waits.better(0, &[100, 200], 4), None);
        assert_eq!(waits.better(0, &[4, 15], 4), Some(1));
        assert_eq!(emptiest(&[4, 3]), 1);
        assert_eq!(emptiest(&[3, 3]), 0);
    }

    #[test]
    fn a_turn_is_thought_over_some_time_after_somebody_came_and_seldom_then() {
        let mut turn = Turn::in_slot(1);
        let thinks = |turn: &mut Turn, ticks| (0..ticks).filter(|_| turn.thinks()).count();
        assert_eq!((thinks(&mut turn, SOON - 1), thinks(&mut turn, 1)), (0, 1));
        assert_eq!((thinks(&mut turn, EVERY - 1), thinks(&mut turn, 1)), (0, 1));
        turn.think_soon();
        assert_eq!((thinks(&mut turn, SOON - 1), thinks(&mut turn, 1)), (0, 1));
    }

    #[test]
    fn who_moves_beyond_the_end_of_a_tick_leaves_one_out() {
        let mut turn = Turn::in_slot(1);
        turn.move_to(0);
        assert!(turn.rests() && !turn.rests());
        turn.move_to(1);
        assert!(!turn.rests());
    }
}
