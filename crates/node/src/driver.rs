//! What drives the core of a real node: its task, sockets, media thread and clock.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use exchange::{
    Command, Edges, Failure, FetchId, PlayId, Recognised, RecordingEnd, Refusal, Reply, Sound,
};
use media::{LegId, Shard, TapId};
use model::{AccountSid, CallSid, ConferenceSid, RecordingSid};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Transmit, Transport};
use store::{Committed, Store};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot};

use crate::assets::Assets;
use crate::audibility::{Audibility, EdgesAsked};
use crate::core::{BatchId, Brought, Core, Input, Output, PortPairs, Settings, Ticket, Written};
use crate::cores::Threads;
use crate::directory::Directory;
use crate::levels::Seen;
use crate::media_threads::{Inboxes, MediaThreads};
use crate::narrator::Narrator;
use crate::outbox::Owed;
use crate::ports::Ports;
use crate::recogniser::Recogniser;
use crate::recorder::{self, Recorder};
use crate::recovery::Closing;
use crate::speech::{self, Speaker};
use crate::streams::{self, Arrived, Streams};
use crate::tls::SipTls;
use crate::trunks::{Trunk, TrunkQuestion};
use crate::{Stats, now};

const EVENTS_MAX: usize = 4_096;
/// How often the core looks when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// Why nobody can be called by TLS where it is not spoken.
const NO_TLS: &str = "SIP over TLS is not spoken here: set sip_tls.address (--sip-tls)";
/// How long a host's name may take to be resolved.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// What reaches the core's task.
#[derive(Debug)]
pub enum Request {
    Command(Box<Command>, oneshot::Sender<Result<Reply, Refusal>>),
    Fetched(FetchId, Result<Brought, Failure>),
    Remarked(PlayId, Failure),
    Loaded(PlayId, Result<Arc<[i16]>, Failure>),
    Resolved(CallSid, Vec<IpAddr>),
    TrunkResolved(usize, TrunkQuestion, Vec<IpAddr>),
    Trunks(Vec<Trunk>),
    Limits(exchange::Limits),
    Recognised(CallSid, RecordingSid, Result<Recognised, Failure>),
    RecognisedPartly(CallSid, RecordingSid, Option<Recognised>),
    RecordingEnded(RecordingSid, RecordingEnd),
    Audibility(ConferenceSid, oneshot::Sender<Audibility>),
    Levels(AccountSid, oneshot::Sender<Seen>),
    Edges(EdgesAsked, oneshot::Sender<Result<(CallSid, Edges), Refusal>>),
    OpenTap(ConferenceSid, oneshot::Sender<Option<TapId>>),
    ReadTap(TapId, oneshot::Sender<Vec<i16>>),
    CloseTap(TapId),
    Directory(Box<Directory>, oneshot::Sender<()>),
    Stats(oneshot::Sender<Stats>),
    Drain(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// What a node is started with.
pub struct Parts {
    pub settings: Settings,
    pub rtp_ports: (u16, u16),
    pub media_threads: Threads,
    pub store: Store,
    pub assets: Assets,
    pub speaker: Arc<Speaker>,
    pub socket: UdpSocket,
    pub listener: TcpListener,
    /// Where SIP over TLS listens, and what it shows.
    pub secured: Option<(TcpListener, SipTls)>,
    pub requests: mpsc::Sender<Request>,
    pub callbacks: mpsc::UnboundedSender<Owed>,
    /// What the last process left to do.
    pub closing: Closing,
    /// Where recordings are kept.
    pub recordings: PathBuf,
    /// Who understands speech.
    pub recogniser: Recogniser,
    pub directory: Directory,
    pub trunks: Vec<Trunk>,
    pub trunk_days: Vec<model::TrunkDay>,
    pub limits: exchange::Limits,
    /// What keeps the data folder for this process.
    pub lock: std::fs::File,
}

/// The core's task and all that it owns.
struct Driver {
    core: Core,
    store: Store,
    assets: Assets,
    speaker: Arc<Speaker>,
    socket: UdpSocket,
    streams: Streams,
    secured: Option<Streams>,
    requests: mpsc::Sender<Request>,
    callbacks: mpsc::UnboundedSender<Owed>,
    media: MediaThreads,
    recorder: Recorder,
    recordings: PathBuf,
    recogniser: Recogniser,
    narrator: Narrator,
    replies: BTreeMap<Ticket, oneshot::Sender<Result<Reply, Refusal>>>,
    last_ticket: u64,
    /// Batches that the store has taken, in order: it commits them in this order.
    commits: VecDeque<(BatchId, Committed)>,
    /// Of these, those that it could not commit yet, in order as well.
    late: VecDeque<(BatchId, oneshot::Receiver<()>)>,
    stopped: Option<oneshot::Sender<()>>,
    _lock: std::fs::File,
}

/// Opens ports in the core's name and hands them to a media thread.
struct OpenPorts {
    ports: Ports,
    media: Inboxes,
}

impl PortPairs for OpenPorts {
    fn open(&mut self, leg: LegId) -> Option<u16> {
        let (rtp, rtcp) = self.ports.bind().ok()?;
        let port = rtp.socket.local_addr().ok()?.port();
        self.media.open(leg, rtp, rtcp).then_some(port)
    }
}

/// Starts the media threads and the core's task.
///
/// # Errors
/// When the system gives no thread.
pub fn start(parts: Parts, inbox: mpsc::Receiver<Request>) -> std::io::Result<()> {
    let mut random = ChaCha12Rng::from_os_rng();
    let (events, media_events) = mpsc::channel(EVENTS_MAX);
    let threads = parts.media_threads;
    let shards = (0..threads.count).map(|_| Shard::new(random.next_u64())).collect();
    let media = MediaThreads::start(shards, &threads.pinned_to, &events)?;
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let listens = parts.socket.local_addr()?.ip();
    let ports = OpenPorts { ports: Ports::new(listens, parts.rtp_ports), media: media.inboxes() };
    let (arriving, arrived) = streams::arrivals();
    let streams = Streams::start(parts.listener, None, arriving.clone());
    let secured =
        parts.secured.map(|(listener, tls)| Streams::start(listener, Some(tls), arriving));
    let mut core = Core::new(parts.settings, seed, Box::new(ports));
    core.handle(Input::Directory(Box::new(parts.directory)), now());
    core.know_trunk_days(parts.trunk_days);
    core.handle(Input::Trunks(parts.trunks), now());
    core.exchange.set_limits(parts.limits);
    core.know_queues(parts.closing.queues);
    for (call, dialog) in parts.closing.dialogs {
        core.end_dialog(call, dialog, now());
    }
    let ended = {
        let requests = parts.requests.clone();
        move |recording, end| {
            // Nobody is told once the core is gone.
            let _ = requests.blocking_send(Request::RecordingEnded(recording, end));
        }
    };
    let runtime = tokio::runtime::Handle::current();
    let recorder = Recorder::start(parts.recordings.clone(), runtime, ended)?;
    let driver = Driver {
        core,
        store: parts.store,
        assets: parts.assets,
        speaker: parts.speaker,
        socket: parts.socket,
        streams,
        secured,
        requests: parts.requests,
        callbacks: parts.callbacks,
        media,
        recorder,
        recordings: parts.recordings,
        recogniser: parts.recogniser,
        narrator: Narrator::default(),
        replies: BTreeMap::new(),
        last_ticket: 0,
        commits: VecDeque::new(),
        late: VecDeque::new(),
        stopped: None,
        _lock: parts.lock,
    };
    tokio::spawn(driver.run(inbox, media_events, arrived));
    Ok(())
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        mut media_events: mpsc::Receiver<media::Event>,
        mut arrived: mpsc::Receiver<Arrived>,
    ) {
        let mut datagram = vec![0; sip::MESSAGE_MAX];
        loop {
            self.carry_out();
            self.core.set_busy(self.media.busy());
            let wake = self.core.poll_timeout().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    if let Ok((length, from)) = received {
                        let octets = datagram[..length].to_vec();
                        self.core.handle(Input::Message(from.into(), octets), now());
                    }
                }
                Some(arrived) = arrived.recv() => self.core.handle(input(arrived), now()),
                Some(request) = inbox.recv() => self.request(request),
                Some(event) = media_events.recv() => {
                    self.media.observe(event);
                    self.core.handle(Input::Media(event), now());
                }
                (batch, written) = next(&mut self.commits, &mut self.late) => {
                    self.core.handle(Input::Committed(batch, written), now());
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            let now = now();
            if self.core.poll_timeout().is_some_and(|due| due <= now.instant) {
                self.core.handle_timeout(now);
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Command(command, reply) => {
                self.last_ticket += 1;
                let ticket = Ticket(self.last_ticket);
                self.replies.insert(ticket, reply);
                self.core.handle(Input::Command(command, ticket), now());
            }
            Request::Fetched(fetch, result) => {
                self.core.handle(Input::Fetched(fetch, result), now());
            }
            Request::Remarked(play, remark) => {
                self.core.handle(Input::Remarked(play, remark), now());
            }
            Request::Loaded(play, result) => self.core.handle(Input::Loaded(play, result), now()),
            Request::Resolved(call, addresses) => {
                self.core.handle(Input::Resolved(call, addresses), now());
            }
            Request::TrunkResolved(trunk, asked, addresses) => {
                self.core.handle(Input::TrunkResolved(trunk, asked, addresses), now());
            }
            Request::Limits(limits) => self.core.exchange.set_limits(limits),
            Request::Trunks(trunks) => self.core.handle(Input::Trunks(trunks), now()),
            Request::Recognised(call, hearing, result) => {
                self.core.handle(Input::Recognised(call, hearing, result), now());
            }
            Request::RecognisedPartly(call, hearing, understood) => {
                self.core.handle(Input::RecognisedPartly(call, hearing, understood), now());
            }
            Request::RecordingEnded(recording, end) => {
                self.core.handle(Input::RecordingEnded(recording, end), now());
            }
            Request::Audibility(conference, reply) => self.audibility(conference, reply),
            Request::Levels(account, reply) => self.levels(account, reply),
            Request::Edges(asked, reply) => drop(reply.send(asked.answer(&self.core))),
            Request::OpenTap(conference, reply) => {
                let _ = reply.send(self.core.open_tap(conference));
            }
            Request::ReadTap(tap, reply) => self.media.read_tap(tap, reply),
            Request::Directory(directory, done) => {
                self.core.handle(Input::Directory(directory), now());
                let _ = done.send(());
            }
            Request::CloseTap(tap) => self.core.close_tap(tap),
            Request::Stats(reply) => self.stats(reply),
            Request::Drain(done) => {
                self.core.handle(Input::Drain, now());
                let _ = done.send(());
            }
            Request::Stop(done) => {
                self.stopped = Some(done);
                self.core.handle(Input::Stop, now());
            }
        }
    }

    /// Carries out all that the core wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Reply(ticket, answer) => {
                    if let Some(reply) = self.replies.remove(&ticket) {
                        // Whoever asked may have gone.
                        let _ = reply.send(answer);
                    }
                }
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Media(command) => self.media.command(command),
                Output::Commit(batch, changes) => {
                    self.narrator.read(&changes);
                    match self.store.apply(changes) {
                        Ok(committed) => self.commits.push_back((batch, committed)),
                        // What the store does not even take is answered as what it could not write.
                        Err(_) => self.core.handle(Input::Committed(batch, Written::Never), now()),
                    }
                }
                Output::Callback(callback) => drop(self.callbacks.send(Owed::New(callback))),
                Output::Fetch { fetch, account, call, document, params } => {
                    let (assets, requests) = (self.assets.clone(), self.requests.clone());
                    tokio::spawn(async move {
                        let brought = assets.fetch(account, call, &document, params).await;
                        let _ = requests.send(Request::Fetched(fetch, brought)).await;
                    });
                }
                Output::Resolve { call, name } => {
                    let requests = self.requests.clone();
                    tokio::spawn(async move {
                        let addresses = resolve(&name).await;
                        let _ = requests.send(Request::Resolved(call, addresses)).await;
                    });
                }
                Output::ResolveTrunk { trunk, asked, name } => {
                    let requests = self.requests.clone();
                    tokio::spawn(async move {
                        let addresses = resolve(&name).await;
                        let _ =
                            requests.send(Request::TrunkResolved(trunk, asked, addresses)).await;
                    });
                }
                Output::Load { play, account, sound } => self.load(play, account, sound),
                Output::OpenRecording { recording, id, layout } => {
                    if let Some(ring) = self.recorder.open(recording, layout) {
                        self.media.keep_ring(id, ring);
                    } else {
                        let input = Input::RecordingEnded(recording, recorder::unopened());
                        self.core.handle(input, now());
                    }
                }
                Output::Recognise { call, hearing, wanted } => {
                    let file = recorder::heard(&self.recordings, hearing);
                    let (recogniser, requests) = (self.recogniser.clone(), self.requests.clone());
                    tokio::spawn(async move {
                        let result = recogniser.understand(file, &wanted).await;
                        let _ = requests.send(Request::Recognised(call, hearing, result)).await;
                    });
                }
                Output::RecognisePartly { call, hearing, wanted } => {
                    let file = recorder::heard(&self.recordings, hearing);
                    let (recogniser, requests) = (self.recogniser.clone(), self.requests.clone());
                    tokio::spawn(async move {
                        let understood = recogniser.understand_partly(file, &wanted).await;
                        let request = Request::RecognisedPartly(call, hearing, understood);
                        let _ = requests.send(request).await;
                    });
                }
                Output::EraseRecording(recording) => self.recorder.erase(recording),
                Output::Stopped => {
                    if let Some(stopped) = self.stopped.take() {
                        let _ = stopped.send(());
                    }
                }
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit.transport {
            // A full buffer is loss; SIP repeats what matters.
            Transport::Udp => drop(self.socket.try_send_to(&transmit.octets, transmit.to)),
            Transport::Tcp => self.streams.send(transmit.to, None, transmit.octets),
            Transport::Tls => match &self.secured {
                Some(secured) => {
                    secured.send(transmit.to, transmit.host.as_deref(), transmit.octets);
                }
                None => {
                    let input = Input::Unsent(transmit.octets, NO_TLS.to_owned());
                    self.core.handle(input, now());
                }
            },
        }
    }

