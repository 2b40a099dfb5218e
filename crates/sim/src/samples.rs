//! A callback of every event, made by the exchange itself: a short story is played to it, and what it would tell is
//! kept.

use std::time::{Duration, Instant};

use exchange::{
    Command, ConferenceCallback, ConferenceKey, CreateCall, CreateParticipant, Dialling, Document,
    Effect, Event, Exchange, Failure, FetchId, Fetched, Gone, Instructions, JoinOptions, Offer,
    ParticipantChanges, ParticipantKey, PlayId, Recorded, RecordingCallback, RecordingChange,
    RecordingEnd, RecordingKey, RecordingOptions, Reply, StatusCallback,
};
use model::{AccountSid, CallSid, Change, ConferenceSid, Now, RecordingSid, Timestamp};

/// One callback or voice request, as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What it tells of: `participant-join`, `call-ringing`, `recording-completed`, `voice`, ...
    pub event: String,
    /// The form fields, in order.
    pub params: Vec<(String, String)>,
}

/// Where the story's receivers are; it is never asked.
const URL: &str = "http://127.0.0.1/";
/// Two callers, and the number that they call.
const PEOPLE: [&str; 3] = ["+15550100001", "+15550100002", "+15550100000"];
/// Time between two steps.
const STEP: Duration = Duration::from_secs(2);

/// Returns a sample of every event that an account's receivers can be told of.
pub fn samples(account: AccountSid, api_url: &str, seed: u64, wall: Timestamp) -> Vec<Sample> {
    let mut exchange = Exchange::new(seed);
    exchange.set_api_url(api_url.to_owned());
    exchange.ring_every_number(true);
    let now = Now { instant: Instant::now(), wall };
    let mut stage = Stage { exchange, account, now, ..Stage::empty(account, now) };
    stage.call_in();
    stage.call_out();
    stage.gather();
    stage.dial();
    stage.conference();
    stage.told
}

struct Stage {
    exchange: Exchange,
    account: AccountSid,
    now: Now,
    told: Vec<Sample>,
    fetches: Vec<FetchId>,
    plays: Vec<PlayId>,
    stopped: Vec<RecordingSid>,
    dialled: Option<CallSid>,
    /// What the next callback or request is called where its fields do not say it.
    called: Option<&'static str>,
}

impl Stage {
    fn empty(account: AccountSid, now: Now) -> Self {
        Self {
            exchange: Exchange::new(0),
            account,
            now,
            told: Vec::new(),
            fetches: Vec::new(),
            plays: Vec::new(),
            stopped: Vec::new(),
            dialled: None,
            called: None,
        }
    }

    fn command(&mut self, command: Command) -> Option<Reply> {
        let mut effects = Vec::new();
        let reply = self.exchange.handle_command(command, self.now, &mut effects).ok();
        self.take(effects);
        reply
    }

    fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.exchange.handle_event(event, self.now, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Write(Change::Callback(callback)) => {
                    let called = self.called.take().map(str::to_owned);
                    let event = called.unwrap_or_else(|| name(&callback.params));
                    self.keep(event, callback.params.to_vec());
                }
                Effect::Fetch { fetch, params, .. } => {
                    self.fetches.push(fetch);
                    if params.iter().any(|(name, _)| name == "Direction") {
                        self.keep(self.called.unwrap_or("voice").to_owned(), params);
                    }
                }
                Effect::Dial { call, .. } => self.dialled = Some(call),
                Effect::Play { play, .. } => self.plays.push(play),
                Effect::StopRecording(recording) => self.stopped.push(recording),
                _ => {}
            }
        }
        self.now.instant += STEP;
        self.now.wall = self.now.wall.after(STEP);
    }

    fn keep(&mut self, event: String, params: Vec<(String, String)>) {
        if self.told.iter().all(|sample| sample.event != event) {
            self.told.push(Sample { event, params });
        }
    }

    /// A call in: the voice request, and what the end of the call tells.
    fn call_in(&mut self) {
        let document = Document { url: URL.to_owned(), method: "POST".to_owned() };
        let call = CallSid::new([0xca; 16]);
        self.offer(call, Instructions::Url { document, fallback: None });
        self.event(Event::CallGone { call, why: Gone::HungUp });
    }

    /// What `<Gather>` sends to its action.
    fn gather(&mut self) {
        let call = CallSid::new([0xcb; 16]);
        let twiml = format!("<Response><Gather numDigits='4' action='{URL}'/></Response>");
        self.offer(call, Instructions::Twiml(twiml));
        self.called = Some("gather-action");
        for digit in "1234".chars() {
            self.event(Event::Digit { call, digit });
        }
        self.called = None;
        self.event(Event::CallGone { call, why: Gone::HungUp });
    }

    /// What `<Dial>` sends to its action.
    fn dial(&mut self) {
        let call = CallSid::new([0xcc; 16]);
        let (from, to) = (PEOPLE[2], PEOPLE[1]);
        let dial = format!("<Dial action='{URL}' callerId='{from}'>{to}</Dial>");
        self.offer(call, Instructions::Twiml(format!("<Response>{dial}</Response>")));
        let Some(callee) = self.dialled.take() else { return };
        self.event(Event::CallAnswered { call: callee });
        self.called = Some("dial-action");
        self.event(Event::CallGone { call: callee, why: Gone::HungUp });
        self.called = None;
        self.event(Event::CallGone { call, why: Gone::HungUp });
    }

    fn offer(&mut self, call: CallSid, instructions: Instructions) {
        self.event(Event::CallOffered(Box::new(Offer {
            call,
            account: self.account,
            from: PEOPLE[0].to_owned(),
            to: PEOPLE[2].to_owned(),
            caller_name: None,
            instructions,
            status_callback: StatusCallback::default(),
            headers: Vec::new(),
        })));
    }

    /// A call out, with all that its progress tells.
    fn call_out(&mut self) {
        let create = CreateCall {
            account: self.account,
            dialling: dialling(PEOPLE[0], &["initiated", "ringing", "answered", "completed"]),
            instructions: Instructions::Twiml(
                "<Response><Pause length='9'/></Response>".to_owned(),
            ),
            send_digits: None,
        };
        if let Some(Reply::Call(call)) = self.command(Command::CreateCall(Box::new(create))) {
            self.event(Event::CallRinging { call: call.sid, early_media: false });
            self.event(Event::CallAnswered { call: call.sid });
            self.event(Event::CallGone { call: call.sid, why: Gone::HungUp });
        }
    }

    /// A conference of two, recorded, in which everything befalls the first.
    fn conference(&mut self) {
        let Some((conference, first)) = self.join(PEOPLE[0], "first", true) else { return };
        let Some((_, second)) = self.join(PEOPLE[1], "second", false) else { return };
        let on = Some(true);
        let off = Some(false);
        let none = ParticipantChanges::default();
        self.update(conference, first, ParticipantChanges { muted: on, ..none.clone() });
        self.update(conference, first, ParticipantChanges { muted: off, ..none.clone() });
        self.update(conference, first, ParticipantChanges { hold: on, ..none.clone() });
        self.update(conference, first, ParticipantChanges { hold: off, ..none.clone() });
        let coached = Some(second);
        let coaches = ParticipantChanges { coaching: on, call_to_coach: coached, ..none.clone() };
        self.update(conference, first, coaches);
        self.update(conference, first, ParticipantChanges { coaching: off, ..none });
        for speaking in [true, false] {
            self.event(Event::Speech { call: first, speaking });
        }
        self.announce(conference, first, Ok(Fetched::Text("Hello".to_owned())));
        let message = "HTTP status 404".to_owned();
        self.announce(conference, first, Err(Failure { code: 11200, message }));
        self.record(conference);
        let fails = Failure { code: 16111, message: "no space is left".to_owned() };
        for failure in [None, Some(fails)] {
            self.record_nothing(first, failure);
        }
        self.event(Event::CallGone { call: second, why: Gone::HungUp });
        self.event(Event::CallGone { call: first, why: Gone::HungUp });
    }

    fn join(&mut self, to: &str, label: &str, records: bool) -> Option<(ConferenceSid, CallSid)> {
        let events =
            ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"];
        let recording = RecordingOptions {
            callback: RecordingCallback { url: Some(URL.to_owned()), ..asked_for_all() },
            ..RecordingOptions::default()
        };
        let twiml = twiml::Conference::named("sample");
        let options = JoinOptions {
            label: Some(label.to_owned()),
            status_callback: ConferenceCallback {
                url: Some(URL.to_owned()),
                method: String::new(),
                events: events.map(str::to_owned).to_vec(),
            },
            recording: records.then_some(recording),
            ..JoinOptions::from_twiml(&twiml, "")
        };
        let create = CreateParticipant {
            account: self.account,
            conference: ConferenceKey::Name("sample".to_owned()),
            dialling: dialling(to, &[]),
            early_media: false,
            options,
        };
        let reply = self.command(Command::CreateParticipant(Box::new(create)));
        let Some(Reply::Participant(participant)) = reply else { return None };
        self.event(Event::CallAnswered { call: participant.call });
        Some((participant.conference, participant.call))
    }

    fn update(&mut self, conference: ConferenceSid, call: CallSid, changes: ParticipantChanges) {
        let (account, participant) = (self.account, ParticipantKey::Call(call));
        let changes = Box::new(changes);
        self.command(Command::UpdateParticipant { account, conference, participant, changes });
    }

    /// Announces something to a participant: it is fetched, and played to its end.
    fn announce(
        &mut self,
        conference: ConferenceSid,
        call: CallSid,
        fetched: Result<Fetched, Failure>,
    ) {
        self.fetches.clear();
        let document = Document { url: format!("{URL}hello.wav"), method: "POST".to_owned() };
        let announce = Some(document);
        self.update(conference, call, ParticipantChanges { announce, ..Default::default() });
        for fetch in std::mem::take(&mut self.fetches) {
            self.plays.clear();
            self.event(Event::Fetched { fetch, result: fetched.clone() });
            for play in std::mem::take(&mut self.plays) {
                self.event(Event::PlayEnded { play, result: Ok(()) });
            }
        }
    }

    /// Halts the recording, lets it go on and ends it.
    fn record(&mut self, conference: ConferenceSid) {
        let of = Recorded::Conference(conference);
        self.change(of, RecordingChange::Pause(exchange::PauseBehavior::Skip));
        self.called = Some("recording-resumed");
        self.change(of, RecordingChange::Resume);
        self.called = None;
        self.change(of, RecordingChange::Stop);
        self.stopped(STEP, None);
    }

    /// A recording that is too short to be kept, or fails.
    fn record_nothing(&mut self, call: CallSid, failure: Option<Failure>) {
        let callback = RecordingCallback { url: Some(URL.to_owned()), ..asked_for_all() };
        let options = RecordingOptions { callback, ..RecordingOptions::default() };
        self.command(Command::CreateRecording { account: self.account, call, options });
        self.change(Recorded::Call(call), RecordingChange::Stop);
        self.stopped(Duration::ZERO, failure);
    }

    fn change(&mut self, of: Recorded, change: RecordingChange) {
        let (account, recording) = (self.account, RecordingKey::Current);
        self.command(Command::UpdateRecording { account, of, recording, change });
    }

    /// The files of what was stopped are closed.
    fn stopped(&mut self, length: Duration, failure: Option<Failure>) {
        for recording in std::mem::take(&mut self.stopped) {
            let end = RecordingEnd { length, silent: false, failure: failure.clone() };
            self.event(Event::RecordingEnded { recording, end });
        }
    }
}

