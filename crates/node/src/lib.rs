//! The running server: where the exchange, SIP, media, the store and HTTP meet.
//!
//! It owns the sockets, the threads and the clock, and carries out what the exchange decides. It
//! decides nothing about calls or conferences itself.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounts;
pub mod arrival;
mod assets;
mod audibility;
mod bins;
mod census;
mod config;
mod core;
mod cores;
mod debugger;
mod decoded;
mod delivery;
#[cfg(test)]
mod dial_tests;
mod directory;
mod dispatch;
mod draining;
mod driver;
mod hearing;
#[cfg(test)]
mod late_tests;
mod levels;
mod machine;
#[cfg(all(test, feature = "voice-espeak"))]
mod machine_tests;
mod media_thread;
mod media_threads;
mod mishaps;
mod narrator;
mod offered;
mod outbox;
mod own;
mod parameters;
mod parting;
#[cfg(test)]
mod parting_tests;
mod phones;
mod played;
mod ports;
pub mod priority;
mod recogniser;
mod recorder;
mod recording;
mod recovery;
mod retention;
mod signals;
mod speech;
mod stock;
mod streams;
mod target;
#[cfg(test)]
mod testing;
mod tls;
mod trunk_calls;
mod trunks;
mod wired;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::ShardStats;
use model::{
    Account, CallSid, Callback, CallbackSid, CallbackState, Change, ConferenceSid, Now,
    RecordingSid, Timestamp,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot, watch};

pub use crate::accounts::{ACCOUNTS_MAX, Accounts};
use crate::audibility::EdgesAsked;
pub use crate::audibility::{Audibility, Level, Pair};
pub use crate::census::Census;
pub use crate::config::{API_CONCURRENCY, Config, Limits, StartError, raise_open_files};
pub use crate::core::{
    BatchId, Brought, Core, Input, Output, PortPairs, Settings, Ticket, Written,
};
pub use crate::cores::{THREADS_MAX, Threads, bind_to};
pub use crate::directory::{Directory, e164};
pub use crate::draining::{Busy, CallsRefused};
pub use crate::levels::{DominantChange, LEVELS_ROOMS_MAX, LOOK_EVERY, Look, RoomLevels, Told};
pub use crate::phones::{
    Behavior, Order, PHONES_MAX, PhoneState, Phones, Plan, Says, Seen, VirtualPhones,
};
pub use crate::played::{Asked, Loaded, Played, PlayedConfig, Question};
pub use crate::recorder::{Layout, Tape};
pub use crate::recovery::{Closing, close};
pub use crate::retention::Retention;
pub use crate::stock::{Locality, NumberRange, NumberType, fictional_numbers};
pub use crate::tls::{SipTls, Tls};
pub use crate::trunks::{Trunk, TrunkQuestion, TrunkStats};
pub use crate::wired::{CODECS, mixed, protection, srtp_policy, terms};
pub use delivery::{Note, Outbox, ROWS_MAX};
pub use exchange::{
    Beep, Cleaning, CleaningChanges, ConferenceCallback, DEFAULT_MUSIC_URL, EdgeChanges, Edges,
    Gain, MachineDetection, PARTICIPANTS_MAX,
};
pub use exchange::{
    CallChanges, Command, ConferenceKey, CreateCall, CreateParticipant, Dialling, Document, End,
    Instructions, JoinOptions, ParticipantChanges, ParticipantKey, Refusal, Reply, StatusCallback,
};
pub use exchange::{Failure, FetchId, Fetched, PlayId, Sound, Speech};
pub use exchange::{Limits as AccountLimits, TrunkRules};
pub use exchange::{
    PauseBehavior, Recorded, RecordingCallback, RecordingChange, RecordingEnd, RecordingKey,
    RecordingOptions,
};
pub use exchange::{QUEUE_NAME_MAX, QUEUE_SIZE, QUEUE_SIZE_MAX};
pub use media::{
    JITTER_BOUNDS_MS, LOSS_BOUNDS, MOS_BOUNDS, OPUS, SPEECH_STARTS_AFTER, SPEECH_STOPS_AFTER,
};
pub use media_thread::lateness::{LATENESS_BOUNDS_US, LATENESS_CLASSES};
pub use model::{AccountSid, Delivery};
pub use sip::{Credentials, Network, Proof, SrtpPolicy, Terms, Users};
pub use sound::{MP3_SAMPLES_MAX, Mp3, Mp3Error, wav_header};
pub use store::Fed;
pub use store::Peer as UsagePeer;
pub use store::{
    AccountFilter, COMMIT_BOUNDS_S, CallFilter, CallUsage, ConferenceFilter, DateFilter,
    LineMember, NotificationFilter, Page, ParticipantFilter, Place, QueueCensus, RecordingFilter,
    ResourceFilter, Shelf, StoreFailed, StoreStats,
};
pub use store::{Backlog, copy_database};
pub use twiml::Segment;
pub use webhook::Guard;

