//! A server on which SIPp plays, and what is done around its scenarios.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use e2e::{Origin, Server};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Scenarios of one stage that play at the same time.
const AT_ONCE: usize = 8;
/// How long is waited for a state of the server.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a program says who holds a conference that one leaves by the star.
const STAR: &str = "<Dial hangupOnStar='true'><Conference>$NAME</Conference></Dial><Hangup/>";

/// What is asked of the server while a scenario plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Ends the call by the API once it is in progress.
    HangUp,
    /// Cancels the call by the API once the phone rings.
    Cancel,
    /// Cancels the call by the API before the phone rings.
    CancelAtOnce,
    /// Sends a star as telephone events, once there is sound.
    Star,
}

/// One scenario, and what is true around it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The file of `sipp/`.
    name: &'static str,
    /// Whom a caller asks for, and what a callee is called into: a name that no other case has.
    room: &'static str,
    transport: Transport,
    act: Act,
    /// The call's status in the end; empty: there is no call.
    status: &'static str,
    /// The payload types that come to the phone's first port and to its second; none: anything.
    sound: Option<&'static [u8]>,
    moved: &'static [u8],
    /// What is to be found in the trace so often at least: the call is not ended before.
    often: (&'static str, usize),
    /// What calls the phone: its form, without `From`, `To` and `Twiml`. None: the phone calls.
    called: Option<&'static [(&'static str, &'static str)]>,
    /// Whether it is called by the name that it has registered.
    registered: bool,
    /// Whether SIPp sends nothing again by itself, so that its script sees what comes again.
    exact: bool,
    /// The name of the host at which it is called, where that is not its address.
    host: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Case {
    /// A phone that calls; the call is completed in the end.
    pub const fn caller(name: &'static str) -> Self {
        Self {
            name,
            room: name,
            transport: Transport::Udp,
            act: Act::Nothing,
            status: "completed",
            sound: None,
            moved: &[],
            often: ("SIP/2.0", 1),
            called: None,
            registered: false,
            exact: false,
            host: None,
        }
    }

    /// A phone whose request makes no call.
    pub const fn refused(name: &'static str) -> Self {
        Self { status: "", ..Self::caller(name) }
    }

    /// A phone that is called.
    pub const fn callee(name: &'static str, status: &'static str) -> Self {
        Self { status, called: Some(&[]), ..Self::caller(name) }
    }

    pub const fn by_name(self) -> Self {
        Self { registered: true, ..self }
    }

    pub const fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    pub const fn at(self, host: &'static str) -> Self {
        Self { host: Some(host), ..self }
    }

    pub const fn by(self, form: &'static [(&'static str, &'static str)]) -> Self {
        Self { called: Some(form), ..self }
    }

    pub const fn room(self, room: &'static str) -> Self {
        Self { room, ..self }
    }

    pub const fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    pub const fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }

    pub const fn ends(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    pub const fn hears(self, sound: &'static [u8], moved: &'static [u8]) -> Self {
        Self { sound: Some(sound), moved, ..self }
    }

    pub const fn often(self, text: &'static str, times: usize) -> Self {
        Self { often: (text, times), ..self }
    }
}

/// Plays scenarios, several at a time, against a server of their own; in the end no call is left.
pub async fn check(flags: &[&str], cases: &[Case]) {
    let stage = Arc::new(Stage::start(flags).await);
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for &case in cases {
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let stage = Arc::clone(&stage);
        playing.spawn(async move {
            let result = stage.play(case).await;
            drop(slot);
            result.map_err(|why| format!("{} ({}): {why}", case.name, case.room))
        });
    }
    let results = playing.join_all().await;
    let mut faults: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    let (_, metrics) = stage.server.admin("/metrics").await;
    if !metrics.lines().any(|line| line == "sidetone_calls 0") {
        faults.push(format!("calls are left:\n{metrics}"));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// A server, and the programs of its callers.
pub struct Stage {
    pub server: Server,
    origin: Origin,
}

impl Stage {
    /// Starts a server; `--voice-url` gets the origin's address.
    pub async fn start(flags: &[&str]) -> Self {
        let origin = Origin::start().await;
        let program = origin.url("/voice");
        let voice = flags.contains(&"--voice-url").then_some(program.as_str());
        let flags: Vec<&str> = flags.iter().copied().chain(voice).collect();
        Self { server: Server::start(&flags).await, origin }
    }

    /// Returns a port that is free, and that neither 5060's users nor the kernel hand to others.
    pub async fn free_port(&self) -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let ip = self.server.sip().ip();
        loop {
            let start = u16::try_from(std::process::id() % 4_096).unwrap();
            let port = 61_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_096;
            if UdpSocket::bind((ip, port)).await.is_ok() && TcpListener::bind((ip, port)).is_ok() {
                return port;
            }
        }
    }

    /// Plays a scenario from a free port.
    pub async fn play(&self, case: Case) -> Result<String, String> {
        let port = self.free_port().await;
        self.play_at(port, case, "").await
    }

    /// Plays a scenario from a port, with what proves who it is; returns its trace.
    pub async fn play_at(&self, port: u16, case: Case, proof: &str) -> Result<String, String> {
        let ip = self.server.sip().ip();
        let bind = async || UdpSocket::bind((ip, 0)).await.unwrap();
        let (sound, moved) = (bind().await, bind().await);
        let folder = tempfile::tempdir().unwrap();
        self.origin.answers(case.room, &program(case));
        let arguments = arguments(self.server.sip(), case, port, [&sound, &moved], proof);
        let path = folder.path().to_owned();
        let playing = tokio::task::spawn_blocking(move || e2e::sipp(case.name, &arguments, &path));
        if let Some(form) = case.called {
            self.call(case, SocketAddr::new(ip, port), form).await?;
        }
        let messages = folder.path().join("messages");
        let acted = self.act(case, [&sound, &moved], &messages).await;
        let passed = playing.await.unwrap();
        let trace = read(&messages);
        if !passed {
            return Err(format!("{acted:?}\n{}\n{trace}", read(&folder.path().join("errors"))));
        }
        acted.map_err(|why| format!("{why}\n{trace}"))?;
        let (text, times) = case.often;
        let found = trace.matches(text).count();
        if found < times {
            return Err(format!("{text} came {found} times, not {times}:\n{trace}"));
        }
        if let Some(types) = case.sound {
            for (socket, types) in [(&sound, types), (&moved, case.moved)] {
                let came = payload_types(socket);
                if came != BTreeSet::from_iter(types.iter().copied()) {
                    return Err(format!("payload types {came:?} came, not {types:?}:\n{trace}"));
                }
            }
        }
        self.wait_for_status(case, case.status).await.map(|_| trace)
    }

    /// Calls the phone.
    async fn call(
        &self,
        case: Case,
        phone: SocketAddr,
        form: &[(&str, &str)],
    ) -> Result<(), String> {
        let transport = if case.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let host = case.host.map_or(phone.to_string(), |host| format!("{host}:{}", phone.port()));
        let to = match case.registered {
            true => format!("client:{}", case.room),
            false => format!("sip:{}@{host}{transport}", case.room),
        };
        let twiml = format!("<Response>{}</Response>", program(case));
        let common = [("To", to.as_str()), ("From", "sidetone"), ("Twiml", &twiml)];
        wait_until_bound(phone).await;
        let answer = self.server.post("/Calls.json", &[&common, form].concat()).await;
        if answer.status == 201 { Ok(()) } else { Err(format!("not dialled: {answer:?}")) }
    }

    /// Does what is asked of the server meanwhile, once the phone has come so far.
    async fn act(&self, case: Case, sound: [&UdpSocket; 2], trace: &Path) -> Result<(), String> {
        let (status, change) = match case.act {
            Act::Nothing => return Ok(()),
            Act::Star => return press_star(sound[0]).await,
            Act::HangUp => ("in-progress", "completed"),
            Act::Cancel => ("ringing", "canceled"),
            Act::CancelAtOnce => ("queued", "canceled"),
        };
        let (text, times) = case.often;
        let until = Instant::now() + PATIENCE;
        while read(trace).matches(text).count() < times {
            if Instant::now() > until {
                return Err(format!("{text} did not come {times} times"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let call = self.wait_for_status(case, status).await?;
        for (socket, types) in sound.into_iter().zip([case.sound.unwrap_or_default(), case.moved]) {
            if !types.is_empty() {
                // What never comes is found missing in the end.
                let _ = tokio::time::timeout(PATIENCE, socket.peek_from(&mut [0])).await;
            }
        }
        let path = format!("/Calls/{call}.json");
        let answer = self.server.post(&path, &[("Status", change)]).await;
        if answer.status == 200 { Ok(()) } else { Err(format!("not ended: {answer:?}")) }
    }

    /// Waits until the case's only call has a status, and returns its SID.
    async fn wait_for_status(&self, case: Case, status: &str) -> Result<String, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let body = self.server.get("/Calls.json?PageSize=1000").await.body;
            let named = |call: &&serde_json::Value| {
                let to = call["to"].as_str().unwrap_or_default();
                to.starts_with(&format!("sip:{}@", case.room))
                    || to == format!("client:{}", case.room)
            };
            let calls: Vec<_> = body["calls"].as_array().unwrap().iter().filter(named).collect();
            match calls[..] {
                [call] if call["status"] == status => {
                    return Ok(call["sid"].as_str().unwrap().to_owned());
                }
                [] if status.is_empty() => return Ok(String::new()),
                _ if Instant::now() > until => {
                    let found: Vec<_> = calls.iter().map(|call| &call["status"]).collect();
                    return Err(format!("no single call that is {status:?}: {found:?}"));
                }
                _ => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
    }
}

fn read(file: &Path) -> String {
    std::fs::read(file).map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o).into_owned())
}

/// What a call does that comes in on a server which asks a program.
fn program(case: Case) -> String {
    let verbs = match case.name {
        "cancel_while_ringing" | "bye_while_ringing" => "<Pause length='30'/>",
        "repeated_invite" | "reliable_ringing" => "<Pause length='1'/><Hangup/>",
        "turned_away" => "<Reject reason='busy'/>",
        "hung_up_by_program" => "<Hangup/>",
        _ => STAR,
    };
    verbs.replace("$NAME", case.room)
}

fn arguments(
    server: SocketAddr,
    case: Case,
    port: u16,
    sound: [&UdpSocket; 2],
    proof: &str,
) -> Vec<String> {
    let ip = server.ip();
    let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let transport = if case.transport == Transport::Tcp { "t1" } else { "u1" };
    let [sound, moved] = sound.map(|socket| socket.local_addr().unwrap().port().to_string());
    let port = port.to_string();
    let server = server.to_string();
    let words = ["-i", &host, "-mi", &host, "-p", &port, "-t", transport, "-s", case.room];
    let keys = ["-key", "sound", &sound, "-key", "moved", &moved, "-key", "proof", proof];
    let exact: &[&str] = if case.exact { &["-nr"] } else { &[] };
    [&[server.as_str()], &words[..], &keys[..], exact]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Waits until someone has taken a port.
async fn wait_until_bound(address: SocketAddr) {
    for _ in 0..400 {
        if UdpSocket::bind(address).await.is_err() || TcpListener::bind(address).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the payload types of all packets that came to a port.
fn payload_types(socket: &UdpSocket) -> BTreeSet<u8> {
    let mut packet = [0; 2_048];
    let packets =
        std::iter::from_fn(|| socket.try_recv(&mut packet).ok().map(|_| packet[1] & 0x7F));
    packets.collect()
}

/// Presses the star for 100 ms, to where sound comes from.
async fn press_star(sound: &UdpSocket) -> Result<(), String> {
    let mut packet = [0; 2_048];
    let first = tokio::time::timeout(PATIENCE, sound.recv_from(&mut packet)).await;
    let (_, server) = first.map_err(|_| "no sound came")?.map_err(|error| error.to_string())?;
    for (sequence, end) in [(1, 0), (2, 0), (3, 0x80), (4, 0x80), (5, 0x80)] {
        let duration = 160 * u16::from(sequence.min(3_u8));
        let [high, low] = duration.to_be_bytes();
        let header = [0x80, 101, 0, sequence, 0, 0, 16, 0, 0xCA, 0xFE, 0xCA, 0xFE];
        let event = [10, end | 10, high, low];
        sound.send_to(&[&header[..], &event].concat(), server).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