fn asked_for_all() -> RecordingCallback {
    let events =
        ["started", "in-progress", "paused", "resumed", "stopped", "completed", "failed", "absent"];
    RecordingCallback { events: events.map(str::to_owned).to_vec(), ..Default::default() }
}

fn dialling(to: &str, events: &[&str]) -> Dialling {
    Dialling {
        to: to.to_owned(),
        from: PEOPLE[2].to_owned(),
        status_callback: StatusCallback {
            url: (!events.is_empty()).then(|| URL.to_owned()),
            method: String::new(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        },
        ..Dialling::default()
    }
}

/// Returns what a callback tells of, in one word.
fn name(params: &[(String, String)]) -> String {
    let of = |wanted: &str| params.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if let Some(event) = of("StatusCallbackEvent") {
        return event.clone();
    }
    if let Some(status) = of("RecordingStatus") {
        return format!("recording-{status}");
    }
    let status = of("CallStatus").map_or("", String::as_str);
    let progress = match status {
        "queued" | "initiated" => "initiated",
        "in-progress" => "answered",
        other => other,
    };
    format!("call-{progress}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_sample() {
        let account = AccountSid::new([1; 16]);
        let told = samples(account, "http://127.0.0.1:8080", 7, Timestamp(1_800_000_000_000));
        let events: Vec<&str> = told.iter().map(|sample| sample.event.as_str()).collect();
        for event in [
            "voice",
            "call-initiated",
            "call-ringing",
            "call-answered",
            "call-completed",
            "conference-start",
            "conference-end",
            "participant-join",
            "participant-leave",
            "participant-mute",
            "participant-unmute",
            "participant-hold",
            "participant-unhold",
            "participant-modify",
            "participant-speech-start",
            "participant-speech-stop",
            "announcement-end",
            "announcement-fail",
            "recording-in-progress",
            "recording-paused",
            "recording-resumed",
            "recording-stopped",
            "recording-completed",
            "recording-absent",
            "recording-failed",
            "gather-action",
            "dial-action",
        ] {
            assert!(events.contains(&event), "no {event} in {events:?}");
        }
        for (event, field) in [
            ("gather-action", "Digits"),
            ("dial-action", "DialCallStatus"),
            ("recording-absent", "ErrorCode"),
            ("recording-failed", "ErrorCode"),
        ] {
            let sample = told.iter().find(|sample| sample.event == event).unwrap();
            assert!(sample.params.iter().any(|(name, _)| name == field), "{sample:?}");
        }
        let account = account.to_string();
        for sample in &told {
            assert!(
                sample.params.contains(&("AccountSid".to_owned(), account.clone())),
                "{sample:?}"
            );
        }
    }
}
