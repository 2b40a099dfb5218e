//! `<Conference>`: the noun that this server is about.
//!
//! Source: Twilio, TwiML `<Conference>`.

use roxmltree::Node;

use crate::document::{Reader, boolean, text};
use crate::recording::{self, Recording};

/// When a beep sounds. Source: `beep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beep {
    /// On entering and on leaving.
    #[default]
    True,
    /// Never.
    False,
    /// On entering.
    OnEnter,
    /// On leaving.
    OnExit,
}

impl Beep {
    /// Reads `true`, `false`, `onEnter` or `onExit`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "onEnter" => Some(Self::OnEnter),
            "onExit" => Some(Self::OnExit),
            text => boolean(text).map(|beep| if beep { Self::True } else { Self::False }),
        }
    }
}

/// A group of events that `statusCallbackEvent` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConferenceEvent {
    /// The conference starts.
    Start,
    /// The conference ends.
    End,
    /// Someone joins.
    Join,
    /// Someone leaves.
    Leave,
    /// Someone is muted or un-muted.
    Mute,
    /// Someone is held or comes back.
    Hold,
    /// Someone's other settings change.
    Modify,
    /// Someone begins or stops speaking.
    Speaker,
    /// An announcement is over.
    Announcement,
}

impl ConferenceEvent {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Start, "start"),
        (Self::End, "end"),
        (Self::Join, "join"),
        (Self::Leave, "leave"),
        (Self::Mute, "mute"),
        (Self::Hold, "hold"),
        (Self::Modify, "modify"),
        (Self::Speaker, "speaker"),
        (Self::Announcement, "announcement"),
    ];

    /// Reads Twilio's word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == word).map(|(event, _)| event)
    }

    /// Returns Twilio's word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(event, _)| *event == self).map_or("", |(_, name)| name)
    }
}

/// `<Conference>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conference {
    /// Its name, without the white space around it.
    pub name: String,
    /// `muted`
    pub muted: bool,
    /// `beep`
    pub beep: Beep,
    /// `startConferenceOnEnter`
    pub start_conference_on_enter: bool,
    /// `endConferenceOnExit`
    pub end_conference_on_exit: bool,
    /// `participantLabel`
    pub participant_label: Option<String>,
    /// `jitterBufferSize`: `off small medium large`; none: adaptive.
    pub jitter_buffer_size: Option<String>,
    /// `waitUrl`; none: the default playlist, empty: silence.
    pub wait_url: Option<String>,
    /// `waitMethod`
    pub wait_method: String,
    /// `maxParticipants`
    pub max_participants: u32,
    /// `coach`: a CallSid, as written.
    pub coach: Option<String>,
    /// `statusCallbackEvent`
    pub status_callback_events: Vec<ConferenceEvent>,
    /// `statusCallback`
    pub status_callback: Option<String>,
    /// `statusCallbackMethod`
    pub status_callback_method: String,
    /// `region`
    pub region: Option<String>,
    /// `record` and what goes with it; none: it is not recorded.
    pub recording: Option<Recording>,
}

/// Most participants. Source: Twilio, `maxParticipants`.
const PARTICIPANTS_MAX: u32 = 250;
/// Where a conference may be mixed. Source: Twilio, `region`.
const REGIONS: &[&str] = &["us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"];
const ATTRIBUTES: &[&str] = &[
    "muted",
    "beep",
    "startConferenceOnEnter",
    "endConferenceOnExit",
    "participantLabel",
    "jitterBufferSize",
    "waitUrl",
    "waitMethod",
    "maxParticipants",
    "coach",
    "statusCallbackEvent",
    "statusCallback",
    "statusCallbackMethod",
    "region",
    "eventCallbackUrl",
    "record",
    "recordingConfigurationId",
    "trim",
    "recordingStatusCallback",
    "recordingStatusCallbackMethod",
    "recordingStatusCallbackEvent",
    "sidetoneTracks",
];

impl Conference {
    /// A conference of this name with every default.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            muted: false,
            beep: Beep::True,
            start_conference_on_enter: true,
            end_conference_on_exit: false,
            participant_label: None,
            jitter_buffer_size: None,
            wait_url: None,
            wait_method: "POST".to_owned(),
            max_participants: PARTICIPANTS_MAX,
            coach: None,
            status_callback_events: Vec::new(),
            status_callback: None,
            status_callback_method: "POST".to_owned(),
            region: None,
            recording: None,
        }
    }
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Conference {
    reader.known(node, ATTRIBUTES);
    let records = reader.attribute(node, "record", 12200, false, |record| match record {
        "do-not-record" | "false" => Some(false),
        "record-from-start" | "true" => Some(true),
        _ => None,
    });
    let mut recording = recording::read(node, 13239, true, reader);
    recording.tracks = reader.attribute(node, "sidetoneTracks", 12200, false, |tracks| {
        (tracks == "participants").then_some(true)
    });
    if recording.tracks && !records {
        reader.warn(12200, node, "sidetoneTracks: the conference is not recorded");
    }
    let mut conference = Conference::named(text(node));
    conference.recording = records.then_some(recording);
    conference.muted = reader.boolean(node, "muted", 13230, false);
    conference.end_conference_on_exit = reader.boolean(node, "endConferenceOnExit", 13231, false);
    conference.start_conference_on_enter =
        reader.boolean(node, "startConferenceOnEnter", 13232, true);
    conference.beep = reader.attribute(node, "beep", 13235, Beep::True, Beep::parse);
    conference.participant_label =
        node.attribute("participantLabel").map(str::to_owned).filter(|label| !label.is_empty());
    conference.jitter_buffer_size =
        reader.attribute(node, "jitterBufferSize", 12200, None, |size| {
            let size = size.to_ascii_lowercase();
            ["off", "small", "medium", "large"].contains(&size.as_str()).then_some(Some(size))
        });
    conference.wait_url = node.attribute("waitUrl").map(|url| url.trim().to_owned());
    conference.wait_method = reader.method(node, "waitMethod", 13234, "POST");
    conference.max_participants =
        reader.attribute(node, "maxParticipants", 12200, PARTICIPANTS_MAX, |text| {
            text.parse().ok().filter(|count| (1..=PARTICIPANTS_MAX).contains(count))
        });
    conference.coach = node.attribute("coach").map(|sid| sid.trim().to_owned());
    conference.region = reader.attribute(node, "region", 12200, None, |region| {
        REGIONS.contains(&region).then(|| Some(region.to_owned()))
    });
    read_callback(node, &mut conference, reader);
    conference
}

fn read_callback(node: Node<'_, '_>, conference: &mut Conference, reader: &mut Reader) {
    let words = node.attribute("statusCallbackEvent").unwrap_or_default();
    // Public programs put commas between the events; they mean blanks.
    for word in words.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        match ConferenceEvent::parse(word) {
            Some(event) if conference.status_callback_events.contains(&event) => {}
            Some(event) => conference.status_callback_events.push(event),
            None => reader.warn(12200, node, format!("statusCallbackEvent: no event {word}")),
        }
    }
    conference.status_callback = reader.reference(node, "statusCallback");
    conference.status_callback_method = reader.method(node, "statusCallbackMethod", 12200, "POST");
}
