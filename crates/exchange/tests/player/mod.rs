//! Plays one script: reads its lines, gives each to an exchange, and writes what comes of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exchange::*;
use model::{AccountSid, CallSid, Change, ConferenceSid, Now, Timestamp};

const ACCOUNT: AccountSid = AccountSid::new([1; 16]);
/// What a caller's `<Conference>` says where its line does not say otherwise.
const DEFAULTS: [(&str, &str); 4] = [
    ("beep", "false"),
    ("waitUrl", ""),
    ("statusCallback", "http://c/"),
    ("statusCallbackEvent", "start end join leave mute hold modify announcement"),
];

/// Returns the script with the effects as they came.
pub fn play(script: &str) -> String {
    let mut player = Player::new();
    let mut lines = Vec::new();
    for line in script.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with('>'))
    {
        lines.push(line.to_owned());
        lines.extend(player.line(line.trim()).into_iter().map(|effect| format!("    > {effect}")));
    }
    lines.join("\n")
}

struct Player {
    exchange: Exchange,
    epoch: Instant,
    seconds: u64,
    calls: BTreeMap<String, CallSid>,
    rooms: BTreeMap<String, ConferenceSid>,
    /// Open requests by address, and open sounds by what they are.
    fetches: Vec<(String, FetchId)>,
    plays: Vec<(String, PlayId)>,
}

impl Player {
    fn new() -> Self {
        let exchange = Exchange::new(1);
        let (calls, rooms) = (BTreeMap::new(), BTreeMap::new());
        let epoch = Instant::now();
        Self { exchange, epoch, seconds: 0, calls, rooms, fetches: Vec::new(), plays: Vec::new() }
    }

    fn now(&self) -> Now {
        let instant = self.epoch + Duration::from_secs(self.seconds);
        let wall = Timestamp(1_700_000_000_000 + i64::try_from(self.seconds).unwrap() * 1_000);
        Now { instant, wall }
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let seconds = first.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        let line = if seconds.is_some() { rest } else { line };
        self.seconds = seconds.unwrap_or(self.seconds);
        let words: Vec<&str> = line.split(' ').collect();
        let before = format!("{:?}", self.exchange);
        let mut effects = Vec::new();
        let told = match words[..] {
            ["time"] => {
                let due = self.exchange.poll_timeout().is_some_and(|at| at <= self.now().instant);
                self.exchange.handle_timeout(self.now(), &mut effects);
                assert_eq!(due, !effects.is_empty(), "{line}: a deadline that was not announced");
                None
            }
            ["kick", who, room] => {
                let participant = self.key(who);
                let (account, conference) = (ACCOUNT, self.room(room));
                let command = Command::RemoveParticipant { account, conference, participant };
                self.command(command, &mut effects)
            }
            ["end", room] => {
                let conference = self.room(room);
                self.command(update(conference, true, None), &mut effects)
            }
            ["announce", room, url] => {
                let conference = self.room(room);
                self.command(update(conference, false, Some(url)), &mut effects)
            }
            ["update", who, room, ref fields @ ..] => {
                let changes = Box::new(self.changes(fields));
                let participant = self.key(who);
                let (account, conference) = (ACCOUNT, self.room(room));
                let command =
                    Command::UpdateParticipant { account, conference, participant, changes };
                self.command(command, &mut effects)
            }
            ["add", who, "to", room, ref fields @ ..] => self.add(who, room, fields, &mut effects),
            ["redirect", who, ..] => {
                let twiml = line.splitn(3, ' ').nth(2).unwrap().to_owned();
                let redirect = Some(Instructions::Twiml(twiml));
                let changes = Box::new(CallChanges { redirect, ..CallChanges::default() });
                self.update_call(who, changes, &mut effects)
            }
            ["complete", who] => {
                let changes = CallChanges { end: Some(End::Completed), ..CallChanges::default() };
                self.update_call(who, Box::new(changes), &mut effects)
            }
            _ => {
                let event = self.event(&words, line);
                self.exchange.handle_event(event, self.now(), &mut effects);
                None
            }
        };
        if let Some(refused) = told {
            assert_eq!(before, format!("{:?}", self.exchange), "{line}: refused, and changed");
            assert!(effects.is_empty(), "{line}: refused, with effects");
            return vec![format!("refused: {refused}")];
        }
        self.seen(effects)
    }

    fn command(&mut self, command: Command, effects: &mut Vec<Effect>) -> Option<String> {
        let now = self.now();
        self.exchange.handle_command(command, now, effects).err().map(|refusal| refusal.to_string())
    }

    fn update_call(
        &mut self,
        who: &str,
        changes: Box<CallChanges>,
        effects: &mut Vec<Effect>,
    ) -> Option<String> {
        let call = self.calls[who];
        self.command(Command::UpdateCall { account: ACCOUNT, call, changes }, effects)
    }

