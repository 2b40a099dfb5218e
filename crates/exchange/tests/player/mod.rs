//! Plays one script: reads its lines, gives each to an exchange, and writes what comes of it.

mod rows;
mod seen;
mod words;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exchange::*;
use model::{AccountSid, CallSid, ConferenceSid, Now, QueueSid, RecordingSid, Timestamp};

use rows::Rows;
use words::*;

const ACCOUNT: AccountSid = AccountSid::new([1; 16]);
const OTHER_ACCOUNT: AccountSid = AccountSid::new([2; 16]);
/// What a caller's `<Conference>` says where its line does not say otherwise.
const DEFAULTS: [(&str, &str); 4] = [
    ("beep", "false"),
    ("waitUrl", ""),
    ("statusCallback", "http://c/"),
    ("statusCallbackEvent", "start end join leave mute hold modify speaker announcement"),
];

/// Returns the script with the effects as they came.
///
/// What holds after each line is asserted on the way: see [`Rows`] and [`Player::line`].
pub fn play(script: &str) -> String {
    let mut player = Player::new();
    let mut lines = Vec::new();
    for line in script.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with('>'))
    {
        lines.push(line.to_owned());
        lines.extend(player.line(line.trim()).into_iter().map(|effect| format!("    > {effect}")));
    }
    player.finish();
    lines.join("\n")
}

struct Player {
    exchange: Exchange,
    epoch: Instant,
    seconds: u64,
    account: AccountSid,
    calls: BTreeMap<String, CallSid>,
    rooms: BTreeMap<String, ConferenceSid>,
    queues: BTreeMap<String, QueueSid>,
    /// Open requests by address, and open sounds by what they are.
    fetches: Vec<(String, FetchId)>,
    plays: Vec<(String, PlayId)>,
    /// Recordings that are not over, by the order in which they began: `rec1` and so on.
    recordings: BTreeMap<String, RecordingSid>,
    recorded: usize,
    /// What is heard of whom.
    hearings: BTreeMap<CallSid, RecordingSid>,
    rows: Rows,
}

impl Player {
    fn new() -> Self {
        Self {
            exchange: Exchange::new(1),
            epoch: Instant::now(),
            seconds: 0,
            account: ACCOUNT,
            calls: BTreeMap::new(),
            rooms: BTreeMap::new(),
            queues: BTreeMap::new(),
            fetches: Vec::new(),
            plays: Vec::new(),
            recordings: BTreeMap::new(),
            recorded: 0,
            hearings: BTreeMap::new(),
            rows: Rows::default(),
        }
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
        let (line, account) = match line.strip_prefix("another account: ") {
            Some(line) => (line, OTHER_ACCOUNT),
            None => (line, ACCOUNT),
        };
        self.account = account;
        let words: Vec<&str> = line.split(' ').collect();
        if let [number, "times", ..] = words[..] {
            let line = line.split_once(" times ").unwrap().1;
            // What comes of it again and again is read once.
            return (0..number.parse().unwrap()).map(|_| self.line(line)).last().unwrap();
        }
        if let ["a", "room", "of", ..] = words[..] {
            return self.gather(line.trim_start_matches("a room of "));
        }
        if let ["show", what] = words[..] {
            return vec![self.shown(what)];
        }
        let before = self.state();
        let mut effects = Vec::new();
        if let Some(command) = self.command(&words, line) {
            let now = self.now();
            match self.exchange.handle_command(command, now, &mut effects) {
                Ok(reply) => self.replied(words[1], &reply, &effects),
                Err(refusal) => {
                    assert_eq!(before, self.state(), "{line}: refused, changed");
                    assert!(effects.is_empty(), "{line}: refused, with effects");
                    return vec![format!("refused: {refusal}")];
                }
            }
        } else {
            self.happen(&words, line, &mut effects);
        }
        let seen = self.seen(effects);
        self.compare_with_rows(line);
        seen
    }

    /// Returns all that the exchange knows, but for how often it has refused.
    fn state(&self) -> String {
        let all = format!("{:?}", self.exchange);
        let (known, counted) = all.split_once("calls_refused: ").unwrap();
        known.to_owned() + counted.trim_start_matches(|digit: char| digit.is_ascii_digit())
    }

    /// Lets people with every default into the conference `room`; what comes of it is known.
    fn gather(&mut self, people: &str) -> Vec<String> {
        for who in people.replace(" and ", ", ").split(", ") {
            let line = format!("{who} calls room");
            assert!(!self.line(&line).is_empty(), "{line}: nothing came of it");
        }
        Vec::new()
    }

