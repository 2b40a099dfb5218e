//! The signalling of all legs: one SIP agent with one socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Agent, CallId, Config, Event, Offered, Offers, Peer, SrtpPolicy, Transport};

use super::figures::Times;
use super::legs::Far;
use super::plan::Plan;
use super::wire::Wire;

/// Calls that are under way and not yet answered, at most.
const UNANSWERED_MAX: usize = 256;
/// How long a call may take to be answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// One leg's call.
#[derive(Debug)]
pub struct Wanted {
    /// The leg's number.
    pub number: usize,
    /// The conference.
    pub user: String,
    /// Where it wants its sound.
    pub media: SocketAddr,
    /// What it speaks, and nothing else: a place in the plan's codecs.
    pub codec: usize,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Joined {
    /// From INVITE to answer.
    pub answered: Times,
    /// The same of those who called again.
    pub answered_again: Times,
    /// How many hung up, to call again.
    pub left: usize,
    /// How many were refused, by SIP's status; 408 stands for no answer.
    pub refused: BTreeMap<u16, usize>,
    /// From the first INVITE to the last answer.
    pub took: Duration,
    /// Calls that ended without being asked to.
    pub lost: usize,
}

/// All calls.
pub struct Switchboard {
    agent: Agent,
    wire: Wire,
    server: SocketAddr,
    calls: BTreeMap<CallId, usize>,
    /// Calls that are up.
    up: BTreeMap<CallId, usize>,
    /// When each leg's INVITE was sent.
    invited: BTreeMap<usize, Instant>,
    /// Whether all have been called once.
    again: bool,
    codecs: Vec<sip::Codec>,
    srtp: SrtpPolicy,
    joined: Joined,
}

impl Switchboard {
    /// Makes ready for calls to `server`.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(wire: Wire, server: SocketAddr, plan: &Plan) -> std::io::Result<Self> {
        let address = wire.address()?;
        let mut seed = [0; 32];
        ChaCha12Rng::from_os_rng().fill_bytes(&mut seed);
        let tls = (wire.transport() == Transport::Tls).then_some(address);
        let agent = Agent::new(Config { tls, ..Config::open(address, seed) });
        let (calls, up) = (BTreeMap::new(), BTreeMap::new());
        let (codecs, joined) = (plan.offered(), Joined::default());
        let srtp = if plan.srtp { SrtpPolicy::Mandatory } else { SrtpPolicy::Off };
        let (invited, again) = (BTreeMap::new(), false);
        Ok(Self { agent, wire, server, calls, up, invited, again, codecs, srtp, joined })
    }

    /// Calls for every leg, `rate` a second, and returns when each was answered or was not.
    /// `connect` hears of each that is up.
    pub fn join(
        &mut self,
        wanted: &[Wanted],
        rate: u32,
        connect: &mut dyn FnMut(usize, Option<Far>),
    ) {
        let start = Instant::now();
        let pause = Duration::from_secs(1) / rate.max(1);
        let mut next = wanted.iter();
        let mut due = start;
        let mut left = next.len();
        let mut until = start + ANSWER_WITHIN;
        while (left > 0 || self.unanswered() > 0) && Instant::now() < until {
            while Instant::now() >= due && self.unanswered() < UNANSWERED_MAX {
                let Some(leg) = next.next() else { break };
                self.invite(leg);
                left = next.len();
                due += pause;
                until = Instant::now() + ANSWER_WITHIN;
            }
            let before = self.up.len();
            self.turn(connect);
            if self.up.len() > before {
                self.joined.took = start.elapsed();
            }
        }
        let silent: Vec<CallId> =
            self.calls.keys().filter(|call| !self.up.contains_key(call)).copied().collect();
        for call in silent {
            self.agent.hang_up(call, Instant::now());
            self.calls.remove(&call);
            *self.joined.refused.entry(408).or_default() += 1;
        }
        self.joined.lost = 0;
        self.again = true;
    }

