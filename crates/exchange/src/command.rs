//! What is asked of the exchange, and why it may refuse.

use std::fmt;
use std::time::Duration;

use model::{
    AccountSid, Call, CallSid, Conference, ConferenceSid, Participant, QueueSid, Recording,
    RecordingSid,
};

use crate::edges::{EdgeChanges, Edges};
use crate::machine::MachineDetection;
use crate::recording::{Recorded, RecordingChange, RecordingKey, RecordingOptions};

/// An address and the HTTP method to ask it with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Document {
    /// Absolute, http or https; empty where silence is meant.
    pub url: String,
    /// In upper case.
    pub method: String,
}

/// How the API names a conference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConferenceKey {
    /// By its SID.
    Sid(ConferenceSid),
    /// By its friendly name; creating a participant may make it.
    Name(String),
}

/// How the API names a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParticipantKey {
    /// By its call.
    Call(CallSid),
    /// By its label, compared exactly.
    Label(String),
}

impl ParticipantKey {
    /// Reads a path segment that has been percent-decoded: what looks like a CallSid is one.
    pub fn parse(segment: &str) -> Self {
        segment.parse().map_or_else(|_| Self::Label(segment.to_owned()), Self::Call)
    }
}

impl fmt::Display for ParticipantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => call.fmt(f),
            Self::Label(label) => f.write_str(label),
        }
    }
}

/// What the REST API asks. Refused whole or done whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Dials a phone and runs TwiML when it answers.
    CreateCall(Box<CreateCall>),
    /// Redirects, ends or cancels a call.
    UpdateCall {
        /// Whose call.
        account: AccountSid,
        /// Which call.
        call: CallSid,
        /// What is to change.
        changes: Box<CallChanges>,
    },
    /// Forgets a call that is over.
    DeleteCall {
        /// Whose call.
        account: AccountSid,
        /// Which call.
        call: CallSid,
    },
    /// Dials a phone into a conference.
    CreateParticipant(Box<CreateParticipant>),
    /// The request at the centre: twelve parameters, applied at one instant.
    UpdateParticipant {
        /// Whose conference.
        account: AccountSid,
        /// Which conference.
        conference: ConferenceSid,
        /// Which participant.
        participant: ParticipantKey,
        /// What is to change.
        changes: Box<ParticipantChanges>,
    },
    /// Sets how loud a participant is, whom it hears, and by whom it is heard.
    UpdateEdges {
        /// Whose conference.
        account: AccountSid,
        /// Which conference.
        conference: ConferenceSid,
        /// Which participant.
        participant: ParticipantKey,
        /// What is to change.
        changes: Box<EdgeChanges>,
    },
    /// Kicks a participant.
    RemoveParticipant {
        /// Whose conference.
        account: AccountSid,
        /// Which conference.
        conference: ConferenceSid,
        /// Which participant.
        participant: ParticipantKey,
    },
    /// Hangs up every call of an account that is closed.
    EndCalls {
        /// Whose calls.
        account: AccountSid,
    },
    /// Makes a queue.
    CreateQueue {
        /// Whose queue.
        account: AccountSid,
        /// `FriendlyName`.
        friendly_name: String,
        /// `MaxSize`.
        max_size: u32,
    },
    /// Renames a queue, or lets more or fewer in.
    UpdateQueue {
        /// Whose queue.
        account: AccountSid,
        /// Which queue.
        queue: QueueSid,
        /// `FriendlyName`.
        friendly_name: Option<String>,
        /// `MaxSize`.
        max_size: Option<u32>,
    },
    /// Forgets a queue in which nobody waits.
    DeleteQueue {
        /// Whose queue.
        account: AccountSid,
        /// Which queue.
        queue: QueueSid,
    },
    /// Takes a call out of a queue, to a document.
    Dequeue {
        /// Whose queue.
        account: AccountSid,
        /// Which queue.
        queue: QueueSid,
        /// Who waits in it.
        call: CallSid,
        /// `Url` and `Method`.
        document: Document,
    },
    /// Ends a conference, or announces something to it.
    UpdateConference {
        /// Whose conference.
        account: AccountSid,
        /// Which conference.
        conference: ConferenceSid,
        /// `Status=completed`.
        complete: bool,
        /// `AnnounceUrl` and `AnnounceMethod`.
        announce: Option<Document>,
    },
    /// Records a call that is up.
    CreateRecording {
        /// Whose call.
        account: AccountSid,
        /// Which call.
        call: CallSid,
        /// How.
        options: RecordingOptions,
    },
    /// Halts, resumes or stops a recording.
    UpdateRecording {
        /// Whose recording.
        account: AccountSid,
        /// What is recorded.
        of: Recorded,
        /// Which of its recordings.
        recording: RecordingKey,
        /// What is to change.
        change: RecordingChange,
    },
    /// Deletes a recording that is over, with its sound.
    DeleteRecording(RecordingSid),
}

