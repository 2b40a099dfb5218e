//! What is to be run: how many legs, in which rooms, and what each of them is.

use std::collections::BTreeSet;
use std::time::Duration;

use super::network::Network;
use super::voice::{TONES, Tone};

/// Most legs of one run.
pub const LEGS_MAX: usize = 4_000;
/// Legs whose sound is kept and judged; of more, so many spread evenly.
pub const RECORDED_MAX: usize = 64;
/// Rooms whose first talker is muted and unmuted; at most every fourth.
const CHANGED_MAX: usize = 32;
/// Most legs that hang up and call again in a second.
pub const CHURN_MAX: u32 = 200;
/// Codecs that are dealt among the legs, repetitions included.
pub const CODECS_MAX: usize = 16;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Calls.
    pub legs: usize,
    /// Calls in each conference; the last may have fewer.
    pub room_size: usize,
    /// Of those, how many talk all the time, at most [`TONES`].
    pub talkers: usize,
    /// For how long it counts.
    pub length: Duration,
    /// Calls made in a second.
    pub joins: u32,
    /// The conferences are called this, a dash and their number.
    pub name: String,
    /// What is spoken, by the names that the setting `codecs` has: dealt among the legs in turn, so that each codec is
    /// spoken by talkers and by listeners.
    pub codecs: Vec<String>,
    /// What becomes of what the legs send.
    pub network: Network,
    /// Whether sound is encrypted; where it is not, that is not offered either.
    pub srtp: bool,
    /// Silent legs that hang up and call again in a second, while it counts; 0: none.
    pub churn: u32,
    /// Whether talkers are muted and unmuted while it counts, in rooms of which nothing else is judged.
    pub changes: bool,
    /// Whether each leg is alone in a room of its own, says nothing and hears music: then `room_size` is 1, and nobody
    /// talks. The floor is a reflector that only sends.
    pub waiting: bool,
}

/// What a leg is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The leg's number, of all legs.
    pub number: usize,
    /// Its room.
    pub room: usize,
    /// Its place among the talkers of its room; none: it says nothing.
    pub talker: Option<usize>,
    /// Whether what it hears is kept and judged.
    pub recorded: bool,
    /// Whether its room's first talker is muted and unmuted.
    pub changed: bool,
    /// Whether what it hears is kept, and tells when that happened.
    pub witness: bool,
    /// What it speaks: a place in [`Plan::codecs`].
    pub codec: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            legs: 100,
            room_size: 4,
            talkers: 2,
            length: Duration::from_secs(30),
            joins: 200,
            name: "load".to_owned(),
            codecs: vec!["pcmu".to_owned()],
            network: Network::default(),
            srtp: false,
            churn: 0,
            changes: false,
            waiting: false,
        }
    }
}

impl Plan {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn check(&self) -> Result<(), String> {
        let between = |flag: &str, value: usize, max: usize| match value {
            value if (1..=max).contains(&value) => Ok(()),
            value => Err(format!("{flag} {value} is not 1 to {max}")),
        };
        between("--legs", self.legs, LEGS_MAX)?;
        between("--room-size", self.room_size, node::PARTICIPANTS_MAX as usize)?;
        if self.waiting && (self.room_size, self.talkers) != (1, 0) {
            return Err("--waiting: each is alone in a room, and nobody talks".to_owned());
        }
        if !self.waiting {
            between("--talkers", self.talkers, TONES.min(self.room_size))?;
        }
        self.network.check()?;
        if self.churn > CHURN_MAX {
            return Err(format!("--churn {} is not 0 to {CHURN_MAX} a second", self.churn));
        }
        if self.churn > 0 && self.talkers == self.room_size {
            return Err("--churn: nobody is silent: more --room-size or fewer --talkers".to_owned());
        }
        between("--codec: their number", self.codecs.len(), CODECS_MAX)?;
        node::terms(&self.codecs, "optional").map(drop).map_err(|told| format!("--codec: {told}"))
    }

