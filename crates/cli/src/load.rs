//! `sidetone load`: many calls with sound to a server on this machine.

mod child;
mod plot;
mod requests;
mod rest;
mod show;
mod snapshot;
mod sorts;
mod updates;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sim::load::{HISTORY_MAX, LEGS_MAX, Network, Phase, Plan, Report, Target};
use tokio::sync::watch;
use tokio_rustls::rustls::ClientConfig;

use crate::running::Running;
use crate::tls::DEV_CERTIFICATE;
use child::{Reflector, Server};
use requests::AT_ONCE_MAX;
use rest::Rest;
use snapshot::Watched;
use updates::Updates;

/// Flags of `sidetone load`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server takes SIP; it must be on this machine.
    #[arg(long)]
    sip: Option<SocketAddr>,
    /// The data folder of the running server, which names its addresses and its process.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Starts a server of its own, in a folder that goes with it.
    #[arg(long, conflicts_with_all = ["sip", "data"])]
    spawn: bool,
    /// Binds what it starts to this processor, and itself to the others.
    #[arg(long)]
    pin: Option<usize>,
    /// Calls.
    #[arg(long, default_value_t = 100)]
    legs: usize,
    /// So many calls, then so many, and so on, each with its floor: `100,200,400`.
    #[arg(long, value_delimiter = ',', value_name = "LEGS", conflicts_with_all = ["legs", "mock", "history"])]
    sweep: Vec<usize>,
    /// Draws cost and delay by the number of calls, as SVG.
    #[arg(long, value_name = "FILE", conflicts_with = "mock")]
    plot: Option<PathBuf>,
    /// Calls in each conference.
    #[arg(long, default_value_t = 4)]
    room_size: usize,
    /// Of those, how many talk all the time.
    #[arg(long, default_value_t = 2)]
    talkers: usize,
    /// Lets each call wait alone in a conference of its own: it sends next to nothing and hears music. The floor is a
    /// reflector that only sends.
    #[arg(long, conflicts_with_all = ["room_size", "talkers", "churn"])]
    waiting: bool,
    /// For how long it counts, after all calls are up: `30s`.
    #[arg(long = "for", default_value = "30s", value_parser = length)]
    length: Duration,
    /// What is spoken: of opus, g722, pcmu and pcma, dealt among the calls in turn.
    #[arg(long, value_delimiter = ',', default_value = "pcmu")]
    codec: Vec<String>,
    /// Encrypts the sound: SRTP, with keys in SDP.
    #[arg(long)]
    srtp: bool,
    /// Signals by TLS, over 16 connections among which the calls are dealt.
    #[arg(long)]
    tls: bool,
    /// Who is believed beside the system's authorities, in PEM; without it, what `sidetone dev` made for itself.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Loses so many percent of what the calls send.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    loss: f64,
    /// Loses so many packets in a row, on average.
    #[arg(long, default_value_t = 1, value_name = "PACKETS")]
    burst: u32,
    /// Delays each packet that the calls send by up to so many milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    jitter: u64,
    /// Lets the clocks of the calls be off by so many millionths: every second one fast, the others slow.
    #[arg(long, default_value_t = 0, value_name = "PPM")]
    drift: u32,
    /// From what loss and jitter are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Calls made in a second, until all are up.
    #[arg(long, default_value_t = 200)]
    joins: u32,
    /// Participants muted or unmuted in a second, by REST, while it counts.
    #[arg(long, default_value_t = 0)]
    updates: u32,
    /// Silent calls that hang up and come again in a second, during the first three quarters of the time; the server's
    /// memory, sockets and delay are told of before and after.
    #[arg(long, default_value_t = 0, conflicts_with = "updates", value_name = "A SECOND")]
    churn: u32,
    /// Requests at once, by REST, while it counts: each sort in turn, as fast as it is answered.
    #[arg(long, default_value_t = 0)]
    requests: usize,
    /// Calls that are over, with a tenth as many conferences, in the store of the server of its own; the requests are
    /// lists over them then.
    #[arg(long, requires = "spawn", value_name = "CALLS")]
    history: Option<usize>,
    /// Makes no calls, and sends its requests to whoever answers them there: `http://127.0.0.1:4010`.
    #[arg(long, requires = "requests", value_name = "URL", conflicts_with_all = ["sip", "data", "spawn"])]
    mock: Option<String>,
    /// Measures a reflector with as many legs too: what the kernel alone costs.
    #[arg(long)]
    floor: bool,
    /// `text` or `json`.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    output: String,
    /// Is the reflector, with so many sockets, until its standard input ends.
    #[arg(long, hide = true)]
    reflector: Option<usize>,
}