    /// Lets these legs hang up and call again, one after the other, `rate` of them a second, until `until`.
    pub fn churn(
        &mut self,
        wanted: &[Wanted],
        rate: u32,
        until: Instant,
        connect: &mut dyn FnMut(usize, Option<Far>),
    ) {
        let pause = Duration::from_secs(1) / rate.max(1);
        let mut due = Instant::now();
        for leg in wanted.iter().cycle() {
            let waits = |board: &Self| Instant::now() < due || board.unanswered() >= UNANSWERED_MAX;
            while Instant::now() < until && waits(self) {
                self.turn(connect);
            }
            if Instant::now() >= until {
                break;
            }
            due += pause;
            let call = self.up.iter().find(|(_, number)| **number == leg.number);
            // Who is still on its way in has its turn the next time.
            let Some(&call) = call.map(|(call, _)| call) else { continue };
            self.up.remove(&call);
            self.calls.remove(&call);
            connect(leg.number, None);
            self.agent.hang_up(call, Instant::now());
            self.joined.left += 1;
            self.invite(leg);
        }
    }

    /// Keeps the calls alive until `until`.
    pub fn keep(&mut self, until: Instant) {
        while Instant::now() < until {
            self.turn(&mut |_, _| {});
        }
    }

    /// Hangs up all, gently, and gives the server time to answer.
    pub fn hang_up(mut self) -> Joined {
        const AT_ONCE: usize = 50;
        let calls: Vec<CallId> = self.up.keys().copied().collect();
        for some in calls.chunks(AT_ONCE) {
            for &call in some {
                self.up.remove(&call);
                self.agent.hang_up(call, Instant::now());
            }
            self.keep(Instant::now() + Duration::from_millis(50));
        }
        self.keep(Instant::now() + Duration::from_millis(200));
        self.joined
    }

    /// Returns what became of the calls so far.
    pub fn joined(&self) -> &Joined {
        &self.joined
    }

    /// Returns how many calls are up.
    pub fn up(&self) -> usize {
        self.up.len()
    }

    fn unanswered(&self) -> usize {
        self.calls.len() - self.up.len()
    }

    fn invite(&mut self, leg: &Wanted) {
        let (call, now) = (self.agent.new_call(), Instant::now());
        let transport = self.wire.transport();
        let by = if transport == Transport::Tls { ";transport=tls" } else { "" };
        let uri = format!("sip:{}@{}{by}", leg.user, self.server);
        let name = format!("leg{}", leg.number);
        let codecs = Offers::Only(self.codecs[leg.codec]);
        let offered = Offered { codecs, srtp: Some(self.srtp), media: leg.media };
        let peer = Peer { address: self.server, transport };
        self.agent.invite(call, &uri, peer, (&name, None), offered, now);
        self.calls.insert(call, leg.number);
        self.invited.insert(leg.number, now);
        self.send();
    }

    fn turn(&mut self, connect: &mut dyn FnMut(usize, Option<Far>)) {
        let peer = Peer { address: self.server, transport: self.wire.transport() };
        let agent = &mut self.agent;
        self.wire.receive(|octets| agent.handle_message(peer, octets, Instant::now()));
        self.agent.handle_timeout(Instant::now());
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Answered(call, Some(session)) => {
                    let Some(&number) = self.calls.get(&call) else { continue };
                    self.up.insert(call, number);
                    let Some(&invited) = self.invited.get(&number) else { continue };
                    let Joined { answered, answered_again, .. } = &mut self.joined;
                    let times = if self.again { answered_again } else { answered };
                    times.note(invited.elapsed());
                    connect(number, Some(Far::agreed(&session.audio, invited)));
                }
                Event::Failed(call, status) => {
                    self.calls.remove(&call);
                    *self.joined.refused.entry(status).or_default() += 1;
                }
                Event::Ended(call, _) => {
                    self.calls.remove(&call);
                    self.joined.lost += usize::from(self.up.remove(&call).is_some());
                }
                _ => {}
            }
        }
        self.send();
    }

    fn send(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            self.wire.send(&transmit);
        }
    }
}
