//! A node whose time is another's: store, signatures, fetching and voice are the real ones, and whoever
//! plays it drives core, shard and clock.
//!
//! Where `driver.rs` waits for sockets and the clock, a player asks [`Played`] what came by the handle, carries
//! the core's outputs out with it, and says what time it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::{Command, Document, Failure, Refusal, Reply, Sound};
use media::{LegId, Shard};
use model::{
    Account, AccountSid, AccountStatus, CallSid, Callback, Change, ConferenceSid, Now,
    RecordingSid, Timestamp,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::{Store, StoreFailed};
use tokio::sync::{mpsc, oneshot};
use webhook::{Client, Overrides};

use crate::accounts::Accounts;
use crate::assets::Assets;
use crate::audibility::{Audibility, Mixed};
use crate::core::{Brought, Core, Input, PortPairs, Settings, Ticket, Written};
use crate::debugger::{About, Debugger};
use crate::delivery::{Note, ROWS_MAX};
use crate::driver::Request;
use crate::outbox::{self, Owed};
use crate::own::Own;
use crate::recorder::{Layout, Tape};
use crate::speech::Speaker;
use crate::stock::NumberRange;
use crate::{API_CONCURRENCY, COMMANDS_MAX, Guard, Handle, Retention, StartError, Stats};

/// How a node is set up that is to be played.
#[derive(Debug, Clone)]
pub struct PlayedConfig {
    /// Where the database and the recordings are.
    pub data: PathBuf,
    /// Where phones reach it, though nothing listens there.
    pub sip: SocketAddr,
    /// Asked what to do with a call to no number of an account.
    pub voice_url: Option<String>,
    /// Where the API is reached, without a slash at its end.
    pub api_url: String,
    /// The numbers that accounts can have.
    pub stock: Vec<NumberRange>,
    /// Draws every SID and token.
    pub seed: u64,
    /// The date at which it begins.
    pub date: Timestamp,
    /// How many lists of conferences leave a new one out.
    pub lists_late: u32,
}

/// What a played node's handles share beyond those of a real one.
#[derive(Debug)]
pub(crate) struct Stage {
    date_ms: AtomicI64,
    lists_late: u32,
    /// Lists that left a conference out so far.
    left_out: Mutex<BTreeMap<ConferenceSid, u32>>,
}

impl Stage {
    pub(crate) fn date(&self) -> Timestamp {
        Timestamp(self.date_ms.load(Ordering::Relaxed))
    }

    /// Whether a list is to leave a conference out, once more.
    pub(crate) fn hides(&self, conference: ConferenceSid) -> bool {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = left_out.entry(conference).or_default();
        let hidden = *lists < self.lists_late;
        *lists += u32::from(hidden);
        hidden
    }
}

/// What came by the handle.
#[derive(Debug)]
pub enum Asked {
    /// A command for the core; its reply is handed to [`Played::answer`].
    Command(Box<Command>, Ticket),
    /// A callback that is to be sent once more.
    Again(Callback),
    /// Anything else, which [`Played::serve`] answers.
    Other(Question),
}

/// A question that a player need not understand.
#[derive(Debug)]
pub struct Question(Request);

/// A sound that was brought.
#[derive(Debug)]
pub struct Loaded {
    /// 8 kHz mono, or why there is none.
    pub result: Result<Arc<[i16]>, Failure>,
    /// How it differs from what was asked for.
    pub remark: Option<Failure>,
}

/// A node that is played: see the module.
#[derive(Debug)]
pub struct Played {
    handle: Handle,
    stage: Arc<Stage>,
    inbox: mpsc::Receiver<Request>,
    owed: mpsc::UnboundedReceiver<Owed>,
    replies: BTreeMap<Ticket, oneshot::Sender<Result<Reply, Refusal>>>,
    last: u64,
    settings: Settings,
    client: Client,
    assets: Assets,
    speaker: Arc<Speaker>,
    debugger: Debugger,
    random: ChaCha12Rng,
}

impl Played {
    /// Opens the store and makes the account.
    ///
    /// # Errors
    /// [`StartError`] names what is in the way.
    pub async fn start(config: PlayedConfig) -> Result<Self, StartError> {
        let mut random = ChaCha12Rng::seed_from_u64(config.seed);
        let store = Store::open_passing(&config.data)?;
        let told = |error: StoreFailed| StartError::Other(error.to_string());
        let account = new_account(&mut random, config.date);
        let written = store.apply(vec![Change::Account(account.clone())]).map_err(told)?.await;
        written
            .map_err(|_| StartError::Other("the store's writer ended".to_owned()))?
            .map_err(told)?;
        let accounts = Accounts::new(store.all_accounts().map_err(told)?);
        let guard = Guard { loopback: true, private: false };
        let client =
            Client::new(guard).map_err(|failure| StartError::Other(failure.to_string()))?;
        let recordings = config.data.join("recordings");
        let own = Own {
            store: store.clone(),
            folder: recordings.clone(),
            api_url: config.api_url.clone(),
            bins: None,
        };
        let settings = Settings {
            account: account.clone(),
            sip: config.sip,
            sip_auth: false,
            sip_md5_alone: false,
            voice_url: config.voice_url,
            names_are_rooms: true,
            guard,
            api_url: config.api_url.clone(),
            dual_conference_recordings: false,
            recognises: false,
            virtual_phones: None,
            terms: sip::Terms::telephone(),
            sip_tls: None,
        };
        let speaker = Arc::new(Speaker::new(&config.data));
        let stage = Arc::new(Stage {
            date_ms: AtomicI64::new(config.date.0),
            lists_late: config.lists_late,
            left_out: Mutex::default(),
        });
        let (requests, inbox) = mpsc::channel(COMMANDS_MAX);
        let (callbacks, owed) = mpsc::unbounded_channel();
        let handle = Handle {
            requests,
            callbacks,
            store: store.clone(),
            main: account.sid,
            accounts: accounts.clone(),
            changing: Arc::default(),
            stock: config.stock.into(),
            messages: true,
            sip: config.sip,
            sip_tls: None,
            api_url: config.api_url.into(),
            recordings,
            open_recordings: false,
            api_concurrency: Arc::new(API_CONCURRENCY.into()),
            draining: Arc::default(),
            retention: tokio::sync::watch::channel(Retention::default()).0,
            stage: Some(Arc::clone(&stage)),
            levels: Arc::default(),
            phones: None,
            speaker: Arc::clone(&speaker),
        };
        Ok(Self {
            handle,
            stage,
            inbox,
            owed,
            replies: BTreeMap::new(),
            last: 0,
            settings,
            assets: Assets::new(client.clone(), accounts, own),
            client,
            speaker,
            debugger: Debugger::new(store),
            random,
        })
    }

    /// Returns the way in, as the API takes it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Makes the core, which knows no call.
    pub fn core(&mut self, ports: Box<dyn PortPairs>) -> Core {
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        Core::new(self.settings.clone(), seed, ports)
    }

    /// Says what date it is.
    pub fn pass_to(&self, date: Timestamp) {
        self.stage.date_ms.store(date.0, Ordering::Relaxed);
    }

    /// Waits for what comes by the handle.
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            biased;
            Some(request) = self.inbox.recv() => self.sort(request),
            Some(owed) = self.owed.recv() => sorted(owed),
            // Both ends are ours.
            else => std::future::pending().await,
        }
    }

    /// Returns what has come by the handle.
    pub fn poll_asked(&mut self) -> Option<Asked> {
        if let Ok(request) = self.inbox.try_recv() {
            return Some(self.sort(request));
        }
        self.owed.try_recv().ok().map(sorted)
    }

    fn sort(&mut self, request: Request) -> Asked {
        match request {
            Request::Command(command, reply) => {
                self.last += 1;
                let ticket = Ticket(self.last);
                self.replies.insert(ticket, reply);
                Asked::Command(command, ticket)
            }
            other => Asked::Other(Question(other)),
        }
    }

    /// Hands a command's answer to whoever gave it.
    pub fn answer(&mut self, ticket: Ticket, answer: Result<Reply, Refusal>) {
        if let Some(reply) = self.replies.remove(&ticket) {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
    }

    /// Answers a question.
    pub fn serve(&self, question: Question, core: &mut Core, shard: &Shard, now: Now) {
        // Whoever asked may have gone.
        match question.0 {
            Request::Directory(directory, done) => {
                core.handle(Input::Directory(directory), now);
                let _ = done.send(());
            }
            Request::Audibility(conference, reply) => {
                let room = core.room_of(conference);
                let mixed = room.map_or_else(Mixed::default, |room| Mixed::of(shard, room));
                let call_of = |leg: &LegId| core.legs().get(leg).copied();
                let audibility = Audibility::of(core.hearing(conference), &mixed, call_of);
                let _ = reply.send(audibility);
            }
            Request::Levels(account, reply) => {
                let _ = reply.send(core.live_rooms(account).seen(|room| shard.voices(room)));
            }
            Request::Edges(asked, reply) => drop(reply.send(asked.answer(core))),
            Request::Stats(reply) => {
                let stats = Stats {
                    media: shard.stats(),
                    calls: core.calls(),
                    conferences: core.conferences(),
                    recordings: core.recordings(),
                    sip: core.sip_stats(),
                    ..Stats::default()
                };
                let _ = reply.send(stats);
            }
            // A listener waits for time to pass, which it may not do meanwhile.
            Request::OpenTap(_, reply) => drop(reply.send(None)),
            Request::ReadTap(_, reply) => drop(reply.send(Vec::new())),
            Request::Stop(done) | Request::Drain(done) => drop(done.send(())),
            Request::CloseTap(_)
            | Request::Command(..)
            | Request::Fetched(..)
            | Request::Remarked(..)
            | Request::Loaded(..)
            | Request::Resolved(..)
            | Request::TrunkResolved(..)
            | Request::Trunks(_)
            | Request::Limits(_)
            | Request::RecordingEnded(..)
            | Request::Recognised(..)
            | Request::RecognisedPartly(..) => {}
        }
    }

    /// Writes rows and returns what became of them.
    pub async fn write(&self, changes: Vec<Change>) -> Written {
        let Ok(committed) = self.handle.store.apply(changes) else { return Written::Never };
        if matches!(committed.await, Ok(Ok(()))) { Written::Yes } else { Written::Never }
    }

    /// Asks for a document, as `Output::Fetch` wants.
    pub fn fetch(
        &self,
        (account, call): (AccountSid, Option<CallSid>),
        document: Document,
        params: Vec<(String, String)>,
    ) -> impl Future<Output = Result<Brought, Failure>> + Send + use<> {
        let assets = self.assets.clone();
        async move { assets.fetch(account, call, &document, params).await }
    }

    /// Brings a sound, as `Output::Load` wants.
    pub fn load(
        &self,
        account: AccountSid,
        sound: Sound,
    ) -> impl Future<Output = Loaded> + Send + use<> {
        let (assets, speaker) = (self.assets.clone(), Arc::clone(&self.speaker));
        async move {
            match sound {
                Sound::Url(url) => {
                    Loaded { result: assets.audio(account, &url).await, remark: None }
                }
                Sound::Speech(speech) => speaker.load(&speech).await,
                // Never asked for: the core has these itself.
                Sound::Audio(_)
                | Sound::EnterBeep
                | Sound::ExitBeep
                | Sound::Digits(_)
                | Sound::RingTone(_) => Loaded { result: Ok(Arc::default()), remark: None },
            }
        }
    }

    /// Makes one attempt to deliver a callback.
    pub fn attempt(
        &self,
        callback: Callback,
    ) -> impl Future<Output = Result<u16, webhook::Failure>> + Send + use<> {
        let client = self.client.clone();
        let token = self.handle.accounts.token(callback.account);
        async move { send(&client, callback, token).await }
    }

    /// Asks the API for a path below the account, in the account's name; returns the status of the answer.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        params: Vec<(String, String)>,
    ) -> impl Future<Output = Result<u16, String>> + Send + use<> {
        let account = self.handle.account();
        let (sid, token) = (account.sid.to_string(), account.auth_token);
        let host = self.handle.api_url().trim_start_matches("http://").to_owned();
        let url = format!("http://{sid}:{token}@{host}/2010-04-01/Accounts/{sid}{path}");
        self.visit(method, url, params)
    }

    /// Asks any address in nobody's name; returns the status of the answer.
    pub fn visit(
        &self,
        method: &str,
        url: String,
        params: Vec<(String, String)>,
    ) -> impl Future<Output = Result<u16, String>> + Send + use<> {
        let request = webhook::Request {
            url,
            method: method.to_owned(),
            params: params.into(),
            auth_token: String::new(),
            idempotency_token: None,
            jar: None,
            judge: None,
        };
        let client = self.client.clone();
        async move {
            let overrides = Overrides::default();
            let until = tokio::time::Instant::now() + overrides.total;
            let answer = client.send(&request, &overrides, until).await;
            answer.map(|answer| answer.status).map_err(|failure| failure.message)
        }
    }

    /// Returns the rows that a lane of the outbox owes.
    pub fn owed(&self, lane: &str) -> Option<Vec<Callback>> {
        self.handle.store.callbacks_owed_of(lane, ROWS_MAX).ok()
    }

    /// Appends what the outbox has to say to the debugger log.
    pub fn note(&self, note: Note) {
        let callback = note.callback;
        let about = About {
            account: callback.account,
            call: callback.call,
            conference: callback.conference,
            url: callback.url,
        };
        self.debugger.note(about, note.level, note.code, note.message, self.stage.date());
    }

    /// Opens the file of a recording.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn record(&self, recording: RecordingSid, layout: Layout) -> std::io::Result<Tape> {
        Tape::open(&self.handle.recordings, recording, layout)
    }

    /// Deletes the file of a recording.
    pub fn erase(&self, recording: RecordingSid) {
        // What is not there need not be deleted.
        let _ = std::fs::remove_file(self.handle.recording_file(recording));
    }
}

async fn send(
    client: &Client,
    callback: Callback,
    auth_token: String,
) -> Result<u16, webhook::Failure> {
    let overrides = Overrides::of(&callback.url);
    let until = tokio::time::Instant::now() + overrides.total.max(Duration::from_millis(1));
    let request = outbox::request(callback, auth_token);
    client.send(&request, &overrides, until).await.map(|response| response.status)
}

fn sorted(owed: Owed) -> Asked {
    match owed {
        Owed::New(callback) | Owed::Again(callback) => Asked::Again(callback),
    }
}

fn new_account(random: &mut ChaCha12Rng, date: Timestamp) -> Account {
    let mut octets = [0; 32];
    random.fill_bytes(&mut octets);
    let mut sid = [0; 16];
    sid.copy_from_slice(&octets[..16]);
    let sid = AccountSid::new(sid);
    Account {
        sid,
        friendly_name: "Rehearsal".to_owned(),
        owner: sid,
        status: AccountStatus::Active,
        auth_token: octets[16..].iter().map(|octet| format!("{octet:02x}")).collect(),
        date_created: date,
        date_updated: date,
    }
}
