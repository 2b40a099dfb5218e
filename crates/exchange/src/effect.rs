//! What reaches the exchange from the wire, and what the world must do because of it.

use model::{
    AccountSid, AnsweredBy, CallSid, Change, ConferenceSid, Level, MachineDetection, RecordingSid,
    RecordingTrack,
};

use crate::cleaning::Cleaning;
use crate::edges::Gain;
use crate::recording::{PauseBehavior, RecordingEnd};
use crate::{Document, Instructions, StatusCallback};

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
    CallOffered(Box<Offer>),
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
    /// Something went wrong with a call that its status does not tell, for the debugger log.
    CallRemarked {
        /// Which call.
        call: CallSid,
        /// How bad that is.
        level: Level,
        /// What it is.
        remark: Failure,
    },
    /// What the phone we dial said in its final answer, which is told next.
    CallReplied {
        /// Which call.
        call: CallSid,
        /// The headers whose names begin with `X-`.
        headers: Vec<(String, String)>,
    },
    /// A phone is being called.
    CallDialled {
        /// Which call.
        call: CallSid,
        /// The Call-ID.
        sip_call_id: String,
    },
    /// A phone will be called when it is its turn, or it is its turn now.
    CallWaits {
        /// Which call.
        call: CallSid,
        /// Whether it waits.
        waits: bool,
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
    /// A caller began to speak, or has been silent for a while.
    Speech {
        /// Which call.
        call: CallSid,
        /// Whether it speaks now.
        speaking: bool,
    },
    /// Somebody can say who has answered a call.
    AnsweredBy {
        /// Which call.
        call: CallSid,
        /// Who.
        who: AnsweredBy,
    },
    /// What a call said was recognised, or could not be.
    Recognised {
        /// Which call.
        call: CallSid,
        /// What was heard.
        hearing: RecordingSid,
        /// What was understood.
        result: Result<Recognised, Failure>,
    },
    /// What a call has said so far was recognised; how sure that is says how likely it stays so.
    RecognisedPartly {
        /// Which call.
        call: CallSid,
        /// What is heard.
        hearing: RecordingSid,
        /// What was understood.
        understood: Recognised,
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
    /// A sound plays otherwise than it was asked for: a [`Failure`] that fails nothing.
    PlayRemarked {
        /// Which sound.
        play: PlayId,
        /// What differs, for the debugger log.
        remark: Failure,
    },
    /// A recording's file was closed.
    RecordingEnded {
        /// Which recording.
        recording: RecordingSid,
        /// What the file holds.
        end: RecordingEnd,
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

/// A call that a phone makes to us.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The new call.
    pub call: CallSid,
    /// Whose call.
    pub account: AccountSid,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// The name that the caller gave itself.
    pub caller_name: Option<String>,
    /// What to do with it.
    pub instructions: Instructions,
    /// Who is told of the call's progress.
    pub status_callback: StatusCallback,
    /// `SipHeader_X-…` and the like, for its voice requests.
    pub headers: Vec<(String, String)>,
}

/// To whom somebody's voice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaks {
    /// To nobody.
    Nobody,
    /// To all who hear the conference.
    Everyone,
    /// To these alone: a coach, or one in a sidebar.
    Only(Vec<CallSid>),
}

/// Where calls hear each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {
    /// In a conference.
    Conference(ConferenceSid),
    /// Where this call's `<Dial>` connects it with another.
    Bridge(CallSid),
}

/// What a call hears of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Nothing.
    Nothing,
    /// All who speak to everyone, and what is played to all.
    Everyone,
    /// What is played to all, and nobody but those who speak to it by a way of its own.
    Played,
}

impl Hears {
    /// Everyone, or nothing.
    pub const fn all(hears: bool) -> Self {
        if hears { Self::Everyone } else { Self::Nothing }
    }
}