    fn load(&self, play: PlayId, account: AccountSid, sound: Sound) {
        let requests = self.requests.clone();
        match sound {
            Sound::Url(url) => {
                let assets = self.assets.clone();
                tokio::spawn(async move {
                    let loaded = assets.audio(account, &url).await;
                    let _ = requests.send(Request::Loaded(play, loaded)).await;
                });
            }
            Sound::Speech(speech) => {
                tokio::spawn(speech::speak(Arc::clone(&self.speaker), requests, play, speech));
            }
            Sound::Audio(_)
            | Sound::EnterBeep
            | Sound::ExitBeep
            | Sound::Digits(_)
            | Sound::RingTone(_) => {}
        }
    }

    fn audibility(&self, conference: ConferenceSid, reply: oneshot::Sender<Audibility>) {
        let Some(room) = self.core.room_of(conference) else {
            return drop(reply.send(Audibility::default()));
        };
        let answer = self.media.audibility(room);
        let hearing = self.core.hearing(conference);
        let names: BTreeMap<LegId, CallSid> = self.core.legs().clone();
        tokio::spawn(async move {
            let mixed = answer.await.unwrap_or_default();
            let _ = reply.send(Audibility::of(hearing, &mixed, |leg| names.get(leg).copied()));
        });
    }

    fn levels(&self, account: AccountSid, reply: oneshot::Sender<Seen>) {
        let asked = self.core.live_rooms(account);
        let answer = self.media.voices(asked.rooms());
        tokio::spawn(async move {
            let mut voices = answer.await;
            let _ = reply.send(asked.seen(|room| voices.remove(&room).unwrap_or_default()));
        });
    }

