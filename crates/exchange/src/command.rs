//! The whole vocabulary: what is asked of the exchange, what reaches it from the wire, and what
//! the world must do because of it.

use std::time::Duration;

use model::{AccountSid, Call, CallSid, Change, Conference, ConferenceSid, Participant};

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
    /// Kicks a participant.
    RemoveParticipant {
        /// Whose conference.
        account: AccountSid,
        /// Which conference.
        conference: ConferenceSid,
        /// Which participant.
        participant: ParticipantKey,
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
}

/// What a command answers when it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The call as it is now.
    Call(Box<Call>),
    /// The participant as it is now.
    Participant(Box<Participant>),
    /// The conference as it is now.
    Conference(Box<Conference>),
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
}

/// What a call does once it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Of `start end join leave mute hold modify speaker announcement`.
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
    /// The call is not over and cannot be deleted.
    #[error("the call is not over")]
    CallNotFinished,
    /// Nobody answers to this number or name.
    #[error("{0} cannot be reached")]
    Unreachable(String),
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
}

/// One request for a document; its answer comes as [`Event::Fetched`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// One sound that plays to an audience; its end comes as [`Event::PlayEnded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayId(pub u64);

/// A file that was fetched and waits to be played, by the number that `node` gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudioId(pub u64);

/// What came of a [`Effect::Fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// TwiML, or plain text that parses as it.
    Twiml {
        /// The document.
        text: String,
        /// Where it came from in the end: what its relative addresses are relative to.
        url: String,
    },
    /// Plain text that is not TwiML: it is spoken.
    Text(String),
    /// An audio file: it is played once.
    Audio(AudioId),
}

/// Why the world let us down, under the code that the debugger log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Twilio's code.
    pub code: u32,
    /// What happened, in a sentence.
    pub message: String,
}

/// Why a phone is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It hung up.
    HungUp,
    /// It no longer answers.
    Lost,
    /// It sent no sound for too long: 32014.
    NoAudio,
}

/// What reaches the exchange from the wire and from its own requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A phone calls us. `node` drew the SID.
    CallOffered {
        /// The new call.
        call: CallSid,
        /// Whose call.
        account: AccountSid,
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
        /// The name that the caller gave itself.
        caller_name: Option<String>,
        /// What to do with it.
        instructions: Instructions,
        /// `SipHeader_X-…` and the like, for its voice requests.
        headers: Vec<(String, String)>,
    },
    /// The phone we dial rings.
    CallRinging {
        /// Which call.
        call: CallSid,
        /// Whether it sends sound already.
        early_media: bool,
    },
    /// The phone we dial answered, or the phone that we answered has acknowledged.
    CallAnswered {
        /// Which call.
        call: CallSid,
    },
    /// The phone we dial will not answer.
    CallFailed {
        /// Which call.
        call: CallSid,
        /// The SIP status: 486 busy, 408 or 480 no answer, ...
        status: u16,
    },
    /// A phone is gone.
    CallGone {
        /// Which call.
        call: CallSid,
        /// Why.
        why: Gone,
    },
    /// A key was pressed.
    Digit {
        /// Which call.
        call: CallSid,
        /// `0-9 A-D # *`
        digit: char,
    },
    /// A request for a document was answered, or failed.
    Fetched {
        /// Which request.
        fetch: FetchId,
        /// What came.
        result: Result<Fetched, Failure>,
    },
    /// A sound was played to its end, or could not be.
    PlayEnded {
        /// Which sound.
        play: PlayId,
        /// Why it could not be played.
        result: Result<(), Failure>,
    },
    /// A phone registered under this name.
    Registered {
        /// The user's name.
        user: String,
    },
    /// The last registration under this name ended.
    Unregistered {
        /// The user's name.
        user: String,
    },
}

/// To whom somebody's voice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaks {
    /// To nobody.
    Nobody,
    /// To all who hear the conference.
    Everyone,
    /// To these alone: a coach.
    Only(Vec<CallSid>),
}

/// How a call's sound is wired, from the next tick on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The room it is in; none: it hears only what is played to it.
    pub conference: Option<ConferenceSid>,
    /// Who hears it.
    pub speaks: Speaks,
    /// Whether it hears the room.
    pub hears: bool,
    /// Whether the room is turned down by 12 dB under an announcement.
    pub ducked: bool,
}

/// Who hears a sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// One call.
    Call(CallSid),
    /// All who hear the conference.
    Conference(ConferenceSid),
}

/// A piece of text and how it is to be said.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// Twilio's name of the voice.
    pub voice: String,
    /// A language tag; empty: the voice's own.
    pub language: String,
    /// What to say, with its prosody.
    pub segments: Vec<twiml::Segment>,
}

impl Speech {
    /// Plain words in the default voice.
    pub fn plain(text: String) -> Self {
        let segment = twiml::Segment::Text { text, rate: 1.0, pitch: 1.0, volume: 1.0 };
        Self { voice: "man".to_owned(), language: String::new(), segments: vec![segment] }
    }
}

/// What is played.
#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    /// A file that is to be fetched first, by GET.
    Url(String),
    /// A file that has been fetched.
    Audio(AudioId),
    /// Spoken text.
    Speech(Speech),
    /// The beep of someone who comes.
    EnterBeep,
    /// The beep of someone who goes.
    ExitBeep,
    /// Keys, as telephone events towards the call.
    Digits(String),
}

/// What the world must do because a command or an event was accepted, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Writes a row; all rows of one command are committed together.
    Write(Change),
    /// Dials. Acts after the commit.
    Dial {
        /// The new call.
        call: CallSid,
        /// Whom: `sip:` address, or a registered user's name.
        to: String,
        /// Who calls: a number, a name or a `sip:` address.
        from: String,
        /// A name to show.
        display_name: Option<String>,
        /// Credentials for a callee that challenges.
        auth: Option<(String, String)>,
        /// How much delay its buffer may add.
        jitter_buffer_size: Option<String>,
    },
    /// Tells a caller that it rings here.
    Ring(CallSid),
    /// Answers a call.
    Answer(CallSid),
    /// Turns an offered call away.
    Reject {
        /// Which call.
        call: CallSid,
        /// 603 or 486.
        status: u16,
    },
    /// Hangs up, or takes back an unanswered call.
    HangUp(CallSid),
    /// Asks an address. Acts after the commit.
    Fetch {
        /// To tell the answers apart.
        fetch: FetchId,
        /// Whose token signs it.
        account: AccountSid,
        /// Whose cookies go along.
        call: Option<CallSid>,
        /// What to ask.
        document: Document,
        /// The form fields, in order.
        params: Vec<(String, String)>,
    },
    /// Wires a call's sound.
    Route {
        /// Which call.
        call: CallSid,
        /// How.
        route: Route,
    },
    /// Sets how much delay a call's buffer may add.
    JitterBuffer {
        /// Which call.
        call: CallSid,
        /// `off small medium large`
        size: String,
    },
    /// Begins a sound.
    Play {
        /// To tell the ends apart.
        play: PlayId,
        /// Whose account's limits and guard apply.
        account: AccountSid,
        /// Who hears it.
        audience: Audience,
        /// What.
        sound: Sound,
        /// How often.
        loops: u32,
        /// Whether it waits for a [`Effect::Pause`] with `false`.
        paused: bool,
    },
    /// Halts a sound where it is, or lets it go on.
    Pause {
        /// Which sound.
        play: PlayId,
        /// Whether it halts.
        paused: bool,
    },
    /// Ends a sound; no [`Event::PlayEnded`] follows.
    Stop(PlayId),
}