/// How long changes and callbacks get to be answered after a run.
const END_WITHIN: Duration = Duration::from_secs(20);
/// Sizes of one sweep.
const SWEEP_MAX: usize = 16;
/// Longest run.
const LENGTH_MAX: Duration = Duration::from_secs(600);

fn length(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().map(Duration::from_secs);
    let told = || format!("{text:?} is not 1s to {}s", LENGTH_MAX.as_secs());
    seconds.ok().filter(|length| !length.is_zero() && *length <= LENGTH_MAX).ok_or_else(told)
}

/// Runs the calls and prints what was seen.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    if let Some(legs) = arguments.reflector {
        return child::reflect(legs.min(LEGS_MAX), arguments.waiting);
    }
    let name = format!("load-{}", std::process::id());
    let (room_size, talkers) = match arguments.waiting {
        true => (1, 0),
        false => (arguments.room_size, arguments.talkers.min(arguments.room_size)),
    };
    let plan = Plan {
        legs: arguments.legs,
        room_size,
        talkers,
        waiting: arguments.waiting,
        length: arguments.length,
        joins: arguments.joins,
        name: name.clone(),
        codecs: arguments.codec.clone(),
        network: Network {
            loss: arguments.loss,
            burst: arguments.burst,
            jitter: Duration::from_millis(arguments.jitter),
            drift: arguments.drift,
            seed: arguments.seed,
        },
        srtp: arguments.srtp,
        churn: arguments.churn,
        changes: arguments.updates > 0,
    };
    let plans: Vec<Plan> = match arguments.sweep.as_slice() {
        [] => vec![plan],
        // Rooms of one size are not those of the next.
        sizes => sizes
            .iter()
            .map(|&legs| Plan { legs, name: format!("{name}-{legs}"), ..plan.clone() })
            .collect(),
    };
    plans.iter().try_for_each(Plan::check)?;
    if plans.len() > SWEEP_MAX {
        return Err(format!("--sweep: {SWEEP_MAX} sizes are the most"));
    }
    if arguments.requests > AT_ONCE_MAX || arguments.history.is_some_and(|it| it > HISTORY_MAX) {
        return Err(format!("--requests {AT_ONCE_MAX} and --history {HISTORY_MAX} are the most"));
    }
    node::raise_open_files();
    if let Some(mock) = &arguments.mock {
        let outcomes = ask_mock(&arguments, mock).await?;
        let text = match arguments.output.as_str() {
            "json" => show::of_mock(&outcomes).to_string(),
            _ => show::requests(&outcomes).join("\n"),
        };
        println!("{text}");
        return Ok(());
    }
    // A file that cannot be is told of before, not after.
    let drawn = |path: &PathBuf| {
        let told = |error| format!("--plot {}: {error}", path.display());
        std::fs::File::create(path).map_err(told)
    };
    let plot = arguments.plot.as_ref().map(drawn).transpose()?;
    let updates = (arguments.updates > 0).then_some(arguments.updates);
    let mut runs = Vec::new();
    for plan in plans {
        let served = serve(&arguments, &plan, updates).await?;
        let beside = arguments.floor || !arguments.sweep.is_empty();
        let floor = if beside { Some(floor(&arguments, &plan).await?) } else { None };
        runs.push(Run { plan, served, floor });
    }
    if let Some(mut file) = plot {
        file.write_all(plot::svg(&show::load(&runs[0].plan), &sizes(&runs)).as_bytes())
            .map_err(|error| format!("--plot: {error}"))?;
    }
    let text = match (arguments.output.as_str(), runs.as_slice()) {
        ("json", [run]) => show::json(run).to_string(),
        ("json", runs) => show::sweep_json(runs).to_string(),
        (_, [run]) => show::text(run),
        (_, runs) => show::sweep(runs),
    };
    println!("{text}");
    Ok(())
}