    /// Returns the room that a leg calls.
    pub fn room(&self, leg: usize) -> String {
        format!("{}-{}", self.name, leg / self.room_size)
    }

    /// Whether a leg says nothing; it can be muted, and nobody misses it.
    pub fn is_silent(&self, leg: usize) -> bool {
        leg % self.room_size >= self.talkers
    }

    /// Whether a leg talks and is muted and unmuted, so that others hear when.
    pub fn is_changed(&self, leg: usize) -> bool {
        leg.is_multiple_of(self.room_size) && self.changes_room(leg / self.room_size)
    }

    /// Whether the first talker of a room is muted and unmuted. Such rooms are whole, and spread over all.
    fn changes_room(&self, room: usize) -> bool {
        let rooms = self.legs / self.room_size;
        let count = if self.changes && self.talkers > 0 { CHANGED_MAX.min(rooms / 4) } else { 0 };
        rooms.checked_div(count).is_some_and(|stride| {
            room % stride == stride - 1 && room / stride < count && self.room_size > 1
        })
    }

    /// Returns what each leg is, in the order of their numbers.
    pub(super) fn roles(&self) -> Vec<Role> {
        // Recorded are whole rooms, so that talkers and silent ones are among them.
        let rooms = self.legs.div_ceil(self.room_size);
        let kept = (RECORDED_MAX / self.room_size).clamp(1, rooms);
        let stride = rooms / kept;
        let role = |number: usize| {
            let (room, place) = (number / self.room_size, number % self.room_size);
            let changed = self.changes_room(room);
            Role {
                number,
                room,
                talker: (place < self.talkers).then_some(place),
                recorded: !changed
                    && room % stride == 0
                    && room / stride < kept
                    && (place < RECORDED_MAX || self.room_size <= RECORDED_MAX),
                changed,
                witness: changed && place == self.room_size - 1,
                codec: (number + room) % self.codecs.len().max(1),
            }
        };
        (0..self.legs).map(role).collect()
    }

    /// Returns which tones a leg is to hear: of those who are up the others', or of a reflector its own.
    pub(super) fn expected(&self, role: &Role, up: &BTreeSet<usize>, itself: bool) -> Vec<Tone> {
        let first = role.room * self.room_size;
        let present = self.talkers.min(self.legs - first);
        let heard = (0..present).filter(|talker| {
            (Some(*talker) == role.talker) == itself && up.contains(&(first + talker))
        });
        heard.map(|talker| Tone::of(role.room, self.talkers, talker)).collect()
    }

    /// Returns the codecs as they are offered.
    pub(super) fn offered(&self) -> Vec<sip::Codec> {
        self.codecs.iter().filter_map(|name| sip::Codec::named(name)).collect()
    }

    /// Returns the codecs as the mixer has them.
    pub(super) fn mixed(&self) -> Vec<media::Codec> {
        self.offered().into_iter().map(node::mixed).collect()
    }