    /// Ends everything: nothing may be left, neither in the exchange nor in the rows.
    fn finish(&mut self) {
        let mut effects = Vec::new();
        self.exchange.hang_up_all(self.now(), &mut effects);
        self.seen(effects);
        for recording in std::mem::take(&mut self.recordings).into_values() {
            let mut effects = Vec::new();
            let event = Event::RecordingEnded { recording, end: closed(4_000, false) };
            self.exchange.handle_event(event, self.now(), &mut effects);
            self.seen(effects);
        }
        assert!(self.exchange.is_idle(), "something is left: {:?}", self.exchange);
        assert_eq!(self.exchange.poll_timeout(), None, "a deadline is left");
        self.rows.assert_nothing_is_alive();
    }

    /// Does what is no command: time passes, or the wire tells of something.
    fn happen(&mut self, words: &[&str], line: &str, effects: &mut Vec<Effect>) {
        let now = self.now();
        match words[..] {
            ["time"] => {
                let due = self.exchange.poll_timeout().is_some_and(|at| at <= now.instant);
                self.exchange.handle_timeout(now, effects);
                assert_eq!(due, !effects.is_empty(), "{line}: a deadline that was not announced");
                let next = self.exchange.poll_timeout();
                assert!(next.is_none_or(|at| at > now.instant), "{line}: still due");
            }
            ["the", "server", "restarts"] => {
                self.exchange = self.rows.restored(now);
                self.fetches.clear();
                self.plays.clear();
                self.exchange.lose_all(now, effects);
            }
            ["limits", ref fields @ ..] => {
                let number = |name| field(fields, name).map(|number| number.parse().unwrap());
                let most = |name| number(name).map_or(usize::MAX, |number: u32| number as usize);
                self.exchange.set_limits(Limits {
                    calls_per_second: number("calls_per_second"),
                    calls: most("calls"),
                    conferences: most("conferences"),
                });
            }
            ["somebody", "recognises", "speech"] => self.exchange.recognise_speech(),
            ["the", "server", "ends"] => self.exchange.hang_up_all(now, effects),
            _ => {
                let event = self.event(words, line);
                self.exchange.handle_event(event, now, effects);
            }
        }
    }

    /// Reads what the API may ask.
    fn command(&mut self, words: &[&str], line: &str) -> Option<Command> {
        let account = self.account;
        let change = |call: CallSid, changes: CallChanges| Command::UpdateCall {
            account,
            call,
            changes: Box::new(changes),
        };
        let none = CallChanges::default;
        Some(match words[..] {
            ["kick", who, room] => Command::RemoveParticipant {
                account,
                conference: self.room(room),
                participant: self.key(who),
            },
            ["end", room] => self.update(room, true, None),
            ["announce", room, url] => self.update(room, false, Some(url)),
            ["update", who, room, ref fields @ ..] => Command::UpdateParticipant {
                account,
                conference: self.room(room),
                participant: self.key(who),
                changes: Box::new(self.changes(fields)),
            },
            ["sidebar", who, room, ref fields @ ..] => Command::UpdateEdges {
                account,
                conference: self.room(room),
                participant: self.key(who),
                changes: Box::new(words::edges(fields, |who| self.key(who))),
            },
            ["add", who, "to", room, ref fields @ ..] => self.add(who, room, fields),
            ["dial", who, ref fields @ ..] => self.dial(who, fields, line),
            ["redirect", who, "to", url] => {
                let document = Document { url: url.to_owned(), method: "POST".to_owned() };
                let redirect = Some(Instructions::Url { document, fallback: None });
                change(self.call(who), CallChanges { redirect, ..none() })
            }
            ["redirect", who, ..] => {
                let twiml = line.splitn(3, ' ').nth(2).unwrap().to_owned();
                let redirect = Some(Instructions::Twiml(twiml));
                change(self.call(who), CallChanges { redirect, ..none() })
            }
            ["complete", who] => {
                change(self.call(who), CallChanges { end: Some(End::Completed), ..none() })
            }
            ["cancel", who] => {
                change(self.call(who), CallChanges { end: Some(End::Canceled), ..none() })
            }
            ["limit", who, seconds] => {
                let time_limit = Some(Duration::from_secs(seconds.parse().unwrap()));
                change(self.call(who), CallChanges { time_limit, ..none() })
            }
            ["report", who, "to", url] => {
                let status_callback = Some((url.to_owned(), "POST".to_owned()));
                change(self.call(who), CallChanges { status_callback, ..none() })
            }
            ["record", who, ref fields @ ..] => Command::CreateRecording {
                account,
                call: self.call(who),
                options: recording_options(fields),
            },
            [verb @ ("halt" | "skip" | "resume" | "stop"), which, "of", what] => {
                self.change_recording(verb, which, what)
            }
            ["erase", which] => Command::DeleteRecording(self.recording(which)),
            ["queue", name, ref fields @ ..] => Command::CreateQueue {
                account,
                friendly_name: name.to_owned(),
                max_size: field(fields, "MaxSize").map_or(QUEUE_SIZE, |size| size.parse().unwrap()),
            },
            ["requeue", name, ref fields @ ..] => Command::UpdateQueue {
                account,
                queue: self.queue(name),
                friendly_name: field(fields, "FriendlyName").map(str::to_owned),
                max_size: field(fields, "MaxSize").map(|size| size.parse().unwrap()),
            },
            ["unqueue", name] => Command::DeleteQueue { account, queue: self.queue(name) },
            ["dequeue", who, "of", name, "to", url] => Command::Dequeue {
                account,
                queue: self.queue(name),
                call: self.call(who),
                document: Document { url: url.to_owned(), method: "POST".to_owned() },
            },
            ["forget", who] => Command::DeleteCall { account, call: self.call(who) },
            _ => return None,
        })
    }

