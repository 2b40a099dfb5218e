//! `sidetone dev`: the whole server on a laptop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node::{Config, Delivery, Guard, Node};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::{admin, banner, demo};

/// What the system sends to who writes beyond the size that a file may have, on every architecture that this is
/// built for.
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;

/// Flags of `sidetone dev`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the database and the credentials are kept.
    #[arg(long, default_value = "sidetone-data")]
    data: PathBuf,
    /// Where the API listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where SIP listens.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddr,
    /// Where health and metrics are served.
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Ports for sound.
    #[arg(long, default_value = "20000-29999", value_parser = ports)]
    rtp_ports: (u16, u16),
    /// Binds SIP and sound beyond loopback and puts this address into SDP and Contact.
    #[arg(long)]
    advertise: Option<IpAddr>,
    /// Asks phones on loopback, too, to prove by digest who they are.
    #[arg(long)]
    sip_auth: bool,
    /// How they prove it: `md5` is for phones that give up when they are offered SHA-256 as well.
    #[arg(long, default_value = "sha-256", value_parser = ["sha-256", "md5"])]
    sip_digest: String,
    /// Asked, by a signed POST, what to do with every call that comes in.
    #[arg(long, value_parser = web_address)]
    voice_url: Option<String>,
    /// When a callback that its receiver does not take is given up.
    #[arg(long, value_enum, default_value_t)]
    callbacks_delivery: CallbacksDelivery,
    /// Hands recordings to everyone who has their address, without credentials.
    #[arg(long)]
    open_recordings: bool,
    /// Records conferences in two channels: the first who came on the left, everyone else on the right.
    #[arg(long)]
    dual_conference_recordings: bool,
    /// Written, whole or not at all, when everything listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Lets three synthetic talkers call into a conference named `demo`.
    #[arg(long)]
    demo: bool,
}

/// When a callback is given up.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum CallbacksDelivery {
    /// As Twilio does: any answer ends it, and a connection is tried as the address's fragment says.
    #[default]
    Twilio,
    /// After 24 h of growing pauses, in order for each conference.
    UntilDelivered,
}

impl From<CallbacksDelivery> for Delivery {
    fn from(delivery: CallbacksDelivery) -> Self {
        match delivery {
            CallbacksDelivery::Twilio => Self::Twilio,
            CallbacksDelivery::UntilDelivered => Self::UntilDelivered,
        }
    }
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let told = || format!("{text:?} is no range of ports such as 20000-29999");
    let (first, last) = text.split_once('-').ok_or_else(told)?;
    let (first, last) = (first.parse().map_err(|_| told())?, last.parse().map_err(|_| told())?);
    if first < 1_024 || first + 3 > last { Err(told()) } else { Ok((first, last)) }
}

fn web_address(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).ok();
    if url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no address such as https://you.example/voice"))
    }
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    // A file that may grow no further is an error of whoever writes it, and not the end of the server.
    #[cfg(target_os = "linux")]
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ)).map_err(|error| error.to_string())?;
    let listen = async |address: SocketAddr, flag: &str| {
        TcpListener::bind(address)
            .await
            .map_err(|error| format!("{address}: {error}; choose another address with {flag}"))
    };
    let http = listen(arguments.http, "--http").await?;
    let admin_listener = listen(arguments.admin, "--admin").await?;
    let sip = match arguments.advertise {
        Some(_) if arguments.sip.ip().is_loopback() => {
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), arguments.sip.port())
        }
        _ => arguments.sip,
    };
    let address = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
    let config = Config {
        data: arguments.data.clone(),
        sip,
        rtp_ports: arguments.rtp_ports,
        advertise: arguments.advertise,
        sip_auth: arguments.sip_auth,
        sip_md5_alone: arguments.sip_digest == "md5",
        voice_url: arguments.voice_url,
        callbacks: arguments.callbacks_delivery.into(),
        stock: node::fictional_numbers(),
        messages: true,
        guard: Guard { loopback: true, private: false },
        api_url: format!("http://{}", address(&http)?),
        open_recordings: arguments.open_recordings,
        dual_conference_recordings: arguments.dual_conference_recordings,
    };
    let node = Node::start(config).await.map_err(|error| error.to_string())?;
    let ready = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "api_url": format!("http://{}", address(&http)?),
        "account_sid": node.account().sid.to_string(),
        "auth_token": node.account().auth_token,
        "sip_uri": format!("sip:{}", node.sip()),
        "admin_url": format!("http://{}", address(&admin_listener)?),
        "console_url": null,
    });
    let stats = Arc::new(api::Stats::default());
    tokio::spawn(api::serve(http, api::router(node.clone(), Arc::clone(&stats))));
    tokio::spawn(api::serve(admin_listener, admin::router(node.clone(), stats)));
    write_whole(&arguments.data.join("ready.json"), &ready.to_string())?;
    if let Some(file) = &arguments.ready_file {
        write_whole(file, &ready.to_string())?;
    }
    let talkers = if arguments.demo { demo::start(&node).await? } else { Vec::new() };
    banner::print(&ready, &node, &arguments.data, !talkers.is_empty());
    wait_for_the_end().await?;
    tokio::select! {
        () = node.stop() => {}
        second = wait_for_the_end() => second?,
    }
    drop(talkers);
    Ok(())
}

async fn wait_for_the_end() -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|error| error.to_string()),
    }
}

/// Writes beside the place and moves there, so that nobody reads half of it.
fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let beside = path.with_extension("part");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| format!("{}: {error}; choose another place", path.display()))
}
