//! What was seen in a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use media::Codec;

use super::changes::Loudness;
use super::figures::Times;
use super::legs::{Click, Outcome, Seen};
use super::plan::{Plan, Role};
use super::reports::Exchanged;
use super::voice::{self, Breaks, Ear, SAMPLES, Tone};

/// A run whose own sending was later than this at its 99th percentile, or [`LATE_WORST`] once, is
/// not clean: it says more about the generator than about the server.
pub const LATE_P99: Duration = Duration::from_millis(4);
/// See [`LATE_P99`].
pub const LATE_WORST: Duration = Duration::from_millis(20);
/// Faults that are told in words; the others are counted.
const FAULTS_TOLD: usize = 8;
/// Music has a sample that is louder.
const MUSIC_LEAST: u16 = 500;
/// Samples in which breaks are not counted.
const BEGINNING: usize = 5 * SAMPLES;

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Calls that were up; of a reflector, all.
    pub up: usize,
    /// Calls that were refused, by status, and that were lost while it counted.
    pub refused: BTreeMap<u16, usize>,
    /// See above.
    pub lost_calls: usize,
    /// Calls answered in a second, while all were made.
    pub joins: f64,
    /// From INVITE to answer, and to the first packet.
    pub answered: Times,
    /// See above.
    pub first_sound: Times,
    /// Those who hung up and called again.
    pub churn: Churn,
    /// For how long it counted.
    pub seconds: f64,
    /// Packets while it counted.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// Packets that never came, by their numbers.
    pub lost: u64,
    /// Packets that our own kernel did not take.
    pub unsent: u64,
    /// From one packet of a leg to its next, and how many of these passed [`super::GAP`].
    pub spacing: Times,
    /// See above.
    pub gaps: u64,
    /// From a packet that the server got to the packet in which its sound left.
    pub delay: Times,
    /// The same of the first quarter of the time, and of the last.
    pub delay_quarters: (Times, Times),
    /// Clicks that should have been heard, and were.
    pub clicks: (u64, u64),
    /// How loud each talker is who is muted and unmuted, by its leg, in each packet of one who hears it.
    pub loudness: BTreeMap<usize, Loudness>,
    /// Legs whose sound was judged.
    pub checked: usize,
    /// Those of them who heard exactly whom they should, all the time.
    pub right: usize,
    /// What the others heard.
    pub faults: Vec<String>,
    /// Frames of silence in recordings that should have none.
    pub silent_frames: usize,
    /// Frames of recordings in which somebody was missing.
    pub breaks: Breaks,
    /// Packets of ours that the network lost, as it was told to.
    pub dropped: u64,
    /// What the legs reported, and the server.
    pub reports: Exchanged,
    /// Processor time of the process for a second of a leg, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// Memory for a leg, in KiB.
    pub memory_kib: Option<f64>,
    /// By how much our own sending was late.
    pub late: Times,
}

/// What became of those who hung up and called again while it counted.
#[derive(Debug, Default)]
pub struct Churn {
    /// How many hung up.
    pub left: usize,
    /// From INVITE to answer, of those who called again.
    pub answered: Times,
    /// From INVITE to the first packet.
    pub first_sound: Times,
}

impl Report {
    /// Whether our own sending was on time.
    pub fn is_clean(&self) -> bool {
        self.late.percentile(99.0) <= LATE_P99
            && self.late.longest() <= LATE_WORST
            && self.unsent == 0
    }
    /// Adds what the legs of one thread saw.
    pub(super) fn add(&mut self, judge: &Judge<'_>, outcome: &Outcome) {
        self.spacing.add(&outcome.spacing);
        self.first_sound.add(&outcome.first_sound);
        self.churn.first_sound.add(&outcome.first_sound_again);
        self.late.add(&outcome.late);
        self.reports.add(&outcome.reports);
        self.gaps += outcome.gaps;
        self.unsent += outcome.unsent;
        for (&number, seen) in &outcome.legs {
            let role = &judge.roles[number];
            let clicks = outcome.clicks.get(&role.room).map_or(&[][..], Vec::as_slice);
            self.add_leg(judge, role, seen, clicks);
        }
    }

