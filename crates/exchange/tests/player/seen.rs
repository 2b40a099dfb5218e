//! Writes what an exchange does as lines.

use exchange::*;
use model::{CallSid, Callback, Change, Moment, MomentEdge, RecordingSid};

use super::Player;
use super::rows::{is_of_machine, is_of_recording, is_of_speech};

/// The fields of a request that are of interest beside its address.
const REQUEST_FIELDS: [&str; 20] = [
    "SpeechResult",
    "Confidence",
    "DialSipCallId",
    "AnsweredBy",
    "QueueResult",
    "QueueTime",
    "QueuePosition",
    "AvgQueueTime",
    "CurrentQueueSize",
    "MaxQueueSize",
    "DialCallStatus",
    "DialCallDuration",
    "DialBridged",
    "DialSipResponseCode",
    "Digits",
    "ErrorCode",
    "ErrorUrl",
    "FinishedOnKey",
    "RecordingDuration",
    "RecordingUrl",
];
/// The fields of a callback that are shown behind it, with what is written before them.
const CALLBACK_FIELDS: [(&str, &str); 9] = [
    ("RecordingUrl", "recorded at "),
    ("RecordingDuration", "of seconds "),
    ("AnsweredBy", "answered by "),
    ("ReasonParticipantLeft", ""),
    ("ParticipantCallStatus", ""),
    ("ReasonConferenceEnded", ""),
    ("CallDuration", "after "),
    ("AnnounceUrl", ""),
    ("ReasonAnnouncementFailed", ""),
];

/// The fields of a recording's callback that are shown, with what is written before them.
const RECORDING_FIELDS: [(&str, &str); 6] = [
    ("RecordingStatus", ""),
    ("RecordingSource", "of "),
    ("RecordingChannels", "channels "),
    ("RecordingTrack", "track "),
    ("RecordingDuration", "seconds "),
    ("ErrorCode", "code "),
];

impl Player {
    /// Notes who is new, and that a reply shows what is written.
    pub(super) fn replied(&mut self, who: &str, reply: &Reply, effects: &[Effect]) {
        match reply {
            Reply::Call(record) => drop(self.calls.insert(who.to_owned(), record.sid)),
            Reply::Participant(record) => {
                // Its label may be what it was asked for by.
                if !self.calls.values().any(|call| *call == record.call) {
                    self.calls.insert(who.to_owned(), record.call);
                }
            }
            Reply::Conference(_)
            | Reply::Queue(_)
            | Reply::Recording(_)
            | Reply::Edges(..)
            | Reply::Done => {}
        }
        self.rows.assert_shows(reply, effects);
    }

    fn who(&self, call: CallSid) -> String {
        let known = self.calls.iter().find(|(_, sid)| **sid == call);
        known.map_or_else(|| "new".to_owned(), |(name, _)| name.clone())
    }

    /// Writes effects as lines; an answered caller acknowledges at once, as phones do.
    pub(super) fn seen(&mut self, effects: Vec<Effect>) -> Vec<String> {
        let mut lines = Vec::new();
        for effect in effects {
            if let Effect::Answer(call) = effect {
                let mut more = Vec::new();
                self.exchange.handle_event(Event::CallAnswered { call }, self.now(), &mut more);
                lines.extend(self.seen(more));
                continue;
            }
            lines.extend(self.effect(effect));
        }
        lines
    }