    fn update(&self, room: &str, complete: bool, announce: Option<&str>) -> Command {
        let announce =
            announce.map(|url| Document { url: url.to_owned(), method: "POST".to_owned() });
        let conference = self.room(room);
        Command::UpdateConference { account: self.account, conference, complete, announce }
    }

    /// `add bob to room ...`, or `to sid:room` for a conference that is there.
    fn add(&self, who: &str, room: &str, fields: &[&str]) -> Command {
        let is_api = |field: &&&str| field.starts_with(|c: char| c.is_ascii_uppercase());
        let (api, noun): (Vec<&str>, Vec<&str>) = fields.iter().partition(|field| is_api(field));
        let (noun, _) = self.noun(room, &noun);
        let mut options = JoinOptions::from_twiml(&noun, "http://w/");
        options.label.get_or_insert_with(|| who.to_owned());
        if api.contains(&"NoEvents=true") {
            options.status_callback.events.clear();
        }
        let conference = match room.strip_prefix("sid:") {
            Some(room) => ConferenceKey::Sid(self.room(room)),
            None => ConferenceKey::Name(room.replace('_', " ")),
        };
        Command::CreateParticipant(Box::new(CreateParticipant {
            account: self.account,
            conference,
            dialling: dialling(who, &api),
            early_media: api.contains(&"EarlyMedia=true"),
            options,
        }))
    }

    /// `dial bob ... then=TWIML`, or `Url=...` and `FallbackUrl=...`
    fn dial(&self, who: &str, fields: &[&str], line: &str) -> Command {
        let get = |url: &str| Document { url: url.to_owned(), method: "GET".to_owned() };
        let instructions = match field(fields, "Url") {
            Some(url) => Instructions::Url {
                document: get(url),
                fallback: field(fields, "FallbackUrl").map(get),
            },
            None => Instructions::Twiml(format!("<Response>{}</Response>", after(line))),
        };
        Command::CreateCall(Box::new(CreateCall {
            account: self.account,
            dialling: dialling(who, fields),
            instructions,
            send_digits: field(fields, "SendDigits").map(str::to_owned),
        }))
    }