    /// Returns the tone that a leg says, if it says one.
    pub(super) fn tone(&self, role: &Role) -> Option<Tone> {
        role.talker.map(|talker| Tone::of(role.room, self.talkers, talker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(legs: usize, room_size: usize, talkers: usize) -> Plan {
        Plan { legs, room_size, talkers, ..Plan::default() }
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        assert_eq!(plan(8, 4, 2).check(), Ok(()));
        for (plan, flag) in [
            (plan(0, 4, 2), "--legs"),
            (plan(LEGS_MAX + 1, 4, 2), "--legs"),
            (plan(8, 0, 2), "--room-size"),
            (plan(8, 251, 2), "--room-size"),
            (plan(8, 4, 5), "--talkers"),
            (plan(250, 250, TONES + 1), "--talkers"),
        ] {
            assert!(plan.check().is_err_and(|told| told.starts_with(flag)), "{plan:?}");
        }
        let waiting = |plan: Plan| Plan { waiting: true, ..plan }.check();
        assert_eq!(waiting(plan(8, 1, 0)), Ok(()));
        assert!(waiting(plan(8, 4, 0)).is_err() && waiting(plan(8, 1, 1)).is_err());
        assert!(plan(8, 1, 0).check().is_err());
        for codecs in [vec![], vec!["g729"], vec!["pcmu"; CODECS_MAX + 1]] {
            let codecs = codecs.into_iter().map(str::to_owned).collect();
            let plan = Plan { codecs, ..Plan::default() };
            assert!(plan.check().is_err_and(|told| told.starts_with("--codec")), "{plan:?}");
        }
    }

    #[test]
    fn every_codec_is_spoken_by_talkers_and_by_listeners() {
        let codecs: Vec<String> = node::CODECS.iter().map(|&name| name.to_owned()).collect();
        for kinds in 1..=codecs.len() {
            let plan = Plan { codecs: codecs[..kinds].to_vec(), ..plan(64, 4, 2) };
            for codec in 0..kinds {
                for talks in [true, false] {
                    let is_it =
                        |role: &&Role| role.codec == codec && role.talker.is_some() == talks;
                    assert!(plan.roles().iter().filter(is_it).count() >= 4, "{codec} of {kinds}");
                }
            }
        }
    }

    #[test]
    fn whole_rooms_are_recorded_spread_over_all() {
        for (legs, size, recorded) in
            [(8, 4, 8), (100, 4, 64), (1_000, 4, 64), (250, 250, 64), (1_000, 50, 50), (7, 3, 7)]
        {
            let roles = plan(legs, size, 2).roles();
            assert_eq!(
                roles.iter().filter(|role| role.recorded).count(),
                recorded,
                "{legs}/{size}"
            );
            assert_eq!(roles.len(), legs);
        }
    }

    #[test]
    fn of_rooms_whose_talkers_are_muted_nothing_else_is_judged() {
        for (legs, size, talkers, rooms) in
            [(1_000, 4, 2, 32), (1_000, 2, 2, 32), (42, 4, 2, 2), (250, 250, 2, 0), (8, 1, 1, 0)]
        {
            let plan = Plan { changes: true, ..plan(legs, size, talkers) };
            let roles = plan.roles();
            let count = |is: fn(&Role) -> bool| roles.iter().filter(|&role| is(role)).count();
            assert_eq!(count(|role| role.changed), rooms * size, "{legs}/{size}");
            assert_eq!(count(|role| role.witness), rooms);
            assert_eq!(count(|role| role.recorded && role.changed), 0);
            assert!(count(|role| role.recorded) > 0);
            let muted: Vec<usize> = (0..legs).filter(|&leg| plan.is_changed(leg)).collect();
            assert_eq!(muted.len(), rooms);
            assert!(muted.iter().all(|&leg| roles[leg].talker == Some(0) && roles[leg].changed));
        }
        assert!(plan(1_000, 4, 2).roles().iter().all(|role| !role.changed && !role.witness));
    }

    #[test]
    fn a_leg_hears_the_other_talkers_who_are_up_and_at_a_reflector_itself() {
        let plan = plan(10, 4, 2);
        let roles = plan.roles();
        let up: BTreeSet<usize> = (0..10).filter(|&leg| leg != 4).collect();
        let heard = |leg: usize, itself| plan.expected(&roles[leg], &up, itself);
        let tone = |room, talker| Tone::of(room, 2, talker);
        assert_eq!(heard(0, false), [tone(0, 1)]);
        assert_eq!(heard(6, false), [tone(1, 1)]);
        assert_eq!(heard(9, false), [tone(2, 0)]);
        assert_eq!((heard(5, true), heard(6, true)), (vec![tone(1, 1)], vec![]));
        assert!(plan.is_silent(3) && !plan.is_silent(4));
    }
}