    fn effect(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Write(change) => return self.written(change),
            Effect::Dial { call, to, from, parameters, .. } => {
                let dials = self.dials(call, &to, &from);
                let pairs = parameters.iter().map(|(name, value)| format!(" {name}={value}"));
                format!("{dials}{}", pairs.collect::<String>())
            }
            Effect::Answer(_) => return None,
            Effect::Ring(call) => format!("rings towards {}", self.who(call)),
            Effect::JitterBuffer { call, size } => format!("{} buffers {size}", self.who(call)),
            Effect::Reject { call, status } => format!("turns {} away: {status}", self.who(call)),
            Effect::HangUp(call) => format!("hangs up {}", self.who(call)),
            Effect::Fetch { fetch, document, params, .. } => {
                self.fetches.push((document.url.clone(), fetch));
                let of_interest =
                    |name: &str| REQUEST_FIELDS.contains(&name) || name.contains("SipHeader");
                let fields = params.iter().filter(|(name, _)| of_interest(name));
                let fields: String = fields
                    .map(|(name, value)| format!(" {name}={}", self.of_recording(value)))
                    .collect();
                format!("asks {} {}{fields}", document.method, document.url)
            }
            Effect::Route { call, route } => format!("{} {}", self.who(call), self.wired(&route)),
            Effect::Detect { call, limits } => {
                let end = if limits.message_end { ", to the end" } else { "" };
                format!("listens who {} is{end}, for {:?}", self.who(call), limits.timeout)
            }
            Effect::Play { play, audience, sound, loops, paused, .. } => {
                // Those of a room are nobody's: their end is not waited for.
                let of_room = matches!(audience, Audience::Conference(_));
                let beeps = of_room && matches!(sound, Sound::EnterBeep | Sound::ExitBeep);
                let whom = match audience {
                    Audience::Call(call) => self.who(call),
                    Audience::Conference(_) => "everyone".to_owned(),
                };
                let sound = named(&sound);
                if !beeps {
                    self.plays.push((sound.clone(), play));
                }
                let loops = match loops {
                    1 => String::new(),
                    0 => ", without end".to_owned(),
                    loops => format!(", {loops} times"),
                };
                format!("{whom} hears {sound}{loops}{}", if paused { ", later" } else { "" })
            }
            Effect::Pause { play, paused } => {
                format!("{} {}", self.playing(play), if paused { "pauses" } else { "goes on" })
            }
            Effect::Stop(play) => {
                let name = self.playing(play);
                self.plays.retain(|(_, known)| *known != play);
                format!("{name} stops")
            }
            Effect::Record { recording, of, channels, tracks, track, first, trim } => {
                self.recorded += 1;
                let name = format!("rec{}", self.recorded);
                self.recordings.insert(name.clone(), recording);
                let of = match of {
                    Audience::Call(call) => self.who(call),
                    Audience::Conference(_) => "everyone".to_owned(),
                };
                let left = match channels {
                    1 => String::new(),
                    _ => format!(", {} on the left", self.who(first)),
                };
                let trim = if trim { ", trimmed" } else { "" };
                let tracks = if tracks { ", each in a track" } else { "" };
                format!("{name} records {of}, {track}{left}{trim}{tracks}")
            }
            Effect::Track { recording, call } => {
                let name = self.recordings.iter().find(|(_, sid)| **sid == recording).unwrap().0;
                format!("{name} has a track for {}", self.who(call))
            }
            Effect::Hear { hearing, call } => {
                self.hearings.insert(call, hearing);
                format!("listens to what {} says", self.who(call))
            }
            Effect::HearPartly { wanted, .. } => {
                format!("has what is said so far recognised as {}", wanted.language)
            }
            Effect::EndHearing { wanted, .. } => match wanted {
                Some(wanted) => format!("has it recognised as {}", wanted.language),
                None => "forgets what was said".to_owned(),
            },
            Effect::PauseRecording { recording, pause } => {
                let pause = match pause {
                    Some(PauseBehavior::Silence) => "holds silence",
                    Some(PauseBehavior::Skip) => "skips",
                    None => "goes on",
                };
                format!("{} {pause}", self.recording_name(recording))
            }
            Effect::StopRecording(recording) => {
                format!("{} is closed", self.recording_name(recording))
            }
            Effect::EraseRecording(_) => "erases a recording".to_owned(),
        })
    }

    /// The name of the recording whose address this is; any other text as it stands.
    fn of_recording(&self, text: &str) -> String {
        let sid = text.rsplit_once("/Recordings/").and_then(|(_, sid)| sid.parse().ok());
        sid.map_or_else(|| text.to_owned(), |sid| self.recording_name(sid))
    }

    fn recording_name(&self, recording: RecordingSid) -> String {
        let known = self.recordings.iter().find(|(_, known)| **known == recording);
        known.map_or_else(|| "a recording".to_owned(), |(name, _)| name.clone())
    }

    /// Knows who is dialled by a `<Dial>` under the name in its address.
    fn dials(&mut self, call: CallSid, to: &str, from: &str) -> String {
        // The API dials as "us".
        if from == "us" {
            return format!("dials {to}");
        }
        let user = to.trim_start_matches("sip:").trim_start_matches("client:");
        let user = user.split('@').next().unwrap_or(user).to_owned();
        self.calls.insert(user, call);
        format!("dials {to} as {from}")
    }

    fn playing(&self, play: PlayId) -> String {
        let known = self.plays.iter().find(|(_, known)| *known == play);
        known.map_or_else(|| "a sound".to_owned(), |(name, _)| name.clone())
    }

    fn wired(&self, route: &Route) -> String {
        let others = match route.room {
            None => return "is apart".to_owned(),
            Some(Room::Conference(_)) => "the room".to_owned(),
            Some(Room::Bridge(call)) => format!("the bridge of {}", self.who(call)),
        };
        let speaks = match &route.speaks {
            Speaks::Nobody => "speaks to nobody".to_owned(),
            Speaks::Everyone => "speaks".to_owned(),
            Speaks::Only(few) => {
                let few: Vec<String> = few.iter().map(|call| self.who(*call)).collect();
                format!("speaks to {} alone", few.join(", "))
            }
        };
        let hears = match route.hears {
            Hears::Everyone => format!("hears {others}"),
            Hears::Played => format!("hears few of {others}"),
            Hears::Nothing => "hears no room".to_owned(),
        };
        let besides: Vec<String> = route.besides.iter().map(|call| self.who(*call)).collect();
        let besides = if besides.is_empty() {
            String::new()
        } else {
            format!(" and to {}", besides.join(", "))
        };
        let gain = match route.gain.db() {
            0.0 => String::new(),
            gain => format!(" at {gain} dB"),
        };
        let cleaned = match (route.cleaning.levelling, route.cleaning.noise_suppression) {
            (false, false) => "",
            (true, false) => " levelled",
            (false, true) => " without noise",
            (true, true) => " levelled without noise",
        };
        let ducked = if route.ducked { " turned down" } else { "" };
        format!("{speaks}{besides}{gain}{cleaned}, {hears}{ducked}")
    }

    fn written(&mut self, change: Change) -> Option<String> {
        self.rows.write(&change);
        match change {
            Change::Callback(callback) => Some(self.told(&callback)),
            Change::Notification(entry) => {
                let url = entry.request_url.map_or_else(String::new, |url| format!(" of {url}"));
                Some(format!("logs {}{url}", entry.code))
            }
            Change::Queue(record) => {
                let limit = record.max_size;
                let known = self.queues.insert(record.friendly_name.clone(), record.sid);
                known.is_none().then(|| format!("makes the queue of at most {limit}"))
            }
            Change::Moment(moment) => self.noted(&moment),
            Change::Conference { record, .. } => {
                self.rooms.insert(record.friendly_name.clone(), record.sid);
                None
            }
            _ => None,
        }
    }

    /// Writes what only the history tells.
    fn noted(&self, moment: &Moment) -> Option<String> {
        let who = self.who(moment.about.as_ref()?.call);
        let few = |few: &Option<Vec<CallSid>>| match few {
            None => "everyone".to_owned(),
            Some(few) if few.is_empty() => "nobody".to_owned(),
            Some(few) => few.iter().map(|call| self.who(*call)).collect::<Vec<_>>().join(", "),
        };
        let edge = moment.edge.as_ref()?;
        assert_eq!(moment.callback, None, "{}", moment.event);
        let set = match edge {
            MomentEdge::Gain(gain) => format!("{} dB", f64::from(*gain) / 100.0),
            MomentEdge::Levelling(on) | MomentEdge::NoiseSuppression(on) => on.to_string(),
            MomentEdge::Sidebar { hears_only, heard_only_by } => {
                format!("hears {}, heard by {}", few(hears_only), few(heard_only_by))
            }
        };
        Some(format!("notes {} {who}: {set}", moment.event))
    }

    fn told(&self, callback: &Callback) -> String {
        let field = |name: &str| {
            callback.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let person = |name: &str| field(name).and_then(|call| call.parse().ok());
        let who = person("CallSid").map(|call| format!(" {}", self.who(call))).unwrap_or_default();
        if is_of_recording(callback) {
            let fields = RECORDING_FIELDS
                .into_iter()
                .filter_map(|(name, before)| Some(format!(" {before}{}", field(name)?)));
            return format!("tells {}{}", callback.url, fields.collect::<String>());
        }
        if is_of_machine(callback) {
            let took = field("MachineDetectionDuration").unwrap_or("?");
            let by = field("AnsweredBy").unwrap_or("?");
            return format!("tells {} that {by} answered for{who}, after {took} ms", callback.url);
        }
        let number = field("SequenceNumber").unwrap_or("?");
        if is_of_speech(callback) {
            let (text, url) = (field("UnstableSpeechResult").unwrap_or("?"), &callback.url);
            return format!("tells {url} that{who} means so far {text} #{number}");
        }
        let event = field("StatusCallbackEvent").or(field("CallStatus")).unwrap_or("?");
        let mut more: Vec<String> = CALLBACK_FIELDS
            .into_iter()
            .filter_map(|(name, before)| {
                Some(format!("{before}{}", self.of_recording(field(name)?)))
            })
            .collect();
        more.extend(person("CallSidEndingConference").map(|sid| format!("by {}", self.who(sid))));
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        format!("tells {event}{who} #{number}{more}")
    }

    /// Writes what the rows say of a call and its participant, or of a conference.
    pub(super) fn shown(&self, what: &str) -> String {
        if let Some(sid) = self.rooms.get(what) {
            let record = &self.rows.conferences[sid].0;
            let mut words = vec![record.status.to_string(), record.region.clone()];
            words.extend(record.end_reason.map(|reason| reason.to_string()));
            words.extend(record.call_ending.map(|call| format!("by {}", self.who(call))));
            return words.join(", ");
        }
        let call = self.call(what);
        let mut words = vec![self.rows.calls[&call].0.status.to_string()];
        let participant = self.rows.participants.values().find(|(record, _)| record.call == call);
        if let Some((record, _)) = participant {
            words.push(format!("participant {}", record.status));
            let flags = [
                ("muted", record.muted),
                ("held", record.hold),
                ("coaching", record.coaching),
                ("starts", record.start_conference_on_enter),
                ("ends", record.end_conference_on_exit),
            ];
            words.extend(flags.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()));
            words.extend(record.call_to_coach.map(|call| format!("coach of {}", self.who(call))));
        }
        words.join(", ")
    }
}

fn named(sound: &Sound) -> String {
    match sound {
        Sound::Url(url) => url.clone(),
        Sound::Audio(_) => "the-file".to_owned(),
        Sound::Speech(_) => "speech".to_owned(),
        Sound::EnterBeep => "enter-beep".to_owned(),
        Sound::ExitBeep => "exit-beep".to_owned(),
        Sound::Digits(keys) => format!("keys-{keys}"),
        Sound::RingTone(country) => format!("ringing-{country}"),
    }
}