/// What a command answers when it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The call as it is now.
    Call(Box<Call>),
    /// The participant as it is now.
    Participant(Box<Participant>),
    /// A participant, and how it is heard and hears now.
    Edges(CallSid, Box<Edges>),
    /// The conference as it is now.
    Conference(Box<Conference>),
    /// The recording as it is now.
    Recording(Box<Recording>),
    /// The queue, which the tables show as it is now.
    Queue(QueueSid),
    /// Nothing is left to show.
    Done,
}

/// Where and when a call's progress is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct StatusCallback {
    /// The receiver; none: nothing is told.
    pub url: Option<String>,
    /// In upper case; empty means POST.
    pub method: String,
    /// Of `initiated ringing answered completed`; empty means `completed`.
    pub events: Vec<String>,
}

/// Whom to dial, and how: what a call and a participant have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialling {
    /// `To`: `sip:user@host`, `client:name`, or a number of a registered user.
    pub to: String,
    /// What goes along to a client or an application, beside what stands behind `?` in `To`.
    pub parameters: Vec<(String, String)>,
    /// `From`, as asked for.
    pub from: String,
    /// How long it may ring; `Timeout`.
    pub timeout: Option<Duration>,
    /// How long it may last once answered; `TimeLimit`.
    pub time_limit: Option<Duration>,
    /// Credentials for a callee that challenges.
    pub sip_auth: Option<(String, String)>,
    /// A name to show beside `From`.
    pub caller_display_name: Option<String>,
    /// `CallerId`, where it is to differ from `From`.
    pub caller_id: Option<String>,
    /// Who is told of the call's progress.
    pub status_callback: StatusCallback,
    /// `Record` and what goes with it: how it is recorded from the answer on; none: not at all.
    pub recording: Option<RecordingOptions>,
    /// `MachineDetection` and what goes with it: how it is found out who has answered; none: not at all.
    pub machine: Option<MachineDetection>,
}

/// What a call does once it is answered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Instructions {
    /// Asks an address.
    Url {
        /// `Url` and `Method`.
        document: Document,
        /// `FallbackUrl` and `FallbackMethod`.
        fallback: Option<Document>,
    },
    /// Follows TwiML that came with the request.
    Twiml(String),
    /// Joins the conference of this name with every default: a call to `sip:NAME@...` in
    /// development mode.
    Join(String),
}

/// `POST .../Calls.json`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateCall {
    /// Whose call.
    pub account: AccountSid,
    /// Whom to dial.
    pub dialling: Dialling,
    /// What then.
    pub instructions: Instructions,
    /// `SendDigits`, dialled after the answer.
    pub send_digits: Option<String>,
}

/// `POST .../Calls/{Sid}.json`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallChanges {
    /// `Url` or `Twiml`: the call leaves what it does and does this.
    pub redirect: Option<Instructions>,
    /// `Status`.
    pub end: Option<End>,
    /// `StatusCallback` and `StatusCallbackMethod`.
    pub status_callback: Option<(String, String)>,
    /// `TimeLimit`.
    pub time_limit: Option<Duration>,
    /// `FallbackUrl` and `FallbackMethod`.
    pub fallback: Option<Document>,
}