    fn stats(&self, reply: oneshot::Sender<Stats>) {
        let media = self.media.stats();
        let mut stats = Stats {
            calls: self.core.calls(),
            conferences: self.core.conferences(),
            recordings: self.core.recordings(),
            refused: self.core.calls_refused(),
            sip: self.core.sip_stats(),
            trunks: self.core.trunk_stats(now()),
            commits_waiting: self.commits.len(),
            ..Stats::default()
        };
        for lateness in self.media.lateness() {
            let (ticks, late, worst_us) = &mut stats.ticks;
            *ticks += lateness.ticks.load(Ordering::Relaxed);
            *late += lateness.late.load(Ordering::Relaxed);
            *worst_us = lateness.worst_us.load(Ordering::Relaxed).max(*worst_us);
            for (sum, class) in stats.lateness.iter_mut().zip(&lateness.classes) {
                *sum += class.load(Ordering::Relaxed);
            }
            stats.lateness_sum_us += lateness.sum_us.load(Ordering::Relaxed);
            stats.busy.push(lateness.busy().into());
        }
        tokio::spawn(async move {
            stats.media = media.await;
            let _ = reply.send(stats);
        });
    }
}

async fn resolve(name: &str) -> Vec<IpAddr> {
    let found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((name, 0))).await;
    found.ok().and_then(Result::ok).into_iter().flatten().map(|address| address.ip()).collect()
}

