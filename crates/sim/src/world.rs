//! Whole worlds in virtual time: phones, one node, its disk, a customer's web and a network that
//! loses, doubles, delays and reorders; all drawn from one seed, with no thread, socket or clock.
//!
//! The node is the real one without its machinery: `node::Core`, `node::Outbox`, `media::Shard` and
//! what a start makes of the rows. After each step the invariants of `invariants.rs` must hold; what
//! breaks one is told with the seed and the steps that led there.

mod actions;
mod disk;
mod ear;
mod invariants;
mod outputs;
mod reference;
mod web;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Channel, LegId, RecordingId, Shard, TICK};
use model::{Account, AccountSid, CallSid, Callback, CallbackSid, Now, RecordingSid, Timestamp};
use node::{Brought, Core, Failure, FetchId, Guard, Input, Outbox, PlayId, Settings, Ticket};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::played::agenda::Agenda;
use crate::played::chance::Chance;
use crate::played::phone::Phone;
use crate::played::ports::Ports;

use disk::Disk;
use ear::Ear;
use invariants::Judge;
use web::Web;

/// The wall clock when a world begins: 2026-01-01.
const WALL_MS: i64 = 1_767_225_600_000;
/// How long a world may take to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(400);
/// Steps after which a world is held to be going in circles, for each call that it is to have.
const STEPS_MAX: u64 = 400_000;

/// How a world is played.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether the steps are noted.
    pub trace: bool,
    /// Whether the wall clock stays right: it draws as many numbers all the same.
    pub steady_clock: bool,
    /// After how many calls everything comes to its end, all phones taking part; 0: after some seconds.
    pub calls: u64,
}

/// An invariant did not hold.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The world's seed.
    pub seed: u64,
    /// The invariant's name.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
    /// When, since the world began.
    pub at: Duration,
    /// The steps that led there, where they were noted.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, invariant, detail, at, trace } = self;
        writeln!(f, "seed {seed}: {invariant} does not hold at {at:?}: {detail}")?;
        trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// What was seen in a world that held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events that were played.
    pub steps: u64,
    /// Frames that came out of the node.
    pub frames: u64,
    /// Commands that were accepted and refused.
    pub accepted: u64,
    /// See above.
    pub refused: u64,
    /// Callbacks that reached the customer.
    pub callbacks: u64,
    /// Crashes of the node.
    pub crashes: u64,
    /// Calls that were up at some time.
    pub calls: u64,
    /// Of these, those that took part in a conference: each time that they came.
    pub joins: u64,
    /// Participants that were put on hold or taken off it by the API.
    pub holds: u64,
    /// Calls that the API sent to another document.
    pub transfers: u64,
    /// Recordings that were begun.
    pub recordings: u64,
    /// How long it was in virtual time, in milliseconds.
    pub lasted_ms: u64,
    /// Stands for all that was done, dates left out: equal worlds have equal ones.
    pub digest: u64,
}

/// What happens at some time.
#[derive(Debug)]
enum Event {
    /// The media thread's turn.
    Tick,
    /// The node has something due.
    NodeDue,
    /// The outbox has.
    OutboxDue,
    /// A phone has.
    PhoneDue(usize),
    ToNode(SocketAddr, Vec<u8>),
    ToPhone(usize, Vec<u8>),
    /// A sound packet reaches a port of the node.
    Sound(u16, SocketAddr, Vec<u8>),
    /// The disk has written the next batch, or failed to.
    Commit(u32),
    Fetched(u32, FetchId, Result<Brought, Failure>),
    Loaded(u32, PlayId, Result<Arc<[i16]>, Failure>),
    /// A recording's file is closed.
    Recorded(u32, RecordingSid),
    Received(u32, Box<Callback>),
    Answered(u32, CallbackSid, Result<u16, webhook::Failure>),
    /// The outbox's turn to read a lane's rows.
    Read(u32, String),
    Resolved(u32, CallSid, Vec<IpAddr>),
    /// Somebody does something.
    Act,
    HangUp(usize),
    Revive(usize),
    DiskWorks,
    WebWorks,
    Restart,
    /// Nothing new is begun from here on.
    Drain,
}

/// The node while it is up.
struct Running {
    core: Core,
    shard: Shard,
    outbox: Outbox,
    ears: BTreeMap<LegId, Ear>,
    recordings: BTreeMap<RecordingId, RecordingSid>,
}

/// A world.
struct World {
    options: Options,
    random: ChaCha12Rng,
    agenda: Agenda<Event>,
    wall_jump_ms: i64,
    account: Account,
    address: SocketAddr,
    node: Option<Running>,
    /// How often the node has been started.
    incarnation: u32,
    disk: Disk,
    /// When the disk is done with what it was given last.
    disk_until: Duration,
    web: Web,
    phones: Vec<Phone>,
    loss_percent: u64,
    ticking: bool,
    ticks: u64,
    tick_at: Duration,
    ports: Ports,
    asked: BTreeMap<Ticket, actions::Asked>,
    judge: Judge,
    draining: bool,
    stopped: bool,
    summary: Summary,
    trace: Vec<String>,
}