/// How a call's sound is wired, from the next tick on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The room it is in; none: it hears only what is played to it.
    pub room: Option<Room>,
    /// Who hears it.
    pub speaks: Speaks,
    /// Who hears it besides, by a way of its own: those who hear a few alone.
    pub besides: Vec<CallSid>,
    /// How loud those hear it.
    pub gain: Gain,
    /// What is done to its sound.
    pub cleaning: Cleaning,
    /// What it hears of the room.
    pub hears: Hears,
    /// Whether the room is turned down by 12 dB under an announcement.
    pub ducked: bool,
}

impl Route {
    /// A way like this in which all who hear the call hear it as it is.
    pub fn plain(room: Option<Room>, speaks: Speaks, hears: Hears) -> Self {
        let (gain, cleaning) = (Gain::default(), Cleaning::default());
        Self { room, speaks, besides: Vec::new(), gain, cleaning, hears, ducked: false }
    }
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
    /// The ringing of a country, of [`twiml::RING_TONES`].
    RingTone(String),
}

/// How speech is to be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognise {
    /// A language tag.
    pub language: String,
    /// Words that are likely.
    pub hints: String,
    /// For what kind of speech; `default` where nothing else is said.
    pub model: String,
    /// Whether the better variant of that is wanted.
    pub enhanced: bool,
}

/// What was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// The words; empty where there were none.
    pub text: String,
    /// How sure that is, 0.0 to 1.0.
    pub confidence: f32,
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
        /// What goes along to a client or an application.
        parameters: Vec<(String, String)>,
        /// Who calls: a number, a name or a `sip:` address.
        from: String,
        /// A name to show.
        display_name: Option<String>,
        /// Credentials for a callee that challenges.
        auth: Option<(String, String)>,
        /// How much delay its buffer may add.
        jitter_buffer_size: Option<String>,
        /// The call whose `<Dial>` dials, and which it is to talk with; none: the API dials.
        parent: Option<CallSid>,
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
    /// Listens who has answered a call; [`Event::AnsweredBy`] says it.
    Detect {
        /// Which call.
        call: CallSid,
        /// What is waited for, and for how long.
        limits: MachineDetection,
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
    /// Begins to record; [`Event::RecordingEnded`] follows, at the latest after [`Self::StopRecording`].
    Record {
        /// Which recording.
        recording: RecordingSid,
        /// What is heard in it.
        of: Audience,
        /// One or two.
        channels: u8,
        /// Whether each participant of a conference has a track of its own: see [`Self::Track`].
        tracks: bool,
        /// Which direction of a call.
        track: RecordingTrack,
        /// Who is heard on the left, where there are two channels.
        first: CallSid,
        /// Whether silence at both ends is cut off.
        trim: bool,
    },
    /// Gives a call the next track of a recording, for as long as that lasts.
    Track {
        /// Which recording.
        recording: RecordingSid,
        /// Whose track.
        call: CallSid,
    },
    /// Halts a recording, or lets it go on.
    PauseRecording {
        /// Which recording.
        recording: RecordingSid,
        /// What it holds meanwhile; none: it goes on.
        pause: Option<PauseBehavior>,
    },
    /// Ends a recording.
    StopRecording(RecordingSid),
    /// Keeps what a call says, to be recognised.
    Hear {
        /// What is heard, by a SID that no recording has.
        hearing: RecordingSid,
        /// Whom.
        call: CallSid,
    },
    /// Has what was said so far recognised again and again until that ends; [`Event::RecognisedPartly`] tells.
    HearPartly {
        /// What is heard.
        hearing: RecordingSid,
        /// How it is to be recognised.
        wanted: Recognise,
    },
    /// Ends that; [`Event::Recognised`] follows where it is to be recognised.
    EndHearing {
        /// What was heard.
        hearing: RecordingSid,
        /// How it is to be recognised; none: it is forgotten.
        wanted: Option<Recognise>,
    },
    /// Deletes a recording's file. Acts after the commit.
    EraseRecording(RecordingSid),
}
