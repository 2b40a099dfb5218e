//! What a restart needs of each call, conference and participant, as JSON beside its row; how an
//! exchange is rebuilt from the rows; and what a start does with what was alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

use model::{CallSid, ConferenceSid, EndReason, Now, Timestamp};
use serde::{Deserialize, Serialize};
use twiml::Dial;

use crate::bridge::{Dialled, DialledState};
use crate::call::{Call, Origin};
use crate::conference::{Announcements, Conference};
use crate::context::Context;
use crate::edges::EdgesState;
use crate::enqueue::{Queued, QueuedState};
use crate::exchange::{Touched, World};
use crate::limits::Dialout;
use crate::machine::{Detecting, DetectingState};
use crate::participants::{Music, Participant};
use crate::program::{Position, Program};
use crate::queues::Queue;
use crate::record::After;
use crate::recording::Recording;
use crate::{
    Beep, ConferenceCallback, Document, Effect, Exchange, Gone, Instructions, PauseBehavior,
    RecordingCallback, RecordingOptions, StatusCallback,
};

/// The rows of all that was alive when the server last ended: each record with its state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alive {
    /// Calls that are not over.
    pub calls: Vec<(model::Call, String)>,
    /// Conferences that are not completed.
    pub conferences: Vec<(model::Conference, String)>,
    /// Participants who have not left.
    pub participants: Vec<(model::Participant, String)>,
    /// Recordings that are not over.
    pub recordings: Vec<(model::Recording, String)>,
    /// All queues; who waits in them is told by the calls.
    pub queues: Vec<model::Queue>,
}

/// A row's state cannot be read: it was not written by this program.
#[derive(Debug, thiserror::Error)]
#[error("the state of {of} cannot be read: {error}")]
pub struct Unreadable {
    of: String,
    error: serde_json::Error,
}

impl Exchange {
    /// Rebuilds calls, conferences and participants from their rows: flags, labels, positions in TwiML,
    /// deadlines, numbers of callbacks, and the announcements that wait. What was in flight is not there:
    /// requests and sounds, how sound was wired, and who has registered.
    ///
    /// # Errors
    /// [`Unreadable`] names the first row that is not ours.
    pub fn restore(&mut self, alive: Alive, now: Now) -> Result<(), Unreadable> {
        let world = &mut self.world;
        for (record, state) in alive.conferences {
            let state = read(&record.sid, &state)?;
            world.names.insert((record.account, record.friendly_name.clone()), record.sid);
            let conference = ConferenceState::restored(state, record, now);
            world.conferences.insert(conference.record.sid, conference);
        }
        for (record, state) in alive.calls {
            let state = read(&record.sid, &state)?;
            let call = CallState::restored(state, record, world, now);
            world.calls.insert(call.record.sid, Box::new(call));
        }
        world.know_queues(alive.queues);
        world.queue_up();
        for (record, state) in alive.participants {
            let state = read(&record.sid, &state)?;
            let Some(conference) = world.conferences.get_mut(&record.conference) else { continue };
            let participant = ParticipantState::restored(state, record, now);
            let record = &participant.record;
            conference.labels.extend(record.label.clone().map(|label| (label, record.call)));
            conference.coaches.extend(participant.edge());
            let call = record.call;
            conference.members.insert(call, Box::new(participant));
            conference.note_sidebar(call);
        }
        for (record, state) in alive.recordings {
            let state = read(&record.sid, &state)?;
            world.recordings.insert(RecordingState::restored(state, record));
        }
        for (owner, at) in world.all_deadlines() {
            world.set_deadline(owner, at);
        }
        Ok(())
    }

    /// Takes up queues in which nobody waits: they outlive the calls.
    pub fn know_queues(&mut self, queues: Vec<model::Queue>) {
        self.world.know_queues(queues);
    }