    /// Reads what the wire may tell.
    fn event(&mut self, words: &[&str], line: &str) -> Event {
        match words[..] {
            [who, "calls", room, ref fields @ ..] => {
                let (_, twiml) = self.noun(room, fields);
                let twiml = twiml.replace("AFTER", after(line));
                self.offered(who, Instructions::Twiml(twiml))
            }
            [who, "dials", name] => self.offered(who, Instructions::Join(name.to_owned())),
            [who, "runs", ..] => {
                let twiml = line.splitn(3, ' ').nth(2).unwrap();
                self.offered(who, Instructions::Twiml(format!("<Response>{twiml}</Response>")))
            }
            [who, "asks", url, ref fallback @ ..] => {
                let post = |url: &str| Document { url: url.to_owned(), method: "POST".to_owned() };
                let fallback = fallback.last().map(|url| post(url));
                self.offered(who, Instructions::Url { document: post(url), fallback })
            }
            [who, "is", "dialled", "as", id] => {
                Event::CallDialled { call: self.call(who), sip_call_id: id.to_owned() }
            }
            [who, "waits", "for", "a", "trunk"] => {
                Event::CallWaits { call: self.call(who), waits: true }
            }
            [who, "has", "its", "turn"] => Event::CallWaits { call: self.call(who), waits: false },
            [who, "says", name, value] if name.starts_with("X-") => {
                let headers = vec![(name.to_owned(), value.to_owned())];
                Event::CallReplied { call: self.call(who), headers }
            }
            [who, "answers"] => Event::CallAnswered { call: self.call(who) },
            [who, "rings"] => Event::CallRinging { call: self.call(who), early_media: true },
            [who, "rings", "silently"] => {
                Event::CallRinging { call: self.call(who), early_media: false }
            }
            [who, "fails", status] if !who.contains(':') => {
                Event::CallFailed { call: self.call(who), status: status.parse().unwrap() }
            }
            [who, "cannot", "be", "reached"] => {
                let (level, remark) = (model::Level::Warning, failure(32011));
                Event::CallRemarked { call: self.call(who), level, remark }
            }
            [who, "hangs", "up"] => Event::CallGone { call: self.call(who), why: Gone::HungUp },
            [who, "is", "lost"] => Event::CallGone { call: self.call(who), why: Gone::Lost },
            [who, "is", "silent"] => Event::CallGone { call: self.call(who), why: Gone::NoAudio },
            [who, "presses", key] => {
                Event::Digit { call: self.call(who), digit: key.chars().next().unwrap() }
            }
            [who, "proves", what] => {
                Event::AnsweredBy { call: self.call(who), who: what.parse().unwrap() }
            }
            [who, "means", "so", "far", ..] => {
                let text = line.splitn(5, ' ').nth(4).unwrap().to_owned();
                let (call, confidence) = (self.call(who), 0.25);
                let understood = Recognised { text, confidence };
                Event::RecognisedPartly { call, hearing: self.hearings[&call], understood }
            }
            [who, "means", ..] => {
                let text = line.splitn(3, ' ').nth(2).unwrap().to_owned();
                let call = self.call(who);
                let result = Ok(Recognised { text, confidence: 0.5 });
                Event::Recognised { call, hearing: self.hearings[&call], result }
            }
            [who, "is", "not", "understood"] => {
                let call = self.call(who);
                let result = Err(failure(13343));
                Event::Recognised { call, hearing: self.hearings[&call], result }
            }
            [who, "speaks"] => Event::Speech { call: self.call(who), speaking: true },
            [who, "falls", "silent"] => Event::Speech { call: self.call(who), speaking: false },
            [which, "holds", ms] => {
                let end = closed(ms.parse().unwrap(), false);
                Event::RecordingEnded { recording: self.take_recording(which), end }
            }
            [which, "is", "mute"] => {
                let end = closed(2_000, true);
                Event::RecordingEnded { recording: self.take_recording(which), end }
            }
            [which, "breaks", "off"] => {
                let end = RecordingEnd { failure: Some(failure(16111)), ..closed(2_000, false) };
                Event::RecordingEnded { recording: self.take_recording(which), end }
            }
            [user, "registers"] => Event::Registered { user: user.to_owned() },
            [user, "unregisters"] => Event::Unregistered { user: user.to_owned() },
            [sound, end @ ("ended" | "broke")] => {
                let at = self.plays.iter().position(|(name, _)| name == sound);
                let (_, play) =
                    self.plays.remove(at.unwrap_or_else(|| panic!("{sound} is silent")));
                let result = if end == "ended" { Ok(()) } else { Err(failure(11200)) };
                Event::PlayEnded { play, result }
            }
            [sound, "remarks"] => {
                let play = self.plays.iter().find(|(name, _)| name == sound);
                let (_, play) = play.unwrap_or_else(|| panic!("{sound} is silent"));
                Event::PlayRemarked { play: *play, remark: failure(13511) }
            }
            [url, ..] => {
                let result = self.brought(words, line);
                let at = self.fetches.iter().position(|(asked, _)| asked == url);
                let (_, fetch) =
                    self.fetches.remove(at.unwrap_or_else(|| panic!("{url} was not asked")));
                Event::Fetched { fetch, result }
            }
            [] => panic!("an empty line is no line of a script"),
        }
    }

    /// Reads what a request brought.
    fn brought(&self, words: &[&str], line: &str) -> Result<Fetched, Failure> {
        let verbs = |skip: usize| {
            format!("<Response>{}</Response>", line.splitn(skip + 1, ' ').nth(skip).unwrap())
        };
        match words[..] {
            [_, "plays"] => Ok(Fetched::Audio(AudioId(9))),
            [_, "fails"] => Err(failure(11200)),
            [_, "fails", code] => Err(failure(code.parse().unwrap())),
            [_, "says", ..] => Ok(Fetched::Text(line.splitn(3, ' ').nth(2).unwrap().to_owned())),
            [_, "answers", "from", url, ..] => {
                Ok(Fetched::Twiml { text: verbs(4), url: url.to_owned() })
            }
            [url, "answers", ..] => Ok(Fetched::Twiml { text: verbs(2), url: url.to_owned() }),
            [_, "writes", ..] => {
                let text = line.splitn(3, ' ').nth(2).unwrap().to_owned();
                Ok(Fetched::Twiml { text, url: words[0].to_owned() })
            }
            _ => panic!("{line:?} is no line of a script"),
        }
    }