/// Commands that wait for the core; beyond, the API answers 429.
const COMMANDS_MAX: usize = 1_024;
/// How long the calls get to end when the server stops.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// How often a server that drains looks whether the last call is over.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// How long the last callbacks get for their first attempt when the server stops.
pub const FLUSH_LIMIT: Duration = Duration::from_millis(1_500);

/// What the metrics show.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Of all media threads.
    pub media: ShardStats,
    /// Ticks so far, those that were late by more than a period, and the latest in microseconds.
    pub ticks: (u64, u64, u64),
    /// Ticks by how late they were; the classes' bounds are [`LATENESS_BOUNDS_US`].
    pub lateness: [u64; LATENESS_CLASSES],
    /// By how much all ticks together were late, in microseconds.
    pub lateness_sum_us: u64,
    /// How much of each tick every media thread needed of late: 1.0 is all of it.
    pub busy: Vec<f64>,
    /// Calls that are not over.
    pub calls: usize,
    /// Conferences that are not completed.
    pub conferences: usize,
    /// Recordings that are not over.
    pub recordings: usize,
    /// Calls that were refused so far.
    pub refused: CallsRefused,
    /// Of the SIP agent.
    pub sip: sip::Stats,
    /// Of each trunk, in order.
    pub trunks: Vec<TrunkStats>,
    /// Batches of rows whose commit is waited for.
    pub commits_waiting: usize,
}

/// The way to a running server. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<driver::Request>,
    callbacks: mpsc::UnboundedSender<outbox::Owed>,
    store: Store,
    main: AccountSid,
    accounts: Accounts,
    changing: Arc<Mutex<()>>,
    stock: Arc<[NumberRange]>,
    messages: bool,
    phones: Option<Phones>,
    speaker: Arc<speech::Speaker>,
    sip: SocketAddr,
    sip_tls: Option<SocketAddr>,
    api_url: Arc<str>,
    recordings: PathBuf,
    open_recordings: bool,
    api_concurrency: Arc<AtomicUsize>,
    draining: Arc<AtomicBool>,
    retention: watch::Sender<Retention>,
    levels: Arc<levels::Levels>,
    /// Where the node is played.
    stage: Option<Arc<played::Stage>>,
}