    /// Describes all that is alive and every deadline. Exchanges of equal descriptions behave alike, but for
    /// what [`Self::restore`] cannot bring back.
    pub fn description(&self, now: Now) -> String {
        let Self { world, names: _ } = self;
        let mut text = format!("{:?}\n", world.names);
        for call in world.calls.values() {
            let _ = writeln!(text, "{:?} {}", call.record, call_state(call, now));
        }
        for conference in world.conferences.values() {
            let _ = writeln!(text, "{:?} {}", conference.record, conference_state(conference, now));
            let _ = writeln!(text, "{:?} {:?}", conference.labels, conference.coaches);
            let _ = writeln!(text, "{:?}", conference.sidebars);
            for member in conference.members.values() {
                let _ = writeln!(text, "{:?} {}", member.record, participant_state(member, now));
            }
        }
        for recording in world.recordings.iter() {
            let _ = writeln!(text, "{:?} {}", recording.record, recording_state(recording));
        }
        for queue in world.queues.values() {
            let _ = writeln!(text, "{:?} {:?}", queue.record, queue.members);
        }
        for (owner, at) in world.all_deadlines() {
            let _ = writeln!(text, "{owner:?} {:?}", date(at, now));
        }
        text
    }

    /// Ends all calls and conferences: their sound went with the last process. Callbacks tell of it.
    pub fn lose_all(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        for call in self.world.calls.values_mut() {
            // Nobody is there to go on with its TwiML.
            call.program = None;
            call.dialled = None;
            call.dialled_by = None;
            if let Some(queued) = &mut call.queued {
                queued.enqueue.action = None;
                queued.program = None;
            }
            if let Some((_, origin)) = &mut call.joined {
                *origin = Origin::Api;
            }
        }
        let calls: Vec<CallSid> = self.world.calls.keys().copied().collect();
        for call in calls {
            self.world.gone(call, Gone::Lost, ctx);
            self.world.flush(ctx);
        }
        let empty: Vec<ConferenceSid> = self.world.conferences.keys().copied().collect();
        for conference in empty {
            self.world.end_conference(conference, EndReason::LastLeft, None, ctx);
            self.world.flush(ctx);
        }
    }
}

impl World {
    fn know_queues(&mut self, queues: Vec<model::Queue>) {
        for record in queues {
            self.queue_names.insert((record.account, record.friendly_name.clone()), record.sid);
            self.queues.insert(record.sid, Queue::new(record));
        }
    }

