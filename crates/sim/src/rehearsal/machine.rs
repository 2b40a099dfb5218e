//! The machine of a rehearsal: the node without its machinery, the phones, and what happens when.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Channel, RecordingId, Shard, TICK};
use model::{AccountSid, CallSid, Callback, ConferenceSid, Now, RecordingSid};
use node::{
    Command, Core, Document, FetchId, Input, NumberRange, NumberType, Outbox, PlayId, Played,
    Sound, Tape,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use super::ear::{self, Ear};
use super::report::{Report, Verdict};
use super::scenario::{Manner as Plan, Scenario};
use super::sounds::{Origin, Sounds};
use super::{DATE, Options};
use crate::played::agenda::Agenda;
use crate::played::chance::Chance;
use crate::played::phone::{Line, Manner, Phone};
use crate::played::ports::Ports;

/// How long a SIP message is on its way.
const TRANSIT: Duration = Duration::from_millis(1);
/// How long the calls have to end after the scenario has.
const DRAIN: Duration = Duration::from_secs(30);
/// Steps of the machine after which a rehearsal is held to be going in circles.
const EVENTS_MAX: u64 = 20_000_000;

/// What happens at some time.
#[derive(Debug)]
pub enum Event {
    /// The media thread's turn.
    Tick,
    ToNode(SocketAddr, Vec<u8>),
    ToPhone(usize, Vec<u8>),
    Fetch(Box<Fetch>),
    Load(PlayId, AccountSid, Sound),
    Resolved(CallSid),
    /// A callback goes out; with it the outbox learns what came of it, unless it knows already.
    Attempt(Box<Callback>, bool),
    /// The next step of the scenario.
    Step,
    /// The scenario is over.
    End,
}

/// A document that is to be asked for.
#[derive(Debug)]
pub struct Fetch {
    pub fetch: FetchId,
    pub account: AccountSid,
    pub call: Option<CallSid>,
    pub document: Document,
    pub params: Vec<(String, String)>,
}

/// A request that the application was sent.
#[derive(Debug, Clone)]
pub struct Request {
    pub is_callback: bool,
    /// Without the application's address.
    pub path: String,
    pub params: Vec<(String, String)>,
}

/// What was seen of the calls so far.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: Vec<Request>,
    /// The calls, by SID, with the names that the timeline has for them.
    pub calls: BTreeMap<CallSid, String>,
    /// The call that each number has, or had last.
    pub by_number: BTreeMap<String, CallSid>,
    /// The conferences, by their names.
    pub rooms: BTreeMap<String, ConferenceSid>,
    pub dialled: Vec<String>,
    /// Calls that were sent to another document.
    pub redirected: Vec<(CallSid, String)>,
    pub recordings: Vec<RecordingSid>,
}

/// The machine.
pub struct Machine<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) app: String,
    pub(super) agenda: Agenda<Event>,
    pub(super) random: ChaCha12Rng,
    pub(super) played: Played,
    pub(super) core: Core,
    pub(super) shard: Shard,
    pub(super) outbox: Outbox,
    pub(super) ports: Ports,
    pub(super) tapes: BTreeMap<RecordingId, (RecordingSid, Option<Tape>)>,
    pub(super) phones: Vec<Phone>,
    pub(super) ears: Vec<Ear>,
    pub(super) sounds: Sounds,
    pub(super) seen: Seen,
    pub(super) report: Report,
    /// The next step, and the one that is waited in: which, and until when on the clock of the wall.
    pub(super) next_step: usize,
    pub(super) waiting: Option<(usize, Instant)>,
    /// When the scenario is over, as far as is known.
    pub(super) ends_at: Duration,
    pub(super) draining: bool,
    /// Checks of what was heard, judged in the end: by step, with their windows.
    pub(super) listening: Vec<(usize, std::ops::Range<Duration>)>,
    ticking: bool,
    address: SocketAddr,
    /// The moment of the wall at which waiting began, and the virtual time then.
    pub(super) paced: Option<(Instant, Duration)>,
}

/// Returns the numbers that a scenario's account can have.
pub fn stock(scenario: &Scenario) -> Result<Vec<NumberRange>, String> {
    let range = |number: &String| {
        let digits = number.strip_prefix('+').and_then(|digits| digits.parse().ok());
        let first = digits.filter(|_| node::e164(number).is_some());
        let first = first.ok_or_else(|| format!("{number:?} is no number in E.164"))?;
        Ok(NumberRange {
            first,
            count: 1,
            number_type: NumberType::Local,
            country_code: "US".to_owned(),
            country: "United States".to_owned(),
            place: None,
        })
    };
    scenario.numbers.keys().map(range).collect()
}