    fn add(
        &mut self,
        who: &str,
        room: &str,
        fields: &[&str],
        effects: &mut Vec<Effect>,
    ) -> Option<String> {
        let (noun, _) = self.noun(room, fields);
        let mut options = JoinOptions::from_twiml(&noun, "http://w/");
        options.label.get_or_insert_with(|| who.to_owned());
        let to = if who == "+15551234" { who.to_owned() } else { format!("sip:{who}@h") };
        let dialling = Dialling { to, from: "us".to_owned(), ..Dialling::default() };
        let conference = ConferenceKey::Name(room.to_owned());
        let early_media = fields.contains(&"EarlyMedia=true");
        let create = Box::new(CreateParticipant {
            account: ACCOUNT,
            conference,
            dialling,
            early_media,
            options,
        });
        let now = self.now();
        match self.exchange.handle_command(Command::CreateParticipant(create), now, effects) {
            Ok(Reply::Participant(record)) => {
                self.calls.insert(who.to_owned(), record.call);
                None
            }
            Ok(other) => panic!("{other:?} is no participant"),
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    /// Reads what the wire may tell.
    fn event(&mut self, words: &[&str], line: &str) -> Event {
        let result = |ok: bool| {
            let message = "it failed".to_owned();
            if ok { Ok(()) } else { Err(Failure { code: 11200, message }) }
        };
        match words[..] {
            [who, "calls", room, ref fields @ ..] => {
                let (_, twiml) = self.noun(room, fields);
                self.offered(who, &twiml)
            }
            [who, "runs", ..] => {
                let twiml = line.splitn(3, ' ').nth(2).unwrap();
                self.offered(who, &format!("<Response>{twiml}</Response>"))
            }
            [who, "answers"] => Event::CallAnswered { call: self.calls[who] },
            [who, "rings"] => Event::CallRinging { call: self.calls[who], early_media: true },
            [who, "fails", status] => {
                Event::CallFailed { call: self.calls[who], status: status.parse().unwrap() }
            }
            [who, "hangs", "up"] => Event::CallGone { call: self.calls[who], why: Gone::HungUp },
            [who, "is", "lost"] => Event::CallGone { call: self.calls[who], why: Gone::Lost },
            [who, "is", "silent"] => Event::CallGone { call: self.calls[who], why: Gone::NoAudio },
            [who, "presses", key] => {
                Event::Digit { call: self.calls[who], digit: key.chars().next().unwrap() }
            }
            [url, "plays"] => self.fetched(url, Ok(Fetched::Audio(AudioId(9)))),
            [url, "fails"] => {
                let failure = Failure { code: 11200, message: "it failed".to_owned() };
                self.fetched(url, Err(failure))
            }
            [url, "answers", ..] => {
                let verbs = line.splitn(3, ' ').nth(2).unwrap();
                let text = format!("<Response>{verbs}</Response>");
                self.fetched(url, Ok(Fetched::Twiml { text, url: url.to_owned() }))
            }
            [sound, end @ ("ended" | "broke")] => {
                let at = self.plays.iter().position(|(name, _)| name == sound);
                let (_, play) =
                    self.plays.remove(at.unwrap_or_else(|| panic!("{sound} is silent")));
                Event::PlayEnded { play, result: result(end == "ended") }
            }
            _ => panic!("{line:?} is no line of a script"),
        }
    }

    fn fetched(&mut self, url: &str, result: Result<Fetched, Failure>) -> Event {
        let at = self.fetches.iter().position(|(asked, _)| asked == url);
        let (_, fetch) = self.fetches.remove(at.unwrap_or_else(|| panic!("{url} was not asked")));
        Event::Fetched { fetch, result }
    }

    fn offered(&mut self, who: &str, twiml: &str) -> Event {
        let call = CallSid::new([u8::try_from(self.calls.len() + 1).unwrap(); 16]);
        self.calls.insert(who.to_owned(), call);
        Event::CallOffered {
            call,
            account: ACCOUNT,
            from: format!("sip:{who}@h"),
            to: "sip:us@h".to_owned(),
            caller_name: None,
            instructions: Instructions::Twiml(twiml.to_owned()),
            headers: Vec::new(),
        }
    }

    /// Writes `<Dial><Conference>` with the defaults and what a line says; reads it, too.
    fn noun(&self, room: &str, fields: &[&str]) -> (twiml::Conference, String) {
        let mut attributes: BTreeMap<&str, String> =
            DEFAULTS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut dial = String::new();
        let mut after = "";
        for (name, value) in fields.iter().filter_map(|field| field.split_once('=')) {
            match name {
                "coach" => drop(attributes.insert(name, self.calls[value].to_string())),
                "action" | "timeLimit" | "hangupOnStar" => dial += &format!(" {name}=\"{value}\""),
                "then" => after = value,
                "EarlyMedia" => {}
                _ => drop(attributes.insert(name, value.replace('+', " "))),
            }
        }
        let attributes: String =
            attributes.iter().map(|(name, value)| format!(" {name}=\"{value}\"")).collect();
        let text = format!(
            "<Response><Dial{dial}><Conference{attributes}>{room}</Conference></Dial>{after}</Response>"
        );
        let document = twiml::parse(&text).unwrap();
        let noun = document.verbs.iter().find_map(|verb| match verb {
            twiml::Verb::Dial(dial) => Some(dial.noun.clone()),
            _ => None,
        });
        (noun.unwrap(), text)
    }

    fn changes(&self, fields: &[&str]) -> ParticipantChanges {
        let mut changes = ParticipantChanges::default();
        for (name, value) in fields.iter().filter_map(|field| field.split_once('=')) {
            let flag = Some(value == "true");
            let document =
                |method: &str| Some(Document { url: value.to_owned(), method: method.to_owned() });
            match name {
                "Muted" => changes.muted = flag,
                "Hold" => changes.hold = flag,
                "HoldUrl" => changes.hold_document = document("GET"),
                "AnnounceUrl" => changes.announce = document("POST"),
                "WaitUrl" => changes.wait = document("POST"),
                "BeepOnExit" => changes.beep_on_exit = flag,
                "EndConferenceOnExit" => changes.end_conference_on_exit = flag,
                "Coaching" => changes.coaching = flag,
                "CallSidToCoach" => {
                    let nobody = CallSid::new([0xEE; 16]);
                    changes.call_to_coach = Some(self.calls.get(value).copied().unwrap_or(nobody));
                }
                _ => panic!("{name} is no parameter"),
            }
        }
        changes
    }

    fn key(&self, who: &str) -> ParticipantKey {
        let known = self.calls.get(who).copied();
        known.map_or_else(|| ParticipantKey::Label(who.to_owned()), ParticipantKey::Call)
    }

    fn room(&self, room: &str) -> ConferenceSid {
        self.rooms.get(room).copied().unwrap_or(ConferenceSid::new([0xEE; 16]))
    }

    fn who(&self, call: CallSid) -> String {
        let known = self.calls.iter().find(|(_, sid)| **sid == call);
        known.map_or_else(|| "new".to_owned(), |(name, _)| name.clone())
    }

    /// Writes effects as lines; an answered caller acknowledges at once, as phones do.
    fn seen(&mut self, effects: Vec<Effect>) -> Vec<String> {
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
            Effect::Dial { to, .. } => format!("dials {to}"),
            Effect::Ring(_) | Effect::Answer(_) | Effect::JitterBuffer { .. } => return None,
            Effect::Reject { call, status } => format!("turns {} away: {status}", self.who(call)),
            Effect::HangUp(call) => format!("hangs up {}", self.who(call)),
            Effect::Fetch { fetch, document, .. } => {
                self.fetches.push((document.url.clone(), fetch));
                format!("asks {} {}", document.method, document.url)
            }
            Effect::Route { call, route } => format!("{} {}", self.who(call), self.wired(&route)),
            Effect::Play { play, audience, sound, loops, paused, .. } => {
                let whom = match audience {
                    Audience::Call(call) => self.who(call),
                    Audience::Conference(_) => "everyone".to_owned(),
                };
                let sound = named(&sound);
                self.plays.push((sound.clone(), play));
                let loops = match loops {
                    1 => String::new(),
                    0 => ", for ever".to_owned(),
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
        })
    }

    fn playing(&self, play: PlayId) -> String {
        let known = self.plays.iter().find(|(_, known)| *known == play);
        known.map_or_else(|| "a sound".to_owned(), |(name, _)| name.clone())
    }

    fn wired(&self, route: &Route) -> String {
        if route.conference.is_none() {
            return "is apart".to_owned();
        }
        let speaks = match &route.speaks {
            Speaks::Nobody => "speaks to nobody".to_owned(),
            Speaks::Everyone => "speaks".to_owned(),
            Speaks::Only(few) => {
                let few: Vec<String> = few.iter().map(|call| self.who(*call)).collect();
                format!("speaks to {} alone", few.join(", "))
            }
        };
        let hears = if route.hears { "hears the room" } else { "hears no room" };
        format!("{speaks}, {hears}{}", if route.ducked { " turned down" } else { "" })
    }

    fn written(&mut self, change: Change) -> Option<String> {
        match change {
            Change::Callback(callback) => {
                let field = |name: &str| {
                    let found = callback.params.iter().find(|(key, _)| key == name);
                    found.map_or("", |(_, value)| value.as_str())
                };
                let who = field("CallSid").parse().ok().map(|call| format!(" {}", self.who(call)));
                let (who, number) = (who.unwrap_or_default(), field("SequenceNumber"));
                let event = field("StatusCallbackEvent");
                if event.is_empty() {
                    return Some(format!("tells {}{who} #{number}", field("CallStatus")));
                }
                let why = ["ReasonParticipantLeft", "ReasonConferenceEnded"].map(field).concat();
                let why = if why.is_empty() { why } else { format!(" ({why})") };
                Some(format!("tells {event}{who} #{number}{why}"))
            }
            Change::Notification(entry) => Some(format!("logs {}", entry.code)),
            Change::Conference { record, .. } => {
                self.rooms.insert(record.friendly_name.clone(), record.sid);
                None
            }
            _ => None,
        }
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
    }
}

fn update(conference: ConferenceSid, complete: bool, announce: Option<&str>) -> Command {
    let announce = announce.map(|url| Document { url: url.to_owned(), method: "POST".to_owned() });
    Command::UpdateConference { account: ACCOUNT, conference, complete, announce }
}
