//! How a server is set up, and what it needs before it can start.

use std::fs::{File, TryLockError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use model::{Account, AccountSid, AccountStatus, Change, Delivery};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::{Store, StoreFailed};
use tokio::net::{TcpListener, UdpSocket};
use webhook::Guard;

use crate::cores::Threads;
use crate::phones::VirtualPhones;
use crate::retention::Retention;
use crate::stock::NumberRange;
use crate::tls::SipTls;
use crate::trunks::Trunk;
use crate::wall;

/// Held by the server that runs on a data folder.
const LOCK: &str = "lock";

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database is.
    pub data: PathBuf,
    /// Where SIP listens; port 0 is any.
    pub sip: SocketAddr,
    /// Ports for RTP and RTCP.
    pub rtp_ports: (u16, u16),
    /// The address for SDP and `Contact`, where it is not the one that SIP listens on.
    pub advertise: Option<IpAddr>,
    /// Whether callers on loopback must prove who they are, as all others must.
    pub sip_auth: bool,
    /// Whether phones are offered MD5 alone.
    pub sip_md5_alone: bool,
    /// Asked what to do with a call that comes in to what has no address of its own.
    pub voice_url: Option<String>,
    /// Whether, without such an address, a call joins the conference of the name that it is for; else it is refused.
    pub names_are_rooms: bool,
    /// What may be fetched and called beyond the public internet.
    pub guard: Guard,
    /// When a callback is given up.
    pub callbacks: Delivery,
    /// Where the API is reached, without a slash at its end.
    pub api_url: String,
    /// Whether recordings are handed to everyone who has their address.
    pub open_recordings: bool,
    /// Whether conferences are recorded in two channels: the first who came on the left, everyone else on the right.
    pub dual_conference_recordings: bool,
    /// The numbers that accounts can have.
    pub stock: Vec<NumberRange>,
    /// Whether messages are kept, though none reaches a phone.
    pub messages: bool,
    /// Where numbers ring that nobody serves; none: they are refused.
    pub virtual_phones: Option<VirtualPhones>,
    /// The first account's SID and token; none: they are made on the first start and kept.
    pub account: Option<(AccountSid, String)>,
    /// What each account may have at once.
    pub limits: Limits,
    /// How long records and recordings are kept.
    pub retention: Retention,
    /// Ways to the telephone network, in the order in which they are asked.
    pub trunks: Vec<Trunk>,
    /// Where the TwiML bins are that programs name by an address of Twilio's: `EH….xml`.
    pub twiml_bins: Option<PathBuf>,
    /// Who recognises speech: an http address, or a command with its arguments; none: nobody.
    pub recogniser: Option<String>,
    /// SIP over TLS; none: it is not spoken.
    pub sip_tls: Option<SipTls>,
    /// What is spoken with phones, and whether sound is encrypted: see [`crate::terms`].
    pub terms: sip::Terms,
    /// The threads that mix.
    pub media_threads: Threads,
}

/// What each account may have at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests that are handled at the same time.
    pub api_concurrency: usize,
    /// Calls and conferences.
    pub account: exchange::Limits,
}

/// Requests of one account that are handled at the same time, unless it is said otherwise.
pub const API_CONCURRENCY: usize = 100;

impl Default for Limits {
    fn default() -> Self {
        Self { api_concurrency: API_CONCURRENCY, account: exchange::Limits::default() }
    }
}

/// Why the server could not start: one line that names the fix.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// A port or another thing of the system.
    #[error("{what}: {error}; choose another with {fix}")]
    Io {
        /// What could not be had.
        what: String,
        /// Why.
        error: std::io::Error,
        /// The flag that helps.
        fix: &'static str,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Lets this process have as many files and sockets as the system allows it: each call needs two.
pub fn raise_open_files() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            // Where it may not, calls beyond are refused when their sockets cannot be had.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }
}

/// Binds UDP and TCP to the same port. Any free port must be free for both.
pub async fn bind(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    const TRIES: usize = 10;
    let mut tries = 0;
    loop {
        let socket = UdpSocket::bind(address).await?;
        match TcpListener::bind(socket.local_addr()?).await {
            Ok(listener) => return Ok((socket, listener)),
            Err(error) if address.port() != 0 || tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

/// Keeps a data folder for this process until what it returns is dropped.
///
/// # Errors
/// When another server runs on it.
pub fn lock(data: &Path) -> Result<File, StartError> {
    let file = data.join(LOCK);
    let io = |error| StartError::Io { what: file.display().to_string(), error, fix: "--data" };
    let held = File::options().create(true).append(true).open(&file).map_err(io)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => {
            let told = format!(
                "a server runs on {}; end it, or choose another folder with --data",
                data.display()
            );
            Err(StartError::Other(told))
        }
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Returns the account that the server was made with, and makes it where it is not there yet.
///
/// # Errors
/// When the store fails, or is another account's than the one that is configured.
pub async fn first_account(
    store: &Store,
    configured: Option<&(AccountSid, String)>,
) -> Result<Account, StartError> {
    let told = |error: StoreFailed| StartError::Other(error.to_string());
    let account = match (store.first_account().map_err(told)?, configured) {
        (Some(account), None) => return Ok(account),
        (Some(account), Some((sid, _))) if account.sid != *sid => {
            let told = format!("the data folder is of {}; set account_sid to it", account.sid);
            return Err(StartError::Other(told));
        }
        (Some(account), Some((_, token))) if account.auth_token == *token => return Ok(account),
        (Some(account), Some((_, token))) => {
            Account { auth_token: token.clone(), date_updated: wall(), ..account }
        }
        (None, Some((sid, token))) => new_account(*sid, token.clone()),
        (None, None) => {
            let mut random = [0; 32];
            ChaCha12Rng::from_os_rng().fill_bytes(&mut random);
            let mut sid = [0; 16];
            sid.copy_from_slice(&random[..16]);
            let token = random[16..].iter().map(|octet| format!("{octet:02x}")).collect();
            new_account(AccountSid::new(sid), token)
        }
    };
    let committed = store.apply(vec![Change::Account(account.clone())]).map_err(told)?;
    match committed.await {
        Ok(result) => result.map_err(told)?,
        Err(_) => return Err(StartError::Other("the store's writer ended".to_owned())),
    }
    Ok(account)
}

fn new_account(sid: AccountSid, auth_token: String) -> Account {
    Account {
        sid,
        friendly_name: "Sidetone".to_owned(),
        owner: sid,
        status: AccountStatus::Active,
        auth_token,
        date_created: wall(),
        date_updated: wall(),
    }
}