impl<'a> Machine<'a> {
    pub fn new(
        scenario: &'a Scenario,
        options: &Options<'_>,
        (mut played, app): (Played, String),
    ) -> Result<Self, String> {
        let mut random = ChaCha12Rng::seed_from_u64(options.seed);
        let address = played.handle().sip();
        let ports = Ports::default();
        let core = played.core(Box::new(ports.clone()));
        let shard = Shard::new(random.below(u64::MAX));
        let tones = scenario.phones.iter().map(|(name, plan)| {
            (name.clone(), matches!(plan.get_ref().says.as_str(), "tone" | "silence"))
        });
        let mut sounds = Sounds::new(tones.collect());
        let mut phones = Vec::new();
        for (index, plan) in scenario.phones.values().enumerate() {
            let plan = plan.get_ref();
            let voice = voice(index, &plan.says, options.folder, &mut sounds)?;
            let mut phone = Phone::new(index, random.seed(), voice);
            phone.user.clone_from(&plan.number);
            phone.manner = manner(plan.when_called.unwrap_or(Plan::Answers), plan.answers_after());
            phones.push(phone);
        }
        Ok(Self {
            scenario,
            app,
            agenda: Agenda::default(),
            random,
            played,
            core,
            shard,
            outbox: Outbox::default(),
            ports,
            tapes: BTreeMap::new(),
            ears: phones.iter().map(|_| Ear::default()).collect(),
            phones,
            sounds,
            seen: Seen::default(),
            report: Report::new(&scenario.name, options.seed),
            next_step: 0,
            waiting: None,
            ends_at: Duration::ZERO,
            draining: false,
            listening: Vec::new(),
            ticking: false,
            address,
            paced: None,
        })
    }

    /// Plays the scenario to its end.
    pub async fn run(mut self) -> Result<Report, String> {
        self.speak_sentences().await?;
        for index in 0..self.phones.len() {
            let registration = self.phones[index].registration(self.address);
            let from = self.phones[index].address.into();
            self.input(Input::Message(from, registration)).await;
        }
        self.plan_step();
        let mut events = 0;
        // Where nothing is due, whoever waits still waits for the application.
        while let Some(at) = self.due().or(self.waiting.map(|_| Duration::MAX)) {
            events += 1;
            if events > EVENTS_MAX {
                return Err(format!("nothing comes to an end after {EVENTS_MAX} events"));
            }
            while let Some(asked) = self.played.poll_asked() {
                self.take(asked).await;
            }
            if self.waiting.is_some() && !self.wait(at).await {
                continue;
            }
            if self.draining && self.is_over() {
                break;
            }
            self.step(at).await?;
        }
        self.conclude().await;
        Ok(self.report)
    }

    /// Whether all calls are over and told of.
    fn is_over(&self) -> bool {
        let silent = self.core.calls() == 0 && self.core.recordings() == 0;
        let told = self.outbox.is_idle() && !self.is_ticking();
        silent && told || self.agenda.time() > self.ends_at + DRAIN
    }

    fn is_ticking(&self) -> bool {
        let stats = self.shard.stats();
        stats.legs > 0 || stats.rooms > 0
    }

    /// Returns when something is next to be done.
    pub(super) fn due(&self) -> Option<Duration> {
        let since = |at: Instant| self.agenda.since(at);
        let queued = self.agenda.first().map(|(at, _)| at);
        let core = self.core.poll_timeout().map(since);
        let outbox = self.outbox.poll_timeout().map(since);
        let phones = self.phones.iter().filter_map(|phone| phone.due().map(since)).min();
        [queued, core, outbox, phones].into_iter().flatten().min()
    }

