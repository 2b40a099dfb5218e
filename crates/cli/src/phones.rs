//! The virtual phones of `sidetone dev`: where they listen, and how what they say becomes sound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use node::{Handle, Phones, Says};
use sim::{Spoken, Voice};
use tokio::runtime::Handle as Runtime;

/// The folder of sound files in the data folder.
pub const FOLDER: &str = "phones";
/// Longest sound file, in octets.
const FILE_MAX: u64 = 32 * 1024 * 1024;

/// Virtual phones that have an address but are not there yet.
#[derive(Debug)]
pub struct Waiting {
    socket: UdpSocket,
    /// Where the server finds them, and what they share with it.
    pub phones: node::VirtualPhones,
}

impl Waiting {
    /// Takes an address for them, where the server that listens at `sip` reaches it.
    ///
    /// # Errors
    /// One line: no port can be had.
    pub fn bind(sip: SocketAddr) -> Result<Self, String> {
        let told =
            |error: std::io::Error| format!("the virtual phones: {error}; try --no-virtual-phones");
        let socket = UdpSocket::bind((near(sip.ip()), 0)).map_err(told)?;
        let address = socket.local_addr().map_err(told)?;
        Ok(Self { socket, phones: node::VirtualPhones { sip: address, phones: Phones::default() } })
    }

    /// Lets them be called.
    ///
    /// # Errors
    /// One line: no thread can be had.
    pub fn start(self, node: &Handle, data: &Path) -> Result<sim::VirtualPhones, String> {
        let ip = self.phones.sip.ip();
        let server = SocketAddr::new(ip, node.sip().port());
        let (node, folder) = (node.clone(), data.join(FOLDER));
        let runtime = Runtime::current();
        let speaks = move |says: &Says| {
            let spoken = Spoken::default();
            runtime.spawn(render(node.clone(), folder.clone(), says.clone(), Arc::clone(&spoken)));
            spoken
        };
        let phones = sim::VirtualPhones::start(self.socket, server, self.phones.phones, speaks);
        phones.map_err(|error| format!("the virtual phones: {error}; try --no-virtual-phones"))
    }
}

/// Where something is found that listens everywhere.
fn near(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

async fn render(node: Handle, folder: PathBuf, says: Says, spoken: Arc<OnceLock<Voice>>) {
    let voice = match &says {
        Says::Words(words) => node.speak(words).await.map_err(|failure| failure.message),
        Says::File(name) => {
            let path = folder.join(name);
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            read.unwrap_or_else(|error| Err(error.to_string()))
        }
    };
    match voice {
        Ok(voice) => drop(spoken.set(voice)),
        Err(error) => tracing::warn!(error, "a virtual phone stays silent"),
    }
}

/// Reads a WAV or an MP3.
///
/// # Errors
/// One line that names the file.
pub fn read(file: &Path) -> Result<Voice, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let length = std::fs::metadata(file).map_err(|error| told(&error))?.len();
    if length > FILE_MAX {
        return Err(told(&format!("it is longer than {} MiB", FILE_MAX / 1_048_576)));
    }
    let octets = std::fs::read(file).map_err(|error| told(&error))?;
    sound::decode(octets).map(Into::into).map_err(|error| told(&error))
}