    fn add_leg(&mut self, judge: &Judge<'_>, role: &Role, seen: &Seen, clicks: &[Click]) {
        let plan = judge.plan;
        self.sent += seen.sent;
        self.received += seen.received;
        self.lost += seen.lost;
        self.dropped += seen.dropped;
        if role.witness {
            self.loudness.insert(role.room * plan.room_size, judge.loudness(role, seen));
        }
        if !role.recorded || !seen.up || judge.is_left_alone(role) {
            return;
        }
        let mut sound = seen.heard.sound(judge.codecs[role.codec]);
        if seen.again {
            // Who has just come in hears nobody for a moment.
            sound.samples.drain(..voice::WINDOW.min(sound.samples.len()));
            if sound.samples.len() < voice::WINDOW {
                return;
            }
        }
        self.checked += 1;
        let to_hear = |click: &&Click| (click.by == role.number) == judge.itself;
        // A click that was on its way when it came in was another's.
        let clicks = clicks.iter().filter(to_hear).map(|click| click.at);
        for (said, delay) in if seen.again { Vec::new() } else { sound.delays(clicks).collect() } {
            self.clicks.0 += 1;
            let Some(delay) = delay else { continue };
            self.clicks.1 += 1;
            self.delay.note(delay);
            match said.saturating_duration_since(judge.start).as_secs_f64() / self.seconds {
                ..0.25 => self.delay_quarters.0.note(delay),
                0.75.. => self.delay_quarters.1.note(delay),
                _ => {}
            }
        }
        let amplitude = voice::amplitude(plan.talkers);
        let expected = plan.expected(role, judge.up, judge.itself);
        // A decoder that begins in the middle of a stream needs a moment.
        let settled = sound.samples.get(BEGINNING..).unwrap_or_default();
        if !expected.is_empty() {
            self.silent_frames += voice::silent_frames(settled, amplitude);
        }
        self.breaks.add(judge.ear.breaks(settled, amplitude, &expected));
        // What a network does to a second is counted; who is in the whole is not up to it.
        let whole = if plan.network.is_perfect() { voice::WINDOW } else { sound.samples.len() };
        // What one that only sends repeats is no music, and not of every codec.
        let fault = if plan.waiting && judge.itself {
            None
        } else if sound.samples.len() < voice::WINDOW {
            Some("hears less than a second".to_owned())
        } else if plan.waiting {
            let is_loud = sound.samples.iter().any(|sample| sample.unsigned_abs() > MUSIC_LEAST);
            (!is_loud).then(|| "hears no music".to_owned())
        } else {
            judge.ear.fault(&sound.samples, whole, amplitude, &expected)
        };
        match fault {
            None => self.right += 1,
            Some(fault) if self.faults.len() < FAULTS_TOLD => {
                let codec = &plan.codecs[role.codec];
                self.faults.push(format!("leg {} ({codec}): {fault}", role.number));
            }
            Some(_) => {}
        }
    }
}

/// By what legs are judged.
pub(super) struct Judge<'a> {
    pub plan: &'a Plan,
    pub roles: &'a [Role],
    /// Numbers of the legs that were up.
    pub up: &'a BTreeSet<usize>,
    /// Of the plan, as the mixer has them.
    pub codecs: &'a [Codec],
    /// Whether each is to hear itself, as at a reflector.
    pub itself: bool,
    /// When it began to count.
    pub start: Instant,
    pub ear: Ear,
}

impl Judge<'_> {
    /// Whether all others of its room were refused, so that it waits for them with music.
    fn is_left_alone(&self, role: &Role) -> bool {
        let room = role.room * self.plan.room_size..(role.room + 1) * self.plan.room_size;
        self.plan.room_size > 1 && !self.itself && self.up.range(room).count() < 2
    }

    /// Returns how loud its room's first talker is in each packet that a leg got.
    fn loudness(&self, role: &Role, seen: &Seen) -> Loudness {
        let tone = Tone::of(role.room, self.plan.talkers, 0);
        let amplitude = voice::amplitude(self.plan.talkers);
        let sound = seen.heard.sound(self.codecs[role.codec]);
        sound.packets().map(|(at, heard)| (at, self.ear.loudness(heard, tone, amplitude))).collect()
    }
}