    /// Does what is due: first what was planned, then the node, then the phones.
    async fn step(&mut self, at: Duration) -> Result<(), String> {
        self.agenda.pass_to(at);
        self.played.pass_to(DATE.after(self.agenda.time()));
        if self.agenda.first().is_some_and(|(first, _)| first <= at) {
            if let Some(event) = self.agenda.take() {
                self.happen(event).await?;
            }
            return Ok(());
        }
        let now = self.now();
        if self.core.poll_timeout().is_some_and(|due| due <= now.instant) {
            self.core.handle_timeout(now);
            self.carry_out().await;
        }
        self.deliver().await;
        for index in 0..self.phones.len() {
            if self.phones[index].due().is_some_and(|due| due <= now.instant) {
                let before = self.phones[index].line;
                self.phones[index].handle_timeout(now.instant);
                self.sent_by(index, before);
            }
        }
        Ok(())
    }

    async fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Tick => self.tick().await,
            Event::ToNode(from, octets) => self.input(Input::Message(from.into(), octets)).await,
            Event::ToPhone(index, octets) => {
                let before = self.phones[index].line;
                let now = self.agenda.instant();
                self.phones[index].receive(self.address, &octets, now);
                self.sent_by(index, before);
            }
            Event::Fetch(fetch) => self.fetch(*fetch).await,
            Event::Load(play, account, sound) => self.load(play, account, sound).await,
            Event::Resolved(call) => self.input(Input::Resolved(call, Vec::new())).await,
            Event::Attempt(callback, is_awaited) => self.attempt(*callback, is_awaited).await,
            Event::Step => return self.act().await,
            Event::End => self.drain(),
        }
        Ok(())
    }

    /// Returns where phones reach the node.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts something on its way over the network.
    pub(super) fn later(&mut self, event: Event) {
        self.agenda.put(TRANSIT, event);
    }

    /// Returns the present, on both clocks.
    pub(super) fn now(&self) -> Now {
        Now { instant: self.agenda.instant(), wall: DATE.after(self.agenda.time()) }
    }

    /// Hands the node an input and carries out what comes of it.
    pub(super) async fn input(&mut self, input: Input) {
        let now = self.now();
        self.core.handle(input, now);
        self.carry_out().await;
    }

    /// The media thread's turn, and before it the phones'.
    async fn tick(&mut self) {
        self.ticking = false;
        let (now, time) = (self.agenda.instant(), self.agenda.time());
        for index in 0..self.phones.len() {
            let from = self.phones[index].media;
            if let Some((to, packet)) = self.phones[index].speak()
                && let Some(leg) = self.ports.leg(to.port())
            {
                self.shard.handle_datagram(leg, Channel::Rtp, from, &packet, now);
            }
        }
        self.shard.handle_tick(now);
        while let Some(transmit) = self.shard.poll_transmit(now) {
            let to = self.phones.iter().find(|phone| phone.media == transmit.to);
            if let Some(phone) = to.filter(|phone| transmit.channel == Channel::Rtp && !phone.dead)
            {
                self.ears[phone.index].receive(transmit.octets);
            }
        }
        self.ears.iter_mut().for_each(|ear| ear.tick(time));
        while let Some(recorded) = self.shard.poll_recorded() {
            if let Some((_, Some(tape))) = self.tapes.get_mut(&recorded.recording) {
                tape.push(&recorded);
                tape.write();
            }
        }
        while let Some(event) = self.shard.poll_event() {
            self.input(Input::Media(event)).await;
        }
        self.keep_ticking();
    }

    /// Sees to it that the media thread has its turn while there is sound, on a grid.
    pub(super) fn keep_ticking(&mut self) {
        if self.ticking || !self.is_ticking() {
            return;
        }
        self.ticking = true;
        let time = self.agenda.time().as_micros();
        let period = TICK.as_micros();
        let left = period - time % period;
        let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
        self.agenda.put(left, Event::Tick);
    }

    /// Sends what a phone wants to send, and notes what became of its call.
    pub(super) fn sent_by(&mut self, index: usize, before: Line) {
        let phone = &mut self.phones[index];
        let from = phone.address;
        let sent: Vec<_> = std::iter::from_fn(|| phone.agent.poll_transmit()).collect();
        for transmit in sent.into_iter().filter(|transmit| transmit.to == self.address) {
            self.agenda.put(TRANSIT, Event::ToNode(from, transmit.octets));
        }
        let (after, failed) = (self.phones[index].line, self.phones[index].failed.take());
        let name = self.name_of(index);
        let caller = self.named(&self.phones[index].caller);
        match (before, after) {
            (Line::Idle, Line::Early) => self.say(format!("{name} rings: {caller} calls")),
            (Line::Idle | Line::Early, Line::Up(_)) => self.say(format!("{name} is connected")),
            (Line::Early, Line::Idle) => match failed {
                Some(status) => self.say(format!("{name}'s call does not come about: {status}")),
                None => self.say(format!("{name} rings no more")),
            },
            (Line::Up(_), Line::Idle) => self.say(format!("{name}'s call is over")),
            _ => {}
        }
    }

    /// Puts a line into the timeline.
    pub(super) fn say(&mut self, line: String) {
        self.report.say(self.agenda.time(), line);
    }

    /// Notes what does not go as it must.
    pub(super) fn verdict(&mut self, about: String, result: Result<(), String>) {
        self.report.verdicts.push(Verdict { at: self.agenda.time(), about, result });
    }

    pub(super) fn name_of(&self, index: usize) -> String {
        self.scenario.phones.keys().nth(index).cloned().unwrap_or_default()
    }

    /// Returns the name of the phone that has a number, or the number.
    pub(super) fn named(&self, number: &str) -> String {
        let number =
            number.strip_prefix("client:").or(number.strip_prefix("sip:")).unwrap_or(number);
        let number = number.split('@').next().unwrap_or(number);
        let index = self.phones.iter().position(|phone| phone.user == number);
        index.map_or_else(|| number.to_owned(), |index| self.name_of(index))
    }

    /// Nothing new begins; all hang up.
    fn drain(&mut self) {
        self.draining = true;
        self.ends_at = self.agenda.time();
        self.say("the scenario is over; all hang up".to_owned());
        for index in 0..self.phones.len() {
            self.phones[index].manner = Manner::Busy;
            if self.phones[index].dead {
                continue;
            }
            let (before, now) = (self.phones[index].line, self.agenda.instant());
            self.phones[index].hang_up(now);
            self.sent_by(index, before);
        }
    }

    /// Has the voice say what phones say that have a sentence.
    async fn speak_sentences(&mut self) -> Result<(), String> {
        for index in 0..self.phones.len() {
            let plan = self.scenario.phones.values().nth(index).map(|plan| plan.get_ref());
            let Some(says) = plan.map(|plan| plan.says.as_str()) else { continue };
            if !is_sentence(says) {
                continue;
            }
            let sound = Sound::Speech(node::Speech::plain(says.to_owned()));
            let account = self.played.handle().account().sid;
            let loaded = self.played.load(account, sound).await;
            let pcm = loaded.result.map_err(|failure| format!("{says:?}: {}", failure.message))?;
            self.sounds.add(Origin::Phone(index), &pcm);
            self.phones[index].say(ear::packed(&pcm));
        }
        Ok(())
    }
}