fn input(arrived: Arrived) -> Input {
    match arrived {
        Arrived::Message(from, octets) => Input::Message(from, octets),
        Arrived::TooLarge(from, head) => Input::TooLarge(from, head),
        Arrived::Unsent(octets, why) => Input::Unsent(octets, why),
    }
}

/// Waits for the oldest commit, or for the oldest that is late; for ever where there is none.
async fn next(
    commits: &mut VecDeque<(BatchId, Committed)>,
    late: &mut VecDeque<(BatchId, oneshot::Receiver<()>)>,
) -> (BatchId, Written) {
    let of_late = async {
        match late.front_mut() {
            Some((_, later)) => later.await.is_ok(),
            None => pending().await,
        }
    };
    let of_commits = async {
        match commits.front_mut() {
            Some((_, committed)) => matches!(committed.await, Ok(Ok(()))),
            None => pending().await,
        }
    };
    let (is_late, written) = tokio::select! {
        biased;
        written = of_late => (true, written),
        written = of_commits => (false, written),
    };
    if is_late {
        let Some((batch, _)) = late.pop_front() else { return pending().await };
        return (batch, if written { Written::Yes } else { Written::Never });
    }
    let Some((batch, committed)) = commits.pop_front() else { return pending().await };
    if written {
        return (batch, Written::Yes);
    }
    let mut later = committed.later();
    match later.try_recv() {
        Err(oneshot::error::TryRecvError::Closed) => (batch, Written::Never),
        Ok(()) => (batch, Written::Yes),
        Err(oneshot::error::TryRecvError::Empty) => {
            late.push_back((batch, later));
            (batch, Written::Later)
        }
    }
}