/// How the API ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Only while it is queued or ringing.
    Canceled,
    /// Also when it is in progress.
    Completed,
}

/// When a beep sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Beep {
    /// When the participant comes.
    pub on_enter: bool,
    /// When it goes.
    pub on_exit: bool,
}

/// `POST .../Conferences/{Sid or name}/Participants.json`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateParticipant {
    /// Whose conference.
    pub account: AccountSid,
    /// Which conference; a name may make one.
    pub conference: ConferenceKey,
    /// Whom to dial.
    pub dialling: Dialling,
    /// Whether the others hear it ring.
    pub early_media: bool,
    /// How it takes part.
    pub options: JoinOptions,
}

/// How a participant takes part, by `<Conference>` or by the API.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinOptions {
    /// Heard by nobody from the start.
    pub muted: bool,
    /// What sounds when it comes and goes.
    pub beep: Beep,
    /// Whether its coming starts the conference.
    pub start_conference_on_enter: bool,
    /// Whether its leaving ends the conference.
    pub end_conference_on_exit: bool,
    /// What it hears before the start; none: the default playlist by GET.
    pub wait: Option<Document>,
    /// A second address.
    pub label: Option<String>,
    /// Whom it coaches.
    pub coach: Option<CallSid>,
    /// How many may take part; the first participant's counts.
    pub max_participants: u32,
    /// Who is told of the conference; the first participant's counts.
    pub status_callback: ConferenceCallback,
    /// Where to mix; the first that names one counts.
    pub region: Option<String>,
    /// How much delay its buffer may add: `off small medium large`; none: adaptive.
    pub jitter_buffer_size: Option<String>,
    /// How the conference is recorded; none: not at all. The first participant's counts.
    pub recording: Option<RecordingOptions>,
}

impl JoinOptions {
    /// Takes the attributes of a `<Conference>`; relative addresses are relative to `base`.
    pub fn from_twiml(noun: &twiml::Conference, base: &str) -> Self {
        let absolute = |url: &str| twiml::resolve(base, url).ok();
        let wait = noun.wait_url.as_deref().and_then(|url| {
            let url = if url.is_empty() { Some(String::new()) } else { absolute(url) };
            url.map(|url| Document { url, method: noun.wait_method.clone() })
        });
        Self {
            muted: noun.muted,
            beep: match noun.beep {
                twiml::Beep::True => Beep { on_enter: true, on_exit: true },
                twiml::Beep::False => Beep { on_enter: false, on_exit: false },
                twiml::Beep::OnEnter => Beep { on_enter: true, on_exit: false },
                twiml::Beep::OnExit => Beep { on_enter: false, on_exit: true },
            },
            start_conference_on_enter: noun.start_conference_on_enter,
            end_conference_on_exit: noun.end_conference_on_exit,
            wait,
            label: noun.participant_label.clone(),
            coach: noun.coach.as_deref().and_then(|sid| sid.parse().ok()),
            max_participants: noun.max_participants,
            status_callback: ConferenceCallback {
                url: noun.status_callback.as_deref().and_then(absolute),
                method: noun.status_callback_method.clone(),
                events: noun
                    .status_callback_events
                    .iter()
                    .map(|event| event.as_str().to_owned())
                    .collect(),
            },
            region: noun.region.clone(),
            jitter_buffer_size: noun.jitter_buffer_size.clone(),
            recording: noun
                .recording
                .as_ref()
                .map(|recording| RecordingOptions::from_twiml(recording, base)),
        }
    }
}

/// Where and when a conference's events are told.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ConferenceCallback {
    /// The receiver; none: nothing is told.
    pub url: Option<String>,
    /// In upper case; empty means POST.
    pub method: String,
    /// Of `start end join leave mute hold modify speaker announcement`; where the API creates a
    /// participant, none mean `start end`.
    pub events: Vec<String>,
}