/// What is drawn of runs.
fn sizes(runs: &[Run]) -> Vec<plot::Size<'_>> {
    runs.iter()
        .map(|Run { plan, served, floor }| plot::Size {
            legs: plan.legs,
            server: &served.report,
            floor: floor.as_ref(),
        })
        .collect()
}

/// Asks a mock what a server is asked that has conferences going on.
async fn ask_mock(arguments: &Arguments, url: &str) -> Result<Vec<requests::Outcome>, String> {
    let (account, participants) = sorts::made_up();
    let path = format!("/2010-04-01/Accounts/{account}");
    let target = requests::Target::parse(url, &(account, "mock".to_owned()))?;
    on_this_machine(target.address().ip())?;
    let sorts = sorts::of_conferences(&path, &participants);
    drive(target, sorts, arguments.requests, arguments.length, arguments.pin).await
}

/// Sends requests from a thread that does nothing else, beside the processor that is measured.
async fn drive(
    target: requests::Target,
    sorts: Vec<requests::Sort>,
    at_once: usize,
    length: Duration,
    pin: Option<usize>,
) -> Result<Vec<requests::Outcome>, String> {
    let ask = move || {
        if let Some(processor) = pin {
            sim::load::pin_beside(processor)?;
        }
        requests::drive(&target, &sorts, at_once, length)
    };
    let thread = std::thread::Builder::new().name("requests".to_owned()).spawn(ask);
    let thread = thread.map_err(|error| error.to_string())?;
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    joined.map_err(|error| error.to_string())?.map_err(|_| "a thread ended".to_owned())?
}

/// How a server is asked.
#[derive(Debug, Clone, Copy)]
struct Asks {
    at_once: usize,
    of_history: bool,
    pin: Option<usize>,
}

/// Asks a server for all that there is to ask for, from the beginning of the measurement to its end.
async fn ask_all(
    rest: Rest,
    target: requests::Target,
    plan: Plan,
    asks: Asks,
    mut phases: watch::Receiver<Option<Phase>>,
) -> Result<Vec<requests::Outcome>, String> {
    if phases.wait_for(|phase| matches!(phase, Some(Phase::Up(_)))).await.is_err() {
        return Ok(Vec::new());
    }
    let sorts = match asks.of_history {
        true => sorts::of_history(&rest).await?,
        false => sorts::of_conferences(&rest.account_path(), &rest.participants(&plan).await?),
    };
    if phases.wait_for(|phase| *phase == Some(Phase::Measuring)).await.is_err() {
        return Ok(Vec::new());
    }
    drive(target, sorts, asks.at_once, plan.length, asks.pin).await
}

/// One size, and what was seen of it.
struct Run {
    plan: Plan,
    served: Served,
    floor: Option<Report>,
}

/// What was seen of a server.
struct Served {
    report: Report,
    updates: Option<updates::Outcome>,
    requests: Vec<requests::Outcome>,
    /// The server itself, before and after.
    watched: Option<Watched>,
}

