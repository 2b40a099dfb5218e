//! `sidetone doctor`: what is in the way, each with its fix.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime};

use node::Guard;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, Flags};
use crate::output::{Output, plain};

/// How long a part of the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far the server's clock and ours may be apart, and the year before which a clock cannot be right, as seconds
/// since 1970.
const CLOCKS_WITHIN: Duration = Duration::from_secs(2);
const CLOCK_MIN_S: u64 = 1_767_225_600;
/// Files that a server opens beside two for each call, and calls that it should be able to have.
const FILES_BESIDE: u64 = 100;
const CALLS_WANTED: u64 = 200;
/// Space for an hour of recordings of ten rooms, and for the database, in MiB.
const SPACE_WANTED_MIB: u64 = 1_024;
/// Ports for sound that are tried, across the range.
const PORTS_TRIED: u16 = 20;

/// What is checked where it is not known what the server may reach.
const OPEN: Guard = Guard { loopback: true, private: true };

/// Flags of `sidetone doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// Also checks that the server may fetch and call this address, and that somebody listens there.
    #[arg(long)]
    url: Option<String>,
    /// Ports for sound, where the server's are not known: `20000-29999`.
    #[arg(long, default_value = "20000-29999", value_parser = crate::dev::ports)]
    rtp_ports: (u16, u16),
}

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Poor,
    Bad,
}

/// One line.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    fix: &'static str,
}

fn good(check: &'static str, message: String) -> Finding {
    Finding { check, verdict: Verdict::Good, message, fix: "" }
}

fn poor(check: &'static str, message: String, fix: &'static str) -> Finding {
    Finding { check, verdict: Verdict::Poor, message, fix }
}

fn bad(check: &'static str, message: String, fix: &'static str) -> Finding {
    Finding { check, verdict: Verdict::Bad, message, fix }
}

/// Checks everything, and prints a line for each.
///
/// # Errors
/// One line: how many checks failed.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let output = arguments.flags.output();
    let mut findings = vec![clock(), variables()];
    let mut guard = None;
    match arguments.flags.client() {
        Err(message) => {
            let fix = "start one with: sidetone dev";
            findings.push(bad("server", message, fix));
            findings.push(ports(arguments.rtp_ports));
        }
        Ok((client, _)) => {
            guard = client.running.guard;
            findings.extend(server(&client).await);
            findings.extend(sip(&client));
            findings.extend(machine(&client));
            findings.push(ports(rtp_ports(&client).unwrap_or(arguments.rtp_ports)));
        }
    }
    if let Some(url) = &arguments.url {
        findings.push(address(url, guard.unwrap_or(OPEN)).await);
    }
    show(output, &findings);
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    match failed {
        0 => Ok(()),
        1 => Err("1 check failed".to_owned()),
        failed => Err(format!("{failed} checks failed")),
    }
}

fn show(output: Output, findings: &[Finding]) {
    let word = |verdict| match verdict {
        Verdict::Good => "ok",
        Verdict::Poor => "warning",
        Verdict::Bad => "failed",
    };
    match output {
        Output::Json => {
            let rows = findings.iter().map(|finding| {
                let fix = (!finding.fix.is_empty()).then_some(finding.fix);
                let Finding { check, verdict, message, fix: _ } = finding;
                json!({ "check": check, "status": word(*verdict), "message": message, "fix": fix })
            });
            println!("{}", Value::from(rows.collect::<Vec<_>>()));
        }
        Output::Text => {
            for Finding { check, verdict, message, fix } in findings {
                let fix = if fix.is_empty() { String::new() } else { format!("; {fix}") };
                println!("{}", plain(&format!("{:8} {check:12} {message}{fix}", word(*verdict))));
            }
        }
    }
}

fn clock() -> Finding {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now.as_secs() < CLOCK_MIN_S {
        let fix = "set the clock, and let NTP keep it";
        return bad("clock", "this machine's clock is years behind".to_owned(), fix);
    }
    good("clock", "this machine's clock is plausible".to_owned())
}