    fn offered(&mut self, who: &str, instructions: Instructions) -> Event {
        let call = CallSid::new([u8::try_from(self.calls.len() + 1).unwrap(); 16]);
        self.calls.insert(who.to_owned(), call);
        Event::CallOffered(Box::new(Offer {
            status_callback: StatusCallback::default(),
            call,
            account: self.account,
            from: format!("sip:{who}@h"),
            to: "sip:us@h".to_owned(),
            caller_name: None,
            instructions,
            headers: Vec::new(),
        }))
    }

    /// Writes `<Dial><Conference>` with the defaults and what a line says; reads it, too.
    fn noun(&self, room: &str, fields: &[&str]) -> (twiml::Conference, String) {
        let mut attributes: BTreeMap<&str, String> =
            DEFAULTS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut dial = String::new();
        let before_then = fields.iter().take_while(|field| !field.starts_with("then="));
        for (name, value) in before_then.filter_map(|field| field.split_once('=')) {
            match name {
                "coach" if self.calls.contains_key(value) => {
                    drop(attributes.insert(name, self.calls[value].to_string()));
                }
                "action" | "timeLimit" | "hangupOnStar" | "method" => {
                    dial += &format!(" {name}=\"{value}\"");
                }
                _ if value == "-" => drop(attributes.remove(name)),
                _ => drop(attributes.insert(name, value.replace('+', " "))),
            }
        }
        let attributes: String =
            attributes.iter().map(|(name, value)| format!(" {name}=\"{value}\"")).collect();
        let text = format!(
            "<Response><Dial{dial}><Conference{attributes}>{room}</Conference></Dial>AFTER</Response>"
        );
        let document = twiml::parse(&text.replace("AFTER", "")).unwrap();
        let noun = document.verbs.iter().find_map(|verb| match verb {
            twiml::Verb::Dial(dial) => Some(dial.noun.clone()),
            _ => None,
        });
        let Some(twiml::Noun::Conference(noun)) = noun else { panic!("{text}") };
        (*noun, text)
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
                "CallSidToCoach" => changes.call_to_coach = Some(self.call(value)),
                _ => panic!("{name} is no parameter"),
            }
        }
        changes
    }

    fn change_recording(&self, verb: &str, which: &str, what: &str) -> Command {
        let room = self.rooms.get(what).map(|sid| Recorded::Conference(*sid));
        Command::UpdateRecording {
            account: self.account,
            of: room.unwrap_or_else(|| Recorded::Call(self.call(what))),
            recording: match which {
                "current" => RecordingKey::Current,
                which => RecordingKey::Sid(self.recording(which)),
            },
            change: match verb {
                "halt" => RecordingChange::Pause(PauseBehavior::Silence),
                "skip" => RecordingChange::Pause(PauseBehavior::Skip),
                "resume" => RecordingChange::Resume,
                _ => RecordingChange::Stop,
            },
        }
    }

    /// The recording of that name; one that never was, for a name that none has.
    fn recording(&self, which: &str) -> RecordingSid {
        self.recordings.get(which).copied().unwrap_or(RecordingSid::new([0xEE; 16]))
    }

    fn take_recording(&mut self, which: &str) -> RecordingSid {
        self.recordings.remove(which).unwrap_or_else(|| panic!("{which} is no recording"))
    }

    fn key(&self, who: &str) -> ParticipantKey {
        let known = self.calls.get(who).copied();
        known.map_or_else(|| ParticipantKey::Label(who.to_owned()), ParticipantKey::Call)
    }

    /// The call of that name; one that never was, for a name that nobody has.
    fn call(&self, who: &str) -> CallSid {
        self.calls.get(who).copied().unwrap_or(CallSid::new([0xEE; 16]))
    }

    fn queue(&self, name: &str) -> QueueSid {
        self.queues.get(name).copied().unwrap_or(QueueSid::new([0xEE; 16]))
    }

    fn room(&self, room: &str) -> ConferenceSid {
        self.rooms.get(room).copied().unwrap_or(ConferenceSid::new([0xEE; 16]))
    }
}