    /// Puts those who wait into their queues again, in the order in which they came.
    fn queue_up(&mut self) {
        let waiting = self.calls.values().filter_map(|call| {
            let queued = call.queued.as_ref()?;
            Some((queued.place, queued.queue, call.record.sid, queued.taker.is_none()))
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable();
        for (place, queue, call, waits) in waiting {
            self.queue_arrivals = self.queue_arrivals.max(place);
            if let Some(queue) = self.queues.get_mut(&queue).filter(|_| waits) {
                queue.members.push(call);
            }
        }
    }

    fn all_deadlines(&self) -> Vec<(Touched, Option<Instant>)> {
        let calls = self.calls.iter().map(|(sid, call)| (Touched::Call(*sid), call.deadline()));
        let conferences = self.conferences.iter();
        let conferences = conferences.map(|(sid, conference)| {
            (Touched::Conference(*sid), conference.announcements.deadline())
        });
        let members = self.conferences.values().flat_map(|conference| &conference.members);
        let members = members.map(|(sid, member)| (Touched::Participant(*sid), member.deadline()));
        calls.chain(conferences).chain(members).collect()
    }
}

fn read<T: for<'a> Deserialize<'a>>(of: &impl ToString, state: &str) -> Result<T, Unreadable> {
    serde_json::from_str(state).map_err(|error| Unreadable { of: of.to_string(), error })
}

fn json(state: &impl Serialize) -> String {
    serde_json::to_string(state).expect("strings, numbers and lists can be written as JSON")
}

/// Dates of deadlines: the monotonic clock does not outlive a process.
fn date(at: Option<Instant>, now: Now) -> Option<i64> {
    at.map(|at| now.date_of(at).0)
}

fn instant(date: Option<i64>, now: Now) -> Option<Instant> {
    date.map(|at| now.instant_of(Timestamp(at)))
}

/// A call's state. Each field of [`Call`] is in its record or here.
#[derive(Debug, Serialize, Deserialize)]
struct CallState {
    instructions: Option<Instructions>,
    fallback: Option<Document>,
    status_callback: StatusCallback,
    sequence: u32,
    program: Option<Position>,
    conference: Option<String>,
    by_dial: bool,
    dialled: Option<DialledState>,
    dialled_by: Option<String>,
    queued: Option<QueuedState>,
    send_digits: Option<String>,
    headers: Vec<(String, String)>,
    dialout: Option<(Option<i64>, Box<Dialout>)>,
    rings_until_ms: Option<i64>,
    #[serde(default)]
    waits_since_ms: Option<i64>,
    time_limit: Duration,
    ends_at_ms: Option<i64>,
    leaves_at_ms: Option<i64>,
    ending: bool,
    recording: Option<RecordingOptions>,
    dial_recording: Option<String>,
    #[serde(default)]
    machine: Option<DetectingState>,
}

pub(crate) fn call_state(call: &Call, now: Now) -> String {
    json(&CallState {
        instructions: call.instructions.clone(),
        fallback: call.fallback.clone(),
        status_callback: call.status_callback.clone(),
        sequence: call.sequence,
        program: call.program.as_ref().map(|program| program.position(now)),
        conference: call.joined.as_ref().map(|(sid, _)| sid.to_string()),
        by_dial: matches!(call.joined, Some((_, Origin::Dial(_)))),
        dialled: call.dialled.as_ref().map(|dialled| dialled.state()),
        dialled_by: call.dialled_by.map(|sid| sid.to_string()),
        queued: call.queued.as_ref().map(|queued| queued.state(now)),
        send_digits: call.send_digits.clone(),
        headers: call.headers.clone(),
        dialout: call.dialout.as_ref().map(|dialout| (date(dialout.at, now), dialout.clone())),
        rings_until_ms: date(call.rings_until, now),
        waits_since_ms: date(call.waits_since, now),
        time_limit: call.time_limit,
        ends_at_ms: date(call.ends_at, now),
        leaves_at_ms: date(call.leaves_at, now),
        ending: call.ending,
        recording: call.recording.clone(),
        dial_recording: call.dial_recording.map(|sid| sid.to_string()),
        machine: call.machine.as_ref().map(|machine| machine.state(now)),
    })
}

impl CallState {
    fn restored(self, record: model::Call, world: &World, now: Now) -> Call {
        let program = self.program.map(|position| Program::restored(position, now));
        let conference = self.conference.and_then(|sid| sid.parse::<ConferenceSid>().ok());
        let conference = conference.and_then(|sid| world.conferences.get(&sid));
        let joined = conference.map(|conference| {
            let record = &conference.record;
            // The noun is the last verb that was run; without a document it was the name dialled.
            let dial = program.as_ref().and_then(Program::last_dial).cloned();
            let origin = if self.by_dial {
                let dial = dial.unwrap_or_else(|| Dial::conference(record.friendly_name.clone()));
                Origin::Dial(Box::new(dial))
            } else {
                Origin::Api
            };
            (record.sid, origin)
        });
        let dialled = self.dialled.and_then(|state| {
            let dial = program.as_ref().and_then(Program::last_dial)?;
            Some(Box::new(Dialled::restored(state, dial.clone())))
        });
        let queued = self.queued.and_then(|state| {
            let enqueue = program.as_ref().and_then(Program::last_enqueue)?;
            Queued::restored(state, enqueue.clone(), now).map(Box::new)
        });
        Call {
            record,
            queued,
            dialled,
            dialled_by: self.dialled_by.and_then(|sid| sid.parse().ok()),
            sip_status: None,
            sip_answer: None,
            instructions: self.instructions,
            fallback: self.fallback,
            status_callback: self.status_callback,
            sequence: self.sequence,
            program,
            joined,
            send_digits: self.send_digits,
            headers: self.headers,
            dialout: self
                .dialout
                .map(|(at, dialout)| Box::new(Dialout { at: instant(at, now), ..*dialout })),
            rings_until: instant(self.rings_until_ms, now),
            waits_since: instant(self.waits_since_ms, now),
            time_limit: self.time_limit,
            ends_at: instant(self.ends_at_ms, now),
            leaves_at: instant(self.leaves_at_ms, now),
            ending: self.ending,
            dial_recording: self.dial_recording.and_then(|sid| sid.parse().ok()),
            speaking: false,
            recording: self.recording,
            machine: self.machine.map(|state| Box::new(Detecting::restored(state, now))),
        }
    }
}

/// Announcements to one target, as they stand.
#[derive(Debug, Serialize, Deserialize)]
struct AnnouncementsState {
    current: Option<(Document, Position)>,
    waiting: Vec<Document>,
}

impl AnnouncementsState {
    fn of(announcements: &Announcements, now: Now) -> Self {
        let current = announcements.current.as_ref();
        Self {
            current: current.map(|(document, program)| (document.clone(), program.position(now))),
            waiting: announcements.waiting.iter().cloned().collect(),
        }
    }

    fn restored(self, now: Now) -> Announcements {
        let current = self.current;
        Announcements {
            current: current.map(|(document, at)| (document, Program::restored(at, now))),
            waiting: self.waiting.into(),
        }
    }
}

/// A conference's state. Each field of [`Conference`] is in its record or here, but for its members and
/// what can be told from them.
#[derive(Debug, Serialize, Deserialize)]
struct ConferenceState {
    callback: ConferenceCallback,
    sequence: u32,
    max_participants: u32,
    region_named: bool,
    arrivals: u64,
    announcements: AnnouncementsState,
    recording: Option<RecordingOptions>,
}

pub(crate) fn conference_state(conference: &Conference, now: Now) -> String {
    json(&ConferenceState {
        callback: conference.callback.clone(),
        sequence: conference.sequence,
        max_participants: conference.max_participants,
        region_named: conference.region_named,
        arrivals: conference.arrivals,
        announcements: AnnouncementsState::of(&conference.announcements, now),
        recording: conference.recording.clone(),
    })
}

impl ConferenceState {
    fn restored(self, record: model::Conference, now: Now) -> Conference {
        Conference {
            record,
            members: BTreeMap::new(),
            labels: BTreeMap::new(),
            coaches: BTreeSet::new(),
            sidebars: BTreeSet::new(),
            region_named: self.region_named,
            max_participants: self.max_participants,
            callback: self.callback,
            sequence: self.sequence,
            arrivals: self.arrivals,
            announcements: self.announcements.restored(now),
            recording: self.recording,
        }
    }
}

/// A participant's state. Each field of [`Participant`] is in its record or here, but for how its sound
/// was wired.
#[derive(Debug, Serialize, Deserialize)]
struct ParticipantState {
    arrival: u64,
    beep: Beep,
    wait: Document,
    hold: Document,
    early_media: bool,
    jitter_buffer_size: Option<String>,
    music: Option<(Music, Position)>,
    announcements: AnnouncementsState,
    #[serde(default)]
    edges: EdgesState,
}

pub(crate) fn participant_state(participant: &Participant, now: Now) -> String {
    let music = participant.music.as_ref();
    json(&ParticipantState {
        arrival: participant.arrival,
        beep: participant.beep,
        wait: participant.wait.clone(),
        hold: participant.hold.clone(),
        early_media: participant.early_media,
        jitter_buffer_size: participant.jitter_buffer_size.clone(),
        music: music.map(|(kind, program)| (*kind, program.position(now))),
        announcements: AnnouncementsState::of(&participant.announcements, now),
        edges: EdgesState::of(&participant.edges),
    })
}

impl ParticipantState {
    fn restored(self, record: model::Participant, now: Now) -> Participant {
        Participant {
            record,
            arrival: self.arrival,
            beep: self.beep,
            wait: self.wait,
            hold: self.hold,
            music: self.music.map(|(kind, at)| (kind, Program::restored(at, now))),
            announcements: self.announcements.restored(now),
            early_media: self.early_media,
            sounds_early: false,
            speaking: false,
            jitter_buffer_size: self.jitter_buffer_size,
            edges: self.edges.restored(),
            route: None,
        }
    }
}

/// A recording's state. Each field of [`Recording`] is in its record or here.
#[derive(Debug, Serialize, Deserialize)]
struct RecordingState {
    callback: RecordingCallback,
    trim: bool,
    pause: Option<PauseBehavior>,
    after: Option<After>,
}

pub(crate) fn recording_state(recording: &Recording) -> String {
    json(&RecordingState {
        callback: recording.callback.clone(),
        trim: recording.trim,
        pause: recording.pause,
        after: recording.after.clone(),
    })
}

impl RecordingState {
    fn restored(self, record: model::Recording) -> Recording {
        let Self { callback, trim, pause, after } = self;
        Recording { record, callback, trim, pause, after }
    }
}