/// Variables that send clients elsewhere.
fn variables() -> Finding {
    let set: Vec<&str> = ["TWILIO_REGION", "TWILIO_EDGE"]
        .into_iter()
        .filter(|name| std::env::var_os(name).is_some())
        .collect();
    if !set.is_empty() {
        let fix = "unset them: Twilio's SDKs put them into the host's name";
        return bad("variables", format!("{} set", set.join(" and ")), fix);
    }
    let ours: Vec<&str> = crate::running::VARIABLES
        .into_iter()
        .filter(|name| std::env::var_os(name).is_some())
        .collect();
    match ours.len() {
        0 => good("variables", "no variable names a server: the data folder does".to_owned()),
        3 => good("variables", format!("{} name the server", ours.join(", "))),
        _ => {
            let fix = "set all three, for example by: eval \"$(sidetone env)\"";
            poor("variables", format!("only {} set: not used", ours.join(", ")), fix)
        }
    }
}

/// Whether the API answers, and takes the credentials.
async fn server(client: &Client) -> Vec<Finding> {
    let running = &client.running;
    let api = &running.api_url;
    let asked = reqwest::Client::new().get(api).timeout(PATIENCE).send().await;
    let response = match asked {
        Err(error) => {
            let message = format!("{api} does not answer: {}", root_of(&error));
            return vec![bad("server", message, "start it with: sidetone dev")];
        }
        Ok(response) => response,
    };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let mut findings = Vec::new();
    match header("x-sidetone-version") {
        Some(version) if version == env!("CARGO_PKG_VERSION") => {
            findings.push(good("server", format!("{api} answers, version {version}")));
        }
        Some(version) => {
            let message =
                format!("{api} is version {version}, this is {}", env!("CARGO_PKG_VERSION"));
            findings.push(poor("server", message, "use the same for both"));
        }
        None => {
            let message = format!("{api} is another program");
            findings.push(bad(
                "server",
                message,
                "give Sidetone another port: sidetone dev --http",
            ));
            return findings;
        }
    }
    let date = header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    if let Some(date) = date {
        let now = SystemTime::now();
        let apart = now.duration_since(date).or_else(|_| date.duration_since(now));
        let apart = apart.unwrap_or_default();
        if apart > CLOCKS_WITHIN + Duration::from_secs(1) {
            let message = format!("the server's clock is {} s from this one", apart.as_secs());
            findings.push(poor("clock", message, "let NTP keep both"));
        }
    }
    let account = client.account(".json");
    findings.push(match client.ask(Method::GET, &account, &[]).await {
        Ok(account) => {
            let status = account["status"].as_str().unwrap_or_default();
            good("credentials", format!("account {} is {status}", running.account_sid))
        }
        Err(error) => {
            let fix = "take them anew: eval \"$(sidetone env)\"";
            bad("credentials", error, fix)
        }
    });
    findings
}

fn root_of(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Whether SIP answers, and where it says that it is.
fn sip(client: &Client) -> Vec<Finding> {
    let Some(address) = client.running.sip_address() else {
        let message = "where SIP listens is not known".to_owned();
        return vec![poor("sip", message, "name the server's data folder: --data")];
    };
    let mut findings = vec![match options(address) {
        Ok(()) => good("sip", format!("{address} answers over UDP")),
        Err(error) => {
            let fix = "let UDP through to it, or choose another address: sidetone dev --sip";
            bad("sip", format!("{address} does not answer over UDP: {error}"), fix)
        }
    }];
    if let Err(error) = TcpStream::connect_timeout(&address, PATIENCE) {
        let message = format!("{address} does not answer over TCP: {error}");
        findings.push(poor("sip", message, "let TCP through to it"));
    }
    findings.push(advertised(address.ip()));
    findings
}

/// Asks for a sign of life. Source: RFC 3261 section 11.
fn options(address: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0_u16; 8].into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let us = socket.local_addr()?;
    let request = format!(
        "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKdoctor{port};rport\r\n\
         From: <sip:doctor@{us}>;tag=doctor\r\nTo: <sip:{address}>\r\nCall-ID: doctor-{port}@{us}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        port = us.port()
    );
    socket.send(request.as_bytes())?;
    let mut answer = [0; 2_048];
    let length = socket.recv(&mut answer)?;
    if answer[..length].starts_with(b"SIP/2.0 ") {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

fn advertised(ip: IpAddr) -> Finding {
    if ip.is_loopback() {
        let message = format!("{ip}: phones on this machine alone reach it");
        return good("advertised", message);
    }
    match UdpSocket::bind((ip, 0)) {
        Ok(_) => good("advertised", format!("{ip} is an address of this machine")),
        Err(_) => {
            let fix = "phones must reach it from where they are, and UDP come through; else: --advertise IP";
            poor("advertised", format!("{ip} is no address of this machine"), fix)
        }
    }
}

/// What the server may have of the machine.
fn machine(client: &Client) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limits = client.running.pid.map(|pid| format!("/proc/{pid}/limits"));
    if let Some(files) =
        limits.and_then(|path| std::fs::read_to_string(path).ok()).as_deref().and_then(open_files)
    {
        let calls = files.saturating_sub(FILES_BESIDE) / 2;
        let message = format!("{files} open files: enough for {calls} calls");
        findings.push(if calls >= CALLS_WANTED {
            good("files", message)
        } else {
            poor("files", message, "raise it before the server starts: ulimit -Hn 65536")
        });
    }
    if let Some(data) = &client.running.data {
        findings.push(space(data));
    }
    findings
}

/// Reads the soft limit of open files out of what the kernel says of a process.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn space(data: &Path) -> Finding {
    let asked = std::process::Command::new("df").arg("-Pk").arg(data).output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let Some(mib) = text.ok().as_deref().and_then(free_mib) else {
        let message = format!("how much space is left in {} is not known", data.display());
        return poor("disk", message, "see that it is there: df -h");
    };
    let message = format!("{mib} MiB are free in {}", data.display());
    if mib >= SPACE_WANTED_MIB {
        good("disk", message)
    } else {
        poor("disk", message, "make room, or move it: sidetone dev --data DIR")
    }
}