/// `POST .../Participants/{CallSid or label}.json`. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParticipantChanges {
    /// `Muted`.
    pub muted: Option<bool>,
    /// `Hold`.
    pub hold: Option<bool>,
    /// `HoldUrl` and `HoldMethod`; the method's default is GET.
    pub hold_document: Option<Document>,
    /// `AnnounceUrl` and `AnnounceMethod`; the method's default is POST.
    pub announce: Option<Document>,
    /// `WaitUrl` and `WaitMethod`; the method's default is POST.
    pub wait: Option<Document>,
    /// `BeepOnExit`.
    pub beep_on_exit: Option<bool>,
    /// `EndConferenceOnExit`.
    pub end_conference_on_exit: Option<bool>,
    /// `Coaching`.
    pub coaching: Option<bool>,
    /// `CallSidToCoach`.
    pub call_to_coach: Option<CallSid>,
}

/// Why a command was refused. Refused means: nothing changed and nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such call in this account.
    #[error("the call was not found")]
    CallNotFound,
    /// No such conference in this account, or it is completed.
    #[error("the conference was not found")]
    ConferenceNotFound,
    /// Nobody of this SID or label takes part.
    #[error("the participant was not found")]
    ParticipantNotFound,
    /// The conference named for a new participant is completed or was never there.
    #[error("the conference does not exist or is completed")]
    ConferenceCompleted,
    /// Nobody of that SID takes part.
    #[error("the participant to coach is not in the conference")]
    CoachedNotPresent,
    /// The participant to coach is on hold.
    #[error("the participant to coach is on hold")]
    CoachedOnHold,
    /// As many take part as may.
    #[error("the conference is full")]
    ConferenceFull,
    /// The label breaks a rule.
    #[error("the label is invalid: {0}")]
    LabelInvalid(String),
    /// Another participant has the label.
    #[error("the label is already in use")]
    LabelTaken,
    /// The call is over and cannot be redirected or ended.
    #[error("the call is not in progress")]
    CallNotInProgress,
    /// As many recordings of it run as may.
    #[error("too many recordings run at the same time")]
    RecordingsAtOnce,
    /// No such recording runs.
    #[error("the recording was not found")]
    RecordingNotFound,
    /// The recording is over: it can neither be halted nor stopped.
    #[error("the recording is not in progress")]
    RecordingNotRunning,
    /// The recording is not over and cannot be deleted.
    #[error("the recording is not over")]
    RecordingNotFinished,
    /// The call is not over and cannot be deleted.
    #[error("the call is not over")]
    CallNotFinished,
    /// No such queue in this account.
    #[error("the queue was not found")]
    QueueNotFound,
    /// Somebody waits in the queue, which cannot be deleted.
    #[error("the queue is not empty")]
    QueueNotEmpty,
    /// The call does not wait in the queue.
    #[error("the call does not wait in the queue")]
    MemberNotFound,
    /// Nobody answers to this number or name.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// No trunk may call this number.
    #[error("this account may not call {0}: no trunk allows it")]
    DestinationNotAllowed(String),
    /// The number may not be shown to those who are called.
    #[error("{0} is neither a number of this account's own nor one that a trunk lists")]
    CallerIdNotAllowed(String),
    /// The account has as many calls as it may.
    #[error("this account has {} at the same time, and no more may begin", counted(*.0, "call"))]
    CallsAtOnce(usize),
    /// The account has as many conferences as it may.
    #[error("this account has {} at the same time, and no more may begin", counted(*.0, "conference"))]
    ConferencesAtOnce(usize),
    /// A parameter's value is not one that can be.
    #[error("{parameter}: {message}")]
    Invalid {
        /// Under Twilio's name.
        parameter: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// More is asked at once than is taken; nothing was done.
    #[error("too many requests")]
    Overloaded,
    /// The store cannot be written just now; nothing was done.
    #[error("the store is not writable")]
    StoreUnavailable,
    /// The server is on its way down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// There is no time for the sound of another call.
    #[error("the server has as many calls as it can carry")]
    NoCapacity,
}

fn counted(count: usize, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {one}{ending}")
}