/// Plays the world of a seed to its end.
///
/// # Errors
/// The first invariant that did not hold; a panic is one that did not.
pub fn play(seed: u64, options: Options) -> Result<Summary, Box<Broken>> {
    let mut world = World::new(seed, options);
    let held = catch_unwind(AssertUnwindSafe(|| world.run()));
    let fault = match held {
        Ok(Ok(())) => return Ok(world.summary),
        Ok(Err(fault)) => fault,
        Err(panic) => {
            let told = panic.downcast_ref::<String>().cloned();
            let told = told.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            ("nothing_panics", told.unwrap_or_default())
        }
    };
    let (invariant, detail) = fault;
    let (at, trace) = (world.agenda.time(), world.trace);
    Err(Box::new(Broken { seed, invariant, detail, at, trace }))
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let account = Account {
            sid: AccountSid::new([7; 16]),
            friendly_name: "World".to_owned(),
            owner: AccountSid::new([7; 16]),
            status: model::AccountStatus::Active,
            auth_token: "token".to_owned(),
            date_created: Timestamp(WALL_MS),
            date_updated: Timestamp(WALL_MS),
        };
        let many = 2 + random.below(ear::TONES_HERTZ.len() as u64 - 1) as usize;
        let many = if options.calls > 0 { ear::TONES_HERTZ.len() } else { many };
        let phones =
            (0..many).map(|index| Phone::new(index, random.seed(), ear::tone(index))).collect();
        let loss_percent = random.pick(&[0, 0, 2, 5, 12]).unwrap_or(0);
        Self {
            options,
            random,
            agenda: Agenda::default(),
            wall_jump_ms: 0,
            account,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5_060)),
            node: None,
            incarnation: 0,
            disk: Disk::default(),
            disk_until: Duration::ZERO,
            web: Web::default(),
            phones,
            loss_percent,
            ticking: false,
            ticks: 0,
            tick_at: Duration::ZERO,
            ports: Ports::default(),
            asked: BTreeMap::new(),
            judge: Judge::default(),
            draining: false,
            stopped: false,
            summary: Summary::default(),
            trace: Vec::new(),
        }
    }

    fn run(&mut self) -> invariants::Held {
        self.start()?;
        let lasts = self.random.millis(5_000, 18_000);
        self.schedule(Duration::from_millis(10), Event::Act);
        let mut ends = (self.options.calls == 0).then_some(lasts);
        if let Some(lasts) = ends {
            self.schedule(lasts, Event::Drain);
        }
        let steps_max = STEPS_MAX.saturating_mul(self.options.calls.max(1));
        while let Some(event) = self.next() {
            self.summary.steps += 1;
            self.step(event)?;
            if self.draining && self.is_at_rest() {
                break;
            }
            if ends.is_none() && self.calls_so_far() >= self.options.calls {
                ends = Some(self.agenda.time());
                self.schedule(Duration::ZERO, Event::Drain);
            }
            let late = ends.is_some_and(|ends| self.agenda.time() > ends + REST_WITHIN);
            if late || self.summary.steps > steps_max {
                return Err(("the_world_comes_to_rest", self.describe()));
            }
        }
        self.summary.lasted_ms = self.agenda.time().as_millis() as u64;
        self.judge_rest()
    }

    /// Returns the present, on both clocks.
    fn now(&self) -> Now {
        let wall_ms = WALL_MS + self.wall_jump_ms;
        Now { instant: self.instant(), wall: Timestamp(wall_ms).after(self.agenda.time()) }
    }

    fn instant(&self) -> Instant {
        self.agenda.instant()
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.agenda.put(after, event);
    }

    /// Returns what happens next, and lets time pass until then.
    fn next(&mut self) -> Option<Event> {
        let queued = self.agenda.first().map(|(at, _)| at);
        let since = |at: Instant| self.agenda.since(at);
        let node = self.node.as_ref();
        let core = node.and_then(|node| node.core.poll_timeout()).map(since);
        let outbox = node.and_then(|node| node.outbox.poll_timeout()).map(since);
        let phones = self.phones.iter().map(|phone| (phone.due().map(since), phone.index));
        let phone = phones.filter_map(|(at, index)| Some((at?, index))).min();
        let at = [queued, core, outbox, phone.map(|(at, _)| at)].into_iter().flatten().min()?;
        self.agenda.pass_to(at);
        if queued == Some(at) {
            return self.agenda.take();
        }
        if core == Some(at) {
            return Some(Event::NodeDue);
        }
        if outbox == Some(at) {
            return Some(Event::OutboxDue);
        }
        phone.map(|(_, index)| Event::PhoneDue(index))
    }

    /// Notes a step.
    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.options.trace {
            self.trace.push(format!("{:>9.3} {}", self.agenda.time().as_secs_f64(), line()));
        }
    }

    /// Adds to the digest of what was done.
    fn digest(&mut self, what: &[u8]) {
        for octet in what {
            self.summary.digest = (self.summary.digest ^ u64::from(*octet))
                .wrapping_mul(0x0000_0100_0000_01b3)
                .rotate_left(5);
        }
    }

    fn step(&mut self, event: Event) -> invariants::Held {
        match event {
            Event::Tick => return self.tick(),
            Event::NodeDue => return self.node_due(),
            Event::OutboxDue => self.deliver(),
            Event::PhoneDue(index) => {
                let now = self.instant();
                self.phones[index].handle_timeout(now);
                self.send_from(index);
            }
            Event::ToNode(from, octets) => {
                return self.input(Input::Message(from.into(), octets));
            }
            Event::ToPhone(index, octets) => {
                let (node, now) = (self.address, self.instant());
                self.phones[index].receive(node, &octets, now);
                self.send_from(index);
            }
            Event::Sound(port, from, packet) => self.sound_arrives(port, from, &packet),
            Event::Commit(incarnation) if incarnation == self.incarnation => {
                return self.commit();
            }
            Event::Fetched(incarnation, fetch, result) if incarnation == self.incarnation => {
                self.note(|| format!("fetched {fetch:?} {}", told(&result)));
                return self.input(Input::Fetched(fetch, result));
            }
            Event::Loaded(incarnation, play, result) if incarnation == self.incarnation => {
                return self.input(Input::Loaded(play, result));
            }
            Event::Recorded(incarnation, recording) if incarnation == self.incarnation => {
                return self.input(Input::RecordingEnded(recording, outputs::closed(recording)));
            }
            Event::Resolved(incarnation, call, addresses) if incarnation == self.incarnation => {
                return self.input(Input::Resolved(call, addresses));
            }
            Event::Read(incarnation, lane) if incarnation == self.incarnation => self.read(&lane),
            Event::Commit(_)
            | Event::Fetched(..)
            | Event::Loaded(..)
            | Event::Recorded(..)
            | Event::Resolved(..)
            | Event::Read(..) => {}
            Event::Received(incarnation, callback) => {
                return self.received(incarnation, &callback);
            }
            Event::Answered(incarnation, sid, result) => {
                if incarnation == self.incarnation {
                    self.answered(sid, result);
                }
            }
            Event::Act => return self.act(),
            Event::HangUp(index) => self.hang_up(index),
            Event::Revive(index) => self.revive(index),
            Event::DiskWorks => return self.disk_works(),
            Event::WebWorks => self.web.down = false,
            Event::Restart => return self.start(),
            Event::Drain => return self.drain(),
        }
        Ok(())
    }

    /// Starts the node from what the disk holds.
    fn start(&mut self) -> invariants::Held {
        if self.node.is_some() {
            return Ok(());
        }
        self.incarnation += 1;
        let now = self.now();
        let incarnation = self.incarnation;
        self.note(|| format!("the node starts for the {incarnation}. time"));
        let seed = self.random.below(u64::MAX);
        let closing = node::close(self.disk.rows.alive(), (seed, web::HOST), outputs::closed, now)
            .map_err(|error| ("rows_can_be_read", error.to_string()))?;
        self.judge_batch(&closing.changes)?;
        for change in &closing.changes {
            self.disk.rows.write(change);
            self.disk.meant.write(change);
        }
        self.judge_rows(&closing.changes)?;
        self.web.last.clear();
        self.judge_restart()?;
        let settings = Settings {
            account: self.account.clone(),
            sip: self.address,
            sip_auth: false,
            sip_md5_alone: false,
            voice_url: (!self.random.one_in(5)).then(|| format!("{}/voice", web::HOST)),
            names_are_rooms: true,
            guard: Guard { loopback: true, private: true },
            api_url: format!("{}/api", web::HOST),
            dual_conference_recordings: false,
            recognises: false,
            virtual_phones: None,
            terms: sip::Terms::telephone(),
            sip_tls: None,
        };
        let ports = Box::new(self.ports.clone());
        let mut core = Core::new(settings, self.random.seed(), ports);
        core.know_queues(closing.queues);
        for (call, dialog) in closing.dialogs {
            core.end_dialog(call, dialog, now);
        }
        let mut outbox = Outbox::default();
        let owed = self.disk.rows.owed().map(|callback| (disk::lane(callback), &callback.url));
        for (lane, url) in owed.collect::<BTreeMap<_, _>>() {
            outbox.owed(&lane, url);
        }
        let shard = Shard::new(self.random.below(u64::MAX));
        self.node = Some(Running {
            core,
            shard,
            outbox,
            ears: BTreeMap::new(),
            recordings: BTreeMap::new(),
        });
        self.deliver();
        self.carry_out()
    }

    /// Ends the node as a power cut does.
    fn crash(&mut self) {
        self.forgive_unknown_dialogs();
        if self.node.take().is_none() {
            return;
        }
        self.note(|| "the node crashes".to_owned());
        self.summary.crashes += 1;
        self.ports.close_all();
        // What was on its way to be answered is for nobody any more.
        self.incarnation += 1;
        self.asked.clear();
        self.disk.crash();
        self.judge.forget_node(&self.disk.rows);
    }

    /// The media thread's turn.
    fn tick(&mut self) -> invariants::Held {
        self.ticks += 1;
        self.ticking = false;
        let now = self.instant();
        let mut packets = Vec::new();
        for phone in &mut self.phones {
            packets.extend(phone.speak().map(|(to, packet)| (to, phone.media, packet)));
        }
        for (to, from, packet) in packets {
            for after in self.network(1, 25) {
                self.schedule(after, Event::Sound(to.port(), from, packet.clone()));
            }
        }
        let Some(node) = &mut self.node else { return Ok(()) };
        node.shard.handle_tick(now);
        while let Some(transmit) = node.shard.poll_transmit(now) {
            if transmit.channel == Channel::Rtp {
                self.summary.frames += 1;
                node.ears.entry(transmit.leg).or_default().hear(transmit.octets);
            }
        }
        let events: Vec<media::Event> = std::iter::from_fn(|| node.shard.poll_event()).collect();
        for event in events {
            self.input(Input::Media(event))?;
        }
        if self.ticks.is_multiple_of(25) {
            let heard = |node: &Running| {
                let heard = node.ears.iter().map(|(leg, ear)| (leg.0, ear.percent()));
                format!("heard by leg, in percent of each tone: {:?}", heard.collect::<Vec<_>>())
            };
            let heard = self.node.as_ref().filter(|_| self.options.trace).map(heard);
            self.note(|| heard.unwrap_or_default());
        }
        self.judge_sound()?;
        self.keep_ticking();
        Ok(())
    }

    /// Sees to it that the media thread has its turn while there is sound.
    fn keep_ticking(&mut self) {
        let legs = self.node.as_ref().is_some_and(|node| node.shard.stats().legs > 0);
        let rooms = self.node.as_ref().is_some_and(|node| node.shard.stats().rooms > 0);
        if self.ticking || !(legs || rooms) {
            return;
        }
        self.ticking = true;
        // On a grid, now and then late; what was missed is made up for.
        let next = self.tick_at + TICK;
        let behind = self.agenda.time().saturating_sub(next) > TICK * 5;
        self.tick_at = if behind { self.agenda.time() + TICK } else { next };
        let late = if self.random.one_in(200) { self.random.below(60_000) } else { 0 };
        let at = self.tick_at + Duration::from_micros(late);
        self.schedule(at.saturating_sub(self.agenda.time()), Event::Tick);
    }

    fn sound_arrives(&mut self, port: u16, from: SocketAddr, packet: &[u8]) {
        let now = self.instant();
        if let (Some(node), Some(leg)) = (&mut self.node, self.ports.leg(port)) {
            node.shard.handle_datagram(leg, Channel::Rtp, from, packet, now);
        }
    }

    /// Says when a packet arrives: never, once or twice.
    fn network(&mut self, from_ms: u64, to_ms: u64) -> Vec<Duration> {
        if self.random.below(100) < self.loss_percent {
            return Vec::new();
        }
        let mut arrivals = vec![self.random.millis(from_ms, to_ms)];
        if self.loss_percent > 0 && self.random.one_in(40) {
            arrivals.push(self.random.millis(from_ms, to_ms * 4));
        }
        arrivals
    }

    /// Sends what a phone wants to send.
    fn send_from(&mut self, index: usize) {
        let from = self.phones[index].address;
        while let Some(transmit) = self.phones[index].agent.poll_transmit() {
            if transmit.to == self.address {
                self.note(|| format!("phone{index} sends {}", first_line(&transmit.octets)));
                for after in self.network(1, 40) {
                    self.schedule(after, Event::ToNode(from, transmit.octets.clone()));
                }
            }
        }
    }
}

fn first_line(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let line = text.lines().next().unwrap_or_default();
    let cseq = text.lines().find(|line| line.starts_with("CSeq")).unwrap_or_default();
    format!("{line} ({cseq})")
}

fn told<T: std::fmt::Debug>(result: &Result<T, Failure>) -> String {
    match result {
        Ok(_) => "well".to_owned(),
        Err(failure) => failure.message.clone(),
    }
}