impl Handle {
    /// Carries out a command; the answer comes after its rows are committed.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    pub async fn submit(&self, command: Command) -> Result<Reply, Refusal> {
        if self.store.is_failing() {
            return Err(Refusal::StoreUnavailable);
        }
        let (reply, answer) = oneshot::channel();
        let input = driver::Request::Command(Box::new(command), reply);
        self.requests.try_send(input).map_err(|_| Refusal::Overloaded)?;
        answer.await.unwrap_or(Err(Refusal::ShuttingDown))
    }

    /// Returns the tables.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the account that the server was made with.
    pub fn account(&self) -> Account {
        self.accounts.get(self.main).expect("no account is ever removed")
    }

    /// Returns every account.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Returns the numbers that accounts can have.
    pub fn stock(&self) -> &[NumberRange] {
        &self.stock
    }

    /// Whether messages are kept, though none reaches a phone.
    pub fn keeps_messages(&self) -> bool {
        self.messages
    }

    /// Lets calls find what was written: the next one in is for whom the tables say.
    ///
    /// # Errors
    /// [`Refusal::StoreUnavailable`] where they cannot be read.
    pub async fn refresh(&self) -> Result<(), Refusal> {
        let (store, accounts) = (self.store.clone(), self.accounts.clone());
        let read = tokio::task::spawn_blocking(move || Directory::read(&store, &accounts)).await;
        let Ok(Ok(directory)) = read else { return Err(Refusal::StoreUnavailable) };
        let directory = Box::new(directory);
        self.ask(|reply| driver::Request::Directory(directory, reply)).await;
        Ok(())
    }

    /// Waits until nobody else changes what the API alone changes: whoever reads a row to write it
    /// again holds this meanwhile.
    pub async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Writes a row that the API alone changes, and returns when it is committed.
    ///
    /// # Errors
    /// [`Refusal::StoreUnavailable`] or [`Refusal::ShuttingDown`]; nothing has changed then.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        if self.store.is_failing() {
            return Err(Refusal::StoreUnavailable);
        }
        let accounts: Vec<Account> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Account(account) => Some(account.clone()),
                _ => None,
            })
            .collect();
        let mut committed = self.store.apply(changes).map_err(|_| Refusal::StoreUnavailable)?;
        let put = {
            let table = self.accounts.clone();
            move || accounts.into_iter().for_each(|account| table.put(account))
        };
        match (&mut committed).await {
            Ok(Ok(())) => {
                put();
                Ok(())
            }
            Ok(Err(_)) => {
                // What is written after all holds after all.
                tokio::spawn(async move { committed.later().await.map(|()| put()) });
                Err(Refusal::StoreUnavailable)
            }
            Err(_) => Err(Refusal::ShuttingDown),
        }
    }

    /// Returns the date, for records that are made above.
    pub fn date(&self) -> Timestamp {
        self.stage.as_ref().map_or_else(wall, |stage| stage.date())
    }

    /// Whether a list that is made now leaves a conference out, as a rehearsal may want it.
    pub fn hides(&self, conference: ConferenceSid) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.hides(conference))
    }

    /// Returns where SIP listens.
    pub fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Returns where SIP listens for TLS, where it does.
    pub fn sip_tls(&self) -> Option<SocketAddr> {
        self.sip_tls
    }

    /// Returns where the API is reached, without a slash at its end.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Returns where a recording's file is.
    pub fn recording_file(&self, recording: RecordingSid) -> PathBuf {
        recorder::path(&self.recordings, recording)
    }

    /// Whether recordings are handed to everyone who has their address.
    pub fn has_open_recordings(&self) -> bool {
        self.open_recordings
    }

    /// Says who hears whom.
    pub async fn audibility(&self, conference: ConferenceSid) -> Audibility {
        self.ask(|reply| driver::Request::Audibility(conference, reply)).await.unwrap_or_default()
    }

    /// Returns who a participant is, and how it is heard and hears beside what its flags say.
    ///
    /// # Errors
    /// Where there is no such participant of this account, or the server is on its way down.
    pub async fn edges(
        &self,
        account: AccountSid,
        conference: ConferenceSid,
        participant: ParticipantKey,
    ) -> Result<(CallSid, Edges), Refusal> {
        let asked = EdgesAsked { account, conference, participant };
        let answer = self.ask(|reply| driver::Request::Edges(asked, reply)).await;
        answer.unwrap_or(Err(Refusal::ShuttingDown))
    }

    /// Returns what one who is not there would hear of a conference, from now on for so long.
    pub async fn listen(&self, conference: ConferenceSid, length: Duration) -> Option<Vec<i16>> {
        let tap = self.ask(|reply| driver::Request::OpenTap(conference, reply)).await??;
        let mut heard = Vec::new();
        let wanted = usize::try_from(length.as_millis() * 8).unwrap_or(usize::MAX);
        let until = Instant::now() + length + Duration::from_secs(2);
        while heard.len() < wanted && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
            heard.extend(self.ask(|reply| driver::Request::ReadTap(tap, reply)).await?);
        }
        let _ = self.requests.send(driver::Request::CloseTap(tap)).await;
        heard.truncate(wanted);
        Some(heard)
    }

    /// Returns the figures for the metrics.
    pub async fn stats(&self) -> Stats {
        self.ask(driver::Request::Stats).await.unwrap_or_default()
    }

    /// Whether calls are only brought to their end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Lets nobody call or be called any more, and returns when the last call is over, or after `limit`.
    pub async fn drain(&self, limit: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        self.ask(driver::Request::Drain).await;
        let until = Instant::now() + limit;
        while Instant::now() < until && self.stats().await.calls > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Returns how many requests of one account may be handled at the same time.
    pub fn api_concurrency(&self) -> usize {
        self.api_concurrency.load(Ordering::Relaxed)
    }

    /// Returns where recordings are.
    pub(crate) fn recordings_folder(&self) -> &Path {
        &self.recordings
    }

    /// Keeps records and recordings otherwise from now on.
    pub fn set_retention(&self, retention: Retention) {
        self.retention.send_replace(retention);
    }

    /// Takes other trunks from now on; calls that are up go on.
    pub async fn set_trunks(&self, trunks: Vec<Trunk>) {
        // A server that is going down needs none.
        let _ = self.requests.send(driver::Request::Trunks(trunks)).await;
    }

    /// Takes other limits from now on.
    pub async fn set_limits(&self, limits: &Limits) {
        self.api_concurrency.store(limits.api_concurrency, Ordering::Relaxed);
        let _ = self.requests.send(driver::Request::Limits(limits.account)).await;
    }

    /// Hangs up every call and returns when their rows are committed, or after [`DRAIN_LIMIT`];
    /// then the callbacks that tell of it get [`FLUSH_LIMIT`] for their first attempt.
    pub async fn stop(&self) {
        let stopped = self.ask(driver::Request::Stop);
        if tokio::time::timeout(DRAIN_LIMIT, stopped).await.is_err() {
            tracing::warn!("calls were still open when the server stopped");
        }
        let until = Instant::now() + FLUSH_LIMIT;
        while self.store.has_untried_callbacks().unwrap_or(false) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns a callback of an account's outbox to be sent once more, as it was first.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn replay(
        &self,
        account: AccountSid,
        sid: CallbackSid,
    ) -> Result<Option<Callback>, StoreFailed> {
        let Some(mut callback) = self.store.callback(account, sid)? else {
            return Ok(None);
        };
        if callback.state != CallbackState::Pending {
            callback.state = CallbackState::Pending;
            callback.attempts = 0;
            let change = Change::Callback(Box::new(callback.clone()));
            if let Ok(written) = self.store.apply(vec![change])?.await {
                written?;
            }
            let _ = self.callbacks.send(outbox::Owed::Again(callback.clone()));
        }
        Ok(Some(callback))
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> driver::Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(input(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The server.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Opens the store, binds the ports and starts all threads and tasks.
    ///
    /// # Errors
    /// [`StartError`] names what is in the way and the flag that helps.
    pub async fn start(config: Config) -> Result<Handle, StartError> {
        raise_open_files();
        let io = |what: String, fix| move |error| StartError::Io { what, error, fix };
        let (socket, listener) = config::bind(config.sip)
            .await
            .map_err(io(format!("SIP at {}", config.sip), "--sip"))?;
        let secured = match &config.sip_tls {
            Some(tls) => Some(
                TcpListener::bind(tls.address)
                    .await
                    .map_err(io(format!("SIP over TLS at {}", tls.address), "--sip-tls"))?,
            ),
            None => None,
        };
        // Its writer is behind the media threads as well.
        let store = priority::behind(|| Store::open(&config.data))
            .map_err(io("the store's thread".to_owned(), "--data"))??;
        let lock = config::lock(&config.data)?;
        let account = config::first_account(&store, config.account.as_ref()).await?;
        let main = account.sid;
        let told = |error: StoreFailed| StartError::Other(error.to_string());
        let accounts = Accounts::new(store.all_accounts().map_err(told)?);
        let seed = ChaCha12Rng::from_os_rng().next_u64();
        let recordings = config.data.join("recordings");
        let closing =
            recovery::close_what_was_alive(&store, seed, &config.api_url, &recordings).await?;
        let bound = socket.local_addr().map_err(io("SIP".to_owned(), "--sip"))?;
        let sip = SocketAddr::new(config.advertise.unwrap_or(bound.ip()), bound.port());
        let bound_tls = secured.as_ref().map(TcpListener::local_addr).transpose();
        let bound_tls = bound_tls.map_err(io("SIP over TLS".to_owned(), "--sip-tls"))?;
        let sip_tls =
            bound_tls.map(|at| SocketAddr::new(config.advertise.unwrap_or(at.ip()), at.port()));
        let client = webhook::Client::new(config.guard)
            .map_err(|failure| StartError::Other(failure.to_string()))?;
        let (requests, inbox) = mpsc::channel(COMMANDS_MAX);
        let (callbacks, owed) = mpsc::unbounded_channel();
        let lanes = store.lanes_owed().map_err(told)?;
        let owner = (accounts.clone(), store.clone());
        tokio::spawn(outbox::run(owed, client.clone(), owner, (config.callbacks, lanes)));
        let settings = Settings {
            account,
            sip,
            sip_auth: config.sip_auth,
            sip_md5_alone: config.sip_md5_alone,
            voice_url: config.voice_url,
            names_are_rooms: config.names_are_rooms,
            guard: config.guard,
            api_url: config.api_url.clone(),
            dual_conference_recordings: config.dual_conference_recordings,
            recognises: config.recogniser.is_some(),
            virtual_phones: config.virtual_phones.as_ref().map(|virtual_ones| virtual_ones.sip),
            terms: config.terms,
            sip_tls,
        };
        let speaker = Arc::new(speech::Speaker::new(&config.data));
        let own = own::Own {
            store: store.clone(),
            folder: recordings.clone(),
            api_url: config.api_url.clone(),
            bins: config.twiml_bins,
        };
        let assets = assets::Assets::new(client, accounts.clone(), own);
        let parts = driver::Parts {
            settings,
            rtp_ports: config.rtp_ports,
            media_threads: config.media_threads,
            store: store.clone(),
            assets: assets.clone(),
            speaker: Arc::clone(&speaker),
            socket,
            listener,
            secured: secured.zip(config.sip_tls),
            requests: requests.clone(),
            callbacks: callbacks.clone(),
            closing,
            recordings: recordings.clone(),
            recogniser: recogniser::Recogniser::new(config.recogniser.as_deref()),
            directory: Directory::read(&store, &accounts).map_err(told)?,
            trunks: config.trunks,
            trunk_days: store.trunk_days().map_err(told)?,
            limits: config.limits.account,
            lock,
        };
        driver::start(parts, inbox)
            .map_err(io("the media threads".to_owned(), "--media-threads"))?;
        // So that the first who waits does not wait for it.
        tokio::spawn(async move { assets.music().await });
        let (api_url, open_recordings) = (config.api_url.into(), config.open_recordings);
        let (retention, wanted) = watch::channel(config.retention);
        let node = Handle {
            requests,
            callbacks,
            store,
            main,
            accounts,
            changing: Arc::default(),
            stock: config.stock.into(),
            messages: config.messages,
            phones: config.virtual_phones.map(|virtual_ones| virtual_ones.phones),
            speaker,
            sip,
            sip_tls,
            api_url,
            recordings,
            open_recordings,
            api_concurrency: Arc::new(config.limits.api_concurrency.into()),
            draining: Arc::default(),
            retention,
            levels: Arc::default(),
            stage: None,
        };
        tokio::spawn(retention::run(node.clone(), wanted));
        Ok(node)
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: wall() }
}