/// Returns what a phone does by the plan of a scenario.
pub fn manner(plan: Plan, answers_after: Duration) -> Manner {
    match plan {
        Plan::Answers => Manner::Answers(answers_after),
        Plan::IsBusy => Manner::Busy,
        Plan::NeverAnswers => Manner::Rings,
    }
}

fn is_sentence(says: &str) -> bool {
    !matches!(says, "tone" | "silence") && !says.ends_with(".wav")
}

/// Returns what a phone says; a sentence is spoken later.
fn voice(
    index: usize,
    says: &str,
    folder: &Path,
    sounds: &mut Sounds,
) -> Result<Arc<[u8]>, String> {
    if says == "tone" {
        return Ok(ear::tone(index));
    }
    if !says.ends_with(".wav") {
        return Ok(ear::packed(&[]));
    }
    let path = folder.join(says);
    let told = |error: String| format!("{}: {error}", path.display());
    let octets = std::fs::read(&path).map_err(|error| told(error.to_string()))?;
    let pcm = sound::decode(octets).map_err(|error| told(error.to_string()))?;
    sounds.add(Origin::Phone(index), &pcm);
    Ok(ear::packed(&pcm))
}

/// Says in a few words what a command asks for.
pub fn described(command: &Command) -> Option<String> {
    Some(match command {
        Command::CreateCall(create) => format!("to call {}", create.dialling.to),
        Command::CreateParticipant(create) => {
            format!("to call {} into a conference", create.dialling.to)
        }
        Command::UpdateCall { .. } => "to change a call".to_owned(),
        Command::UpdateParticipant { .. } => "to change a participant".to_owned(),
        Command::RemoveParticipant { .. } => "to remove a participant".to_owned(),
        Command::UpdateConference { .. } => "to change a conference".to_owned(),
        _ => return None,
    })
}
