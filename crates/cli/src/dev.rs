//! `sidetone dev`: the whole server on a laptop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use node::{Config, Delivery, Guard, Limits, Node, Retention};

use crate::settings::users;
use crate::tls::Files;
use crate::{banner, config, demo, phones, server};

/// What may be fetched, called and dialled beyond the public internet.
const GUARD: Guard = Guard { loopback: true, private: false };

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
    /// Where SIP over TLS listens, as `127.0.0.1:5061`; its certificate is made in the data folder.
    #[arg(long)]
    sip_tls: Option<SocketAddr>,
    /// Authorities, in PEM, that are believed beside the system's where SIP over TLS is spoken to others.
    #[arg(long, value_name = "FILE")]
    sip_tls_ca_file: Option<PathBuf>,
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
    /// Refuses numbers that nobody serves, as Twilio does, where otherwise a virtual phone rings.
    #[arg(long)]
    no_virtual_phones: bool,
    /// A folder of TwiML bins: what it holds as `EH….xml` is at `https://handler.twilio.com/twiml/EH…`.
    #[arg(long)]
    twiml_bins: Option<PathBuf>,
    /// Who recognises what callers say to `<Gather input="speech">`: an http address, or a command with its
    /// arguments. It is sent a WAV file and answers `{"text":"...","confidence":0.9}`.
    #[arg(long)]
    recogniser: Option<String>,
    /// The codecs that are spoken with phones, best first: of opus, g722, pcmu and pcma.
    #[arg(long, value_delimiter = ',', default_value = "opus,g722,pcmu,pcma")]
    codecs: Vec<String>,
    /// Whether sound is encrypted: by nobody, by whoever wants it, or by everyone.
    #[arg(long, default_value = "optional", value_parser = ["off", "optional", "mandatory"])]
    srtp: String,
    #[command(flatten)]
    users: users::UserArguments,
    /// Threads that mix; 0: one for each of --media-cores, or for each core but one.
    #[arg(long, env = "SIDETONE_MEDIA_THREADS", default_value_t = 1)]
    media_threads: usize,
    /// The cores that they are pinned to in turn.
    #[arg(long, value_delimiter = ',')]
    media_cores: Vec<String>,
    /// Written, whole or not at all, when everything listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Gets a line for each operation and parameter that a program uses, and says which are ignored.
    #[arg(long, env = "SIDETONE_USED", value_name = "FILE")]
    used: Option<PathBuf>,
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

/// Reads a range of ports.
///
/// # Errors
/// One line that says how it is written.
pub fn ports(text: &str) -> Result<(u16, u16), String> {
    let told = || format!("{text:?} is no range of ports such as 20000-29999");
    config::ports(text).ok_or_else(told)
}

/// Reads an address that can be asked by HTTP.
///
/// # Errors
/// One line that says how it is written.
pub fn web_address(text: &str) -> Result<String, String> {
    let told = || format!("{text:?} is no address such as https://you.example/voice");
    config::is_web_address(text).then(|| text.to_owned()).ok_or_else(told)
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    server::outlive_full_files()?;
    let http = server::listen(arguments.http, "--http").await?;
    let admin_listener = server::listen(arguments.admin, "--admin").await?;
    let beyond = |at: SocketAddr| match arguments.advertise {
        Some(_) if at.ip().is_loopback() => {
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port())
        }
        _ => at,
    };
    let sip = beyond(arguments.sip);
    let sip_tls = match arguments.sip_tls.map(beyond) {
        Some(address) => {
            let names: Vec<IpAddr> =
                arguments.advertise.into_iter().chain([address.ip()]).collect();
            let files = Files::of_dev(&arguments.data, &names)?;
            Some(files.sip_tls(address, arguments.sip_tls_ca_file.as_deref())?)
        }
        None => None,
    };
    let virtual_phones = match arguments.no_virtual_phones {
        true => None,
        false => Some(phones::Waiting::bind(sip)?),
    };
    let mut terms = node::terms(&arguments.codecs, &arguments.srtp)?;
    terms.users = arguments.users.users()?;
    let config = Config {
        data: arguments.data.clone(),
        sip,
        sip_tls,
        rtp_ports: arguments.rtp_ports,
        advertise: arguments.advertise,
        sip_auth: arguments.sip_auth,
        sip_md5_alone: arguments.sip_digest == "md5",
        voice_url: arguments.voice_url,
        names_are_rooms: true,
        callbacks: arguments.callbacks_delivery.into(),
        stock: node::fictional_numbers(),
        messages: true,
        virtual_phones: virtual_phones.as_ref().map(|waiting| waiting.phones.clone()),
        guard: GUARD,
        api_url: format!("http://{}", server::address(&http)?),
        open_recordings: arguments.open_recordings,
        dual_conference_recordings: arguments.dual_conference_recordings,
        account: None,
        limits: Limits::default(),
        trunks: Vec::new(),
        retention: Retention::default(),
        twiml_bins: arguments.twiml_bins,
        recogniser: arguments.recogniser,
        terms,
        media_threads: node::Threads::of(arguments.media_threads, &arguments.media_cores)?,
    };
    let node = Node::start(config).await.map_err(|error| error.to_string())?;
    let virtual_phones = virtual_phones.map(|waiting| waiting.start(&node, &arguments.data));
    let virtual_phones = virtual_phones.transpose()?;
    let admin = server::address(&admin_listener)?;
    let ready = server::ready(&node, admin, arguments.rtp_ports, GUARD);
    let used = arguments
        .used
        .as_deref()
        .map(|file| api::Used::open(file).map_err(|error| format!("{}: {error}", file.display())));
    server::serve(&node, (http, admin_listener), used.transpose()?, None);
    server::write_ready(&ready, &arguments.data, arguments.ready_file.as_deref())?;
    let talkers = if arguments.demo { demo::start(&node).await? } else { Vec::new() };
    banner::print(&ready, &node, &arguments.data, !talkers.is_empty());
    server::told_to_end().await?;
    tokio::select! {
        () = node.stop() => {}
        second = server::told_to_end() => second?,
    }
    drop((talkers, virtual_phones));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::Arguments;

    #[test]
    fn the_page_for_operators_names_every_flag() {
        let page = include_str!("../../../docs/operating.md");
        let command = Arguments::augment_args(clap::Command::new("dev"));
        let flags: Vec<&str> = command.get_arguments().filter_map(|flag| flag.get_long()).collect();
        assert!(flags.contains(&"demo"), "{flags:?}");
        for flag in flags {
            let named = [format!("`--{flag} "), format!("`--{flag}`")];
            assert!(named.iter().any(|named| page.contains(named)), "--{flag} is not in the page");
        }
    }
}