/// Reads what is free out of what `df -Pk` prints. Source: POSIX, `df`.
fn free_mib(text: &str) -> Option<u64> {
    let kib: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / 1_024)
}

fn rtp_ports(client: &Client) -> Option<(u16, u16)> {
    client.running.rtp_ports.as_deref().and_then(|range| crate::dev::ports(range).ok())
}

fn ports((first, last): (u16, u16)) -> Finding {
    let step = ((last - first) / PORTS_TRIED).max(1);
    let tried: Vec<u16> = (first..=last).step_by(usize::from(step)).collect();
    let free = tried.iter().filter(|port| UdpSocket::bind(("127.0.0.1", **port)).is_ok()).count();
    let of = tried.len();
    let message = format!("{free} of {of} ports tried from {first} to {last} are free for sound");
    match free {
        0 => bad("rtp", message, "choose others: sidetone dev --rtp-ports A-B"),
        free if free * 2 < of => {
            poor("rtp", message, "choose a wider range: sidetone dev --rtp-ports A-B")
        }
        _ => good("rtp", message),
    }
}

/// Whether an address may be fetched and called, and whether somebody listens there.
async fn address(url: &str, guard: Guard) -> Finding {
    let Some(parsed) =
        url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    else {
        return bad(
            "address",
            format!("{url:?} is no http or https address"),
            "write it out whole",
        );
    };
    let (host, port) = (parsed.host_str().unwrap_or_default(), parsed.port_or_known_default());
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let found = tokio::net::lookup_host((host.as_str(), port.unwrap_or(80))).await;
    let addresses: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    if addresses.is_empty() {
        return bad("address", format!("{host} has no address"), "check its spelling and DNS");
    }
    if let Some(closed) = addresses.iter().find(|address| !guard.allows(address.ip())) {
        let fix = "dev reaches loopback and the public internet alone; serve has guard.loopback and guard.private";
        return bad("address", format!("{} is behind the address guard", closed.ip()), fix);
    }
    let mut last = String::new();
    for address in addresses {
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => return good("address", format!("{url}: {address} takes connections")),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    bad("address", last, "start your application, or mend the port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_free_space_are_read_off_what_the_system_prints() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             63388                63388                processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1_024));
        assert_eq!(open_files("nonsense"), None);
        let df = "Filesystem 1024-blocks    Used Available Capacity Mounted on\n\
                  /dev/sda1    103081248 4100000  98964864       4% /\n";
        assert_eq!(free_mib(df), Some(96_645));
        assert_eq!(free_mib(""), None);
    }

    #[tokio::test]
    async fn an_address_behind_the_guard_is_told_from_one_where_nobody_listens() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (url, verdict, word) in [
            ("http://10.0.0.1/voice".to_owned(), Verdict::Bad, "guard"),
            ("ftp://127.0.0.1/".to_owned(), Verdict::Bad, "no http"),
            (format!("http://127.0.0.1:{free}/"), Verdict::Bad, "refused"),
        ] {
            let finding = address(&url, Guard { loopback: true, private: false }).await;
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.message.contains(word), "{finding:?}");
        }
    }
}