async fn serve(arguments: &Arguments, plan: &Plan, rate: Option<u32>) -> Result<Served, String> {
    let callbacks = updates::Callbacks::start().await?;
    let spawned = match arguments.spawn {
        true => {
            let wants = child::Wants {
                pin: arguments.pin,
                // Nobody beeps then.
                voice_url: (rate.is_some() || plan.churn > 0).then(|| callbacks.voice_url()),
                history: arguments.history,
                tls: arguments.tls,
            };
            Some(Server::start(&wants).await?)
        }
        false => None,
    };
    let data = spawned.as_ref().map(Server::data).or(arguments.data.as_deref());
    let running = match Running::find(data) {
        Err(why) if arguments.sip.is_none() || rate.is_some() || arguments.requests > 0 => {
            return Err(why);
        }
        found => found.ok(),
    };
    let named = running.as_ref().and_then(|it| match arguments.tls {
        true => it.sips_address(),
        false => it.sip_address(),
    });
    let unknown = || match arguments.tls {
        true => "the server speaks no SIP over TLS: start it with --sip-tls, or name it with --sip",
        false => "the server's SIP address is not known: --sip",
    };
    let sip = arguments.sip.or(named).ok_or_else(unknown)?;
    on_this_machine(sip.ip())?;
    let pid = running.as_ref().filter(|_| named == Some(sip)).and_then(|it| it.pid);
    let tls = match arguments.tls {
        true => Some(believed(arguments, running.as_ref())?),
        false => None,
    };
    let updates = match (&running, rate) {
        (Some(running), Some(rate)) => Some(Updates::new(running, plan, rate, callbacks)?),
        _ => None,
    };
    let admin = running.as_ref().and_then(|running| running.admin_url.clone());
    let (tell, phases) = watch::channel(None);
    let told = tokio::spawn(Watched::watch(admin, pid, phases.clone()));
    let changed = phases.clone();
    let updating = tokio::spawn(async move {
        match updates {
            Some(updates) => updates.run(changed).await.map(Some),
            None => Ok(None),
        }
    });
    let asked = match &running {
        Some(running) if arguments.requests > 0 => {
            let rest = Rest::new(running)?;
            let target = requests::Target::parse(&running.api_url, &rest.credentials)?;
            let (at_once, pin) = (arguments.requests, arguments.pin);
            let asks = Asks { at_once, of_history: arguments.history.is_some(), pin };
            Some(tokio::spawn(ask_all(rest, target, plan.clone(), asks, phases.clone())))
        }
        _ => None,
    };
    drop(phases);
    let report = sweep(arguments, plan, Target::Server(sip, tls), pid, tell).await?;
    let requests = match asked {
        Some(asked) => asked.await.map_err(|error| error.to_string())??,
        None => Vec::new(),
    };
    let mut updates = updating.await.map_err(|error| error.to_string())??;
    if let Some(updates) = &mut updates {
        updates.heard = report.heard(&updates.changes);
    }
    let watched = told.await.ok().flatten();
    Ok(Served { report, updates, requests, watched })
}

/// Returns whom we believe when we speak TLS.
fn believed(arguments: &Arguments, running: Option<&Running>) -> Result<Arc<ClientConfig>, String> {
    let data = running.and_then(|running| running.data.as_deref());
    let made = data.map(|data| data.join(DEV_CERTIFICATE)).filter(|file| file.exists());
    crate::tls::believed(arguments.ca_file.as_deref().or(made.as_deref()))
}

async fn floor(arguments: &Arguments, plan: &Plan) -> Result<Report, String> {
    let reflector = Reflector::start(plan, arguments.pin)?;
    let target = Target::Reflector(reflector.addresses.clone());
    let (tell, _) = watch::channel(None);
    sweep(arguments, plan, target, Some(reflector.pid()), tell).await
}

async fn sweep(
    arguments: &Arguments,
    plan: &Plan,
    target: Target,
    pid: Option<u32>,
    tell: watch::Sender<Option<Phase>>,
) -> Result<Report, String> {
    let (plan, pin) = (plan.clone(), arguments.pin);
    let run = move || {
        if let Some(processor) = pin {
            sim::load::pin_beside(processor)?;
        }
        let mut phase = |phase| {
            // Told to whoever still listens.
            let _ = tell.send(Some(phase));
            // What was asked for is answered before the calls are hung up.
            let until = Instant::now() + END_WITHIN;
            while phase == Phase::Over && !tell.is_closed() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        sim::load::run(&plan, &target, pid, &mut phase)
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}

/// Load is for machines of one's own: the address must be one of this machine's.
fn on_this_machine(ip: IpAddr) -> Result<(), String> {
    // The system gives a socket only those addresses that it has.
    let somebody = !ip.is_unspecified() && !ip.is_multicast() && ip != Ipv4Addr::BROADCAST;
    let ours = ip.is_loopback() || somebody && UdpSocket::bind((ip, 0)).is_ok();
    if ours { Ok(()) } else { Err(format!("{ip} is not on this machine; load goes no further")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        for ours in ["127.0.0.1", "127.3.4.5", "::1"] {
            assert_eq!(on_this_machine(ours.parse().unwrap()), Ok(()));
        }
        for other in
            ["192.0.2.7", "8.8.8.8", "0.0.0.0", "255.255.255.255", "2001:db8::1", "224.0.0.1"]
        {
            assert!(on_this_machine(other.parse().unwrap()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_length_is_bounded() {
        assert_eq!(length("30s"), Ok(Duration::from_secs(30)));
        for text in ["0s", "601s", "-1s", "1m", ""] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
