//! Trunks: by which of them a number is called and as whom, how much each may carry, and whether it is there.
//!
//! Pure: questions to trunks and the time go in and out; [`crate::trunk_calls`] asks and dials.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use exchange::{Effect, Outside, TrunkRules};
use model::{AccountSid, CallSid, Now, TrunkDay};
use sip::{CallId, Callee, Network, Proof, SrtpPolicy, Transport};

use crate::target::{Host, Target};

/// How long a trunk that failed is asked last, unless it says before that it is there again.
const DOWN_FOR: Duration = Duration::from_secs(60);
/// First pause after a registration that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(15);
/// See above.
const PAUSE_MAX: Duration = Duration::from_secs(900);
/// Shortest time after which a registration is refreshed.
const REFRESH_MIN: Duration = Duration::from_secs(15);
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Longest that a call waits for its turn at a trunk; one that would wait longer is refused at once.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// In what time a trunk's calls per second are counted.
const SECOND: Duration = Duration::from_secs(1);
/// The SIP status of a call that no trunk may carry.
const FORBIDDEN: u16 = 403;
/// The SIP status of a call for which no trunk has room.
pub(crate) const UNAVAILABLE: u16 = 503;

/// A trunk as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    /// What it is called in the log.
    pub name: String,
    /// Where calls go: `sip:host:port`, with `;transport=tcp` where they go by TCP; none: calls only come.
    pub uri: Option<String>,
    /// What it may be asked for.
    pub rules: TrunkRules,
    /// What answers its challenges, and the realm that may ask.
    pub proof: Option<Proof>,
    /// For how long we register with it; none: not at all.
    pub register: Option<Duration>,
    /// Whether it wants numbers without `+`.
    pub plain_digits: bool,
    /// Calls that may begin within a second; the others wait for their turn.
    pub calls_per_second: usize,
    /// Calls at the same time.
    pub calls: usize,
    /// Calls of a day, which begins at midnight UTC.
    pub calls_per_day: usize,
    /// How often it is asked whether it is there; none: never.
    pub probe_every: Option<Duration>,
    /// From where its calls come without a proof.
    pub networks: Vec<Network>,
    /// What its calls prove when they come from elsewhere.
    pub callers: Vec<sip::Credentials>,
    /// Whether the sound of its calls is encrypted; none: as everyone's.
    pub srtp: Option<SrtpPolicy>,
}

impl Trunk {
    /// Whether an address is one that a trunk's calls can go to.
    pub fn can_be_called(uri: &str) -> bool {
        Target::parse(uri).is_some()
    }

    /// Whether it is called by TLS.
    pub fn speaks_tls(&self) -> bool {
        let target = self.uri.as_deref().and_then(Target::parse);
        target.is_some_and(|target| target.transport == Transport::Tls)
    }
}

/// A trunk while the node runs.
#[derive(Debug)]
struct Line {
    trunk: Trunk,
    target: Option<Target>,
    callee: Option<Callee>,
    down_until: Option<Instant>,
    registered_until: Option<Instant>,
    /// When it is asked next, and whether an answer is waited for.
    probe: Asking,
    registration: Asking,
    /// Of the requests outside of calls.
    call_id: String,
    cseq: u32,
    failures: u32,
    calls: BTreeSet<CallSid>,
    /// When the last calls began, not more than may begin within a second.
    begun: VecDeque<Instant>,
    /// Calls that wait for their turn.
    waiting: VecDeque<(CallSid, Outbound)>,
}

/// A question that is asked again and again.
#[derive(Debug, Default)]
struct Asking {
    at: Option<Instant>,
    open: Option<CallId>,
}

/// What a trunk is asked outside of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkQuestion {
    /// Whether it is there.
    Probe,
    /// To know where we are, for so many seconds.
    Register(u32),
}

/// A call that is on its way through a trunk.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) effect: Effect,
    trunk: usize,
    pub(crate) tried: Vec<usize>,
    /// When it goes elsewhere if nothing has been heard.
    pub(crate) until: Option<Instant>,
}

/// A call to a number that is to go out, and what has become of it so far.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) effect: Effect,
    /// The trunks that do not take it, and how the last one failed.
    pub(crate) tried: Vec<usize>,
    pub(crate) last: Option<u16>,
    /// The trunk at which it is its turn, now that it has waited for that.
    pub(crate) turn: Option<usize>,
}

/// What becomes of a call that is to go out.
#[derive(Debug)]
pub(crate) enum Choice {
    /// It goes now.
    Goes(Chosen),
    /// It waits for its turn at a trunk.
    Waits(usize),
}

/// By which trunk a call goes, and how.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) trunk: usize,
    pub(crate) uri: String,
    pub(crate) from: String,
    pub(crate) callee: Callee,
    pub(crate) proof: Option<Proof>,
    pub(crate) srtp: Option<SrtpPolicy>,
}

/// How long a trunk may say nothing to a call before the next one is asked.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How a trunk does, for the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkStats {
    /// Its name.
    pub name: String,
    /// Whether it is asked first.
    pub up: bool,
    /// Calls of now.
    pub calls: usize,
    /// Calls of the day.
    pub calls_today: usize,
    /// Calls that wait for their turn.
    pub calls_waiting: usize,
}

/// All trunks, in the order in which they are asked.
#[derive(Debug, Default)]
pub(crate) struct Trunks {
    lines: Vec<Line>,
    /// The day of the last call by a trunk of that name, and how many it had.
    days: BTreeMap<String, (i64, usize)>,
    attempts: BTreeMap<CallSid, Attempt>,
}

impl Line {
    fn new(trunk: Trunk, call_id: String, ours: IpAddr, now: Instant) -> Self {
        let target = trunk.uri.as_deref().and_then(Target::parse);
        let at = target.as_ref().map(|_| now);
        let asking = |wanted: bool| Asking { at: at.filter(|_| wanted), open: None };
        let named = target.as_ref().is_some_and(|target| matches!(target.host, Host::Name(_)));
        let callee = target.as_ref().and_then(|target| match target.host {
            Host::Ip(ip) => target.reached(&[ip], ours),
            Host::Name(_) => None,
        });
        Self {
            callee,
            down_until: None,
            registered_until: None,
            // One with a name is looked up in any case.
            probe: asking(trunk.probe_every.is_some() || named),
            registration: asking(trunk.register.is_some()),
            call_id,
            cseq: 1,
            failures: 0,
            calls: BTreeSet::new(),
            begun: VecDeque::new(),
            waiting: VecDeque::new(),
            target,
            trunk,
        }
    }

    fn is_up(&self, now: Instant) -> bool {
        let registered = self.registered_until.is_some_and(|until| until > now);
        self.down_until.is_none_or(|until| until <= now)
            && (self.trunk.register.is_none() || registered)
    }

    /// Whether it may carry one more call on a day on which it had so many.
    fn has_room(&self, today: usize) -> bool {
        self.calls.len() < self.trunk.calls && today < self.trunk.calls_per_day
    }

    /// Whether one more call may begin.
    fn has_turn(&self, now: Instant) -> bool {
        let recent = self.begun.iter().filter(|at| now < **at + SECOND);
        recent.count() < self.trunk.calls_per_second
    }

    /// Whether one more call comes to its turn before it has waited for too long.
    fn may_wait(&self) -> bool {
        let seconds = usize::try_from(WAIT_MAX.as_secs()).unwrap_or(usize::MAX);
        self.waiting.len() < self.trunk.calls_per_second.saturating_mul(seconds)
    }

    fn uri_of(&self, user: &str) -> Option<String> {
        let uri = self.trunk.uri.as_deref()?;
        let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let is_sips =
            uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sips"));
        let scheme = if is_sips { "sips" } else { "sip" };
        Some(format!("{scheme}:{user}@{host}"))
    }

    fn digits(&self, number: &str) -> String {
        let plain = if self.trunk.plain_digits { number.trim_start_matches('+') } else { number };
        plain.to_owned()
    }
}

/// Returns the day, from 1970-01-01 in UTC.
fn day(now: Now) -> i64 {
    now.wall.0.div_euclid(DAY_MS)
}

/// Returns how many calls a trunk had today.
fn calls_today(days: &BTreeMap<String, (i64, usize)>, name: &str, now: Now) -> usize {
    days.get(name).filter(|(of, _)| *of == day(now)).map_or(0, |(_, calls)| *calls)
}

impl Trunks {
    /// Takes up what trunks have carried before a restart.
    pub(crate) fn know_days(&mut self, days: Vec<TrunkDay>) {
        self.days = days.into_iter().map(|one| (one.trunk, (one.day, one.calls))).collect();
    }

    /// Takes other trunks; those that stay as they are go on as they were. Returns the calls that waited for their turn.
    pub(crate) fn set(
        &mut self,
        trunks: Vec<Trunk>,
        mut name: impl FnMut() -> String,
        (ours, now): (IpAddr, Instant),
    ) -> Vec<(CallSid, Outbound)> {
        let mut before = std::mem::take(&mut self.lines);
        let waited = before.iter_mut().flat_map(|line| line.waiting.drain(..)).collect();
        for trunk in trunks {
            let known = before.iter().position(|line| line.trunk == trunk);
            let line = match known {
                Some(place) => before.swap_remove(place),
                None => Line::new(trunk, name(), ours, now),
            };
            self.lines.push(line);
        }
        // Whoever is on its way would go on at another's place.
        self.attempts.clear();
        waited
    }

    /// Returns what each may be asked for.
    pub(crate) fn rules(&self) -> Vec<TrunkRules> {
        self.lines.iter().map(|line| line.trunk.rules.clone()).collect()
    }

    /// Returns by whom calls come.
    pub(crate) fn gateways(&self) -> Vec<sip::Gateway> {
        let gateway = |line: &Line| sip::Gateway {
            name: line.trunk.name.clone(),
            networks: line.trunk.networks.clone(),
            callers: line.trunk.callers.clone(),
            srtp: line.trunk.srtp,
        };
        self.lines.iter().map(gateway).collect()
    }

    /// Whether one of them may be asked for a number.
    pub(crate) fn carry(&self, number: &str) -> bool {
        self.lines.iter().any(|line| line.trunk.rules.allows(number))
    }

    /// Whether a trunk is at this address: it is reached by its rules alone.
    pub(crate) fn are_at(&self, address: SocketAddr) -> bool {
        self.lines.iter().filter_map(|line| line.callee.as_ref()).any(|callee| {
            let there = callee.peer.address;
            // A machine's own address is many's.
            let same_port = !address.ip().is_loopback() || there.port() == address.port();
            there.ip() == address.ip() && same_port
        })
    }

    /// Chooses a trunk for a number: those that are there first, in order. Where only their calls per second are used
    /// up, the call waits for its turn at the first of them.
    ///
    /// # Errors
    /// The SIP status that says why there is none.
    pub(crate) fn choose(
        &self,
        (to, from): (&str, &str),
        (account, outside): (AccountSid, &Outside),
        (tried, turn): (&[usize], Option<usize>),
        now: Now,
    ) -> Result<Choice, u16> {
        let mut status = FORBIDDEN;
        for wanted in [true, false] {
            let mut waits = None;
            for (index, line) in self.lines.iter().enumerate() {
                let fits = line.is_up(now.instant) == wanted && !tried.contains(&index);
                if !fits || !line.trunk.rules.allows(to) {
                    continue;
                }
                let Some(shown) = outside.shown(&line.trunk.rules, account, from) else { continue };
                let from = line.digits(shown);
                status = UNAVAILABLE;
                let has_room = line.has_room(calls_today(&self.days, &line.trunk.name, now));
                let Some(callee) = line.callee.clone().filter(|_| has_room) else { continue };
                let Some(uri) = line.uri_of(&line.digits(to)) else { continue };
                // Nobody overtakes those who wait.
                let is_next = line.waiting.is_empty() || turn == Some(index);
                if !is_next || !line.has_turn(now.instant) {
                    waits = waits.or_else(|| line.may_wait().then_some(index));
                    continue;
                }
                let (proof, srtp) = (line.trunk.proof.clone(), line.trunk.srtp);
                return Ok(Choice::Goes(Chosen { trunk: index, uri, from, callee, proof, srtp }));
            }
            if let Some(trunk) = waits {
                return Ok(Choice::Waits(trunk));
            }
        }
        Err(status)
    }

    /// Puts a call at the end of those that wait for their turn at a trunk.
    pub(crate) fn wait(&mut self, trunk: usize, call: CallSid, outbound: Outbound) {
        if let Some(line) = self.lines.get_mut(trunk) {
            line.waiting.push_back((call, outbound));
        }
    }

    /// Returns a call whose turn it is, and takes it out of the line.
    pub(crate) fn next_turn(&mut self, now: Instant) -> Option<(CallSid, Outbound)> {
        self.lines.iter_mut().enumerate().find_map(|(index, line)| {
            let (call, outbound) =
                if line.has_turn(now) { line.waiting.pop_front()? } else { return None };
            Some((call, Outbound { turn: Some(index), ..outbound }))
        })
    }

    /// Counts a call that goes out by a trunk; returns what is to be kept of it.
    pub(crate) fn begin(
        &mut self,
        (call, effect): (CallSid, Effect),
        trunk: usize,
        tried: Vec<usize>,
        now: Now,
    ) -> Option<TrunkDay> {
        let until = Some(now.instant + SILENCE_MAX);
        self.attempts.insert(call, Attempt { effect, trunk, tried, until });
        let line = self.lines.get_mut(trunk)?;
        line.calls.insert(call);
        while line.begun.pop_front_if(|at| now.instant >= *at + SECOND).is_some() {}
        line.begun.push_back(now.instant);
        let name = line.trunk.name.clone();
        let (day, calls) = (day(now), calls_today(&self.days, &name, now) + 1);
        self.days.insert(name.clone(), (day, calls));
        Some(TrunkDay { trunk: name, day, calls })
    }

    /// Notes that a call's phone rings or answers: it goes nowhere else any more.
    pub(crate) fn arrived(&mut self, call: CallSid) {
        self.attempts.remove(&call);
    }

    /// Notes that a call is over.
    pub(crate) fn release(&mut self, call: CallSid) {
        self.attempts.remove(&call);
        for line in &mut self.lines {
            line.calls.remove(&call);
            line.waiting.retain(|(other, _)| *other != call);
        }
    }

    /// Returns an attempt that failed, for another one by another trunk; nothing where the failure is the answer.
    pub(crate) fn failed(&mut self, call: CallSid, status: u16, now: Instant) -> Option<Attempt> {
        let is_trunks = matches!(status, 408 | 500 | 502..=504);
        let mut attempt = self.attempts.remove(&call).filter(|_| is_trunks)?;
        if let Some(line) = self.lines.get_mut(attempt.trunk) {
            line.calls.remove(&call);
            line.down_until = Some(now + DOWN_FOR);
            tracing::warn!(trunk = line.trunk.name, status, "a trunk does not take calls");
        }
        attempt.tried.push(attempt.trunk);
        Some(attempt)
    }

    /// Returns the calls to which nothing has been said for too long.
    pub(crate) fn silent(&mut self, now: Instant) -> Vec<CallSid> {
        let due = |attempt: &Attempt| attempt.until.is_some_and(|until| until <= now);
        self.attempts.iter().filter(|(_, one)| due(one)).map(|(call, _)| *call).collect()
    }

    /// Notes that a trunk has said something to a call, though not yet what becomes of it.
    pub(crate) fn heard(&mut self, call: CallSid) {
        if let Some(attempt) = self.attempts.get_mut(&call) {
            attempt.until = None;
        }
    }

    /// Returns the trunks whose name is to be looked up or asked now.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(usize, TrunkQuestion)> {
        let mut due = Vec::new();
        for (index, line) in self.lines.iter_mut().enumerate() {
            if line.probe.at.is_some_and(|at| at <= now) {
                let pause = line.trunk.probe_every.unwrap_or(DOWN_FOR);
                line.probe.at = Some(now + pause);
                due.push((index, TrunkQuestion::Probe));
            }
            if line.registration.at.is_some_and(|at| at <= now) {
                line.registration.at = None;
                let expires_s = line.trunk.register.unwrap_or_default().as_secs();
                due.push((
                    index,
                    TrunkQuestion::Register(u32::try_from(expires_s).unwrap_or(3_600)),
                ));
            }
        }
        due
    }

    /// Returns the registrations that hold, to be ended.
    pub(crate) fn registered(&self, now: Instant) -> Vec<usize> {
        let holds = |line: &Line| line.registered_until.is_some_and(|until| until > now);
        (0..self.lines.len()).filter(|index| holds(&self.lines[*index])).collect()
    }

    /// Returns the name that is to be looked up before a trunk can be reached.
    pub(crate) fn name_of(&self, trunk: usize) -> Option<&str> {
        match &self.lines.get(trunk)?.target.as_ref()?.host {
            Host::Name(name) => Some(name),
            Host::Ip(_) => None,
        }
    }

    /// Notes where a trunk is; says whether it can be reached.
    pub(crate) fn found(&mut self, trunk: usize, addresses: &[IpAddr], ours: IpAddr) -> bool {
        let Some(line) = self.lines.get_mut(trunk) else { return false };
        let Some(target) = &line.target else { return false };
        // Whoever configured it has said that it may be reached, wherever it is.
        if let (Host::Name(_), Some(callee)) = (&target.host, target.reached(addresses, ours)) {
            line.callee = Some(callee);
        }
        line.callee.is_some()
    }

    /// Makes a question to a trunk whose answer is expected under this number.
    pub(crate) fn question(
        &mut self,
        trunk: usize,
        asked: TrunkQuestion,
        id: CallId,
    ) -> Option<sip::Question> {
        let line = self.lines.get_mut(trunk)?;
        let callee = line.callee.clone()?;
        let user = line.trunk.proof.as_ref().map_or("sidetone", |proof| &proof.credentials.user);
        let (user, expires_s) = match asked {
            // It was looked up, and that is all.
            TrunkQuestion::Probe if line.trunk.probe_every.is_none() => return None,
            TrunkQuestion::Probe => {
                // One that never answers is asked again all the same.
                line.probe.open = Some(id);
                (user.to_owned(), None)
            }
            TrunkQuestion::Register(seconds) => {
                line.registration.open = Some(id);
                (user.to_owned(), Some(seconds))
            }
        };
        let (cseq, call_id) = (line.cseq, line.call_id.clone());
        line.cseq = line.cseq.wrapping_add(2) % (1 << 30);
        let identity = line.uri_of(&user)?;
        let uri = line.uri_of("")?.replacen(":@", ":", 1);
        let proof = line.trunk.proof.clone();
        Some(sip::Question { uri, callee, identity, expires_s, user, call_id, cseq, proof })
    }

    /// Takes the answer to a question.
    pub(crate) fn replied(
        &mut self,
        id: CallId,
        (status, expires_s): (u16, Option<u32>),
        now: Instant,
    ) {
        for line in &mut self.lines {
            if line.probe.open == Some(id) {
                line.probe.open = None;
                let there = !matches!(status, 408 | 500 | 502..=504);
                let before = line.is_up(now);
                line.down_until = (!there).then(|| now + DOWN_FOR);
                if before != line.is_up(now) {
                    tracing::warn!(trunk = line.trunk.name, status, there, "a trunk comes or goes");
                }
            }
            if line.registration.open == Some(id) {
                line.registration.open = None;
                if status < 300 {
                    let asked = line.trunk.register.unwrap_or_default();
                    let granted = expires_s.map_or(asked, |s| Duration::from_secs(s.into()));
                    line.failures = 0;
                    line.registered_until = Some(now + granted);
                    line.registration.at = Some(now + (granted * 4 / 5).max(REFRESH_MIN));
                } else {
                    let pause = PAUSE * 2_u32.saturating_pow(line.failures.min(16));
                    line.failures += 1;
                    line.registration.at = Some(now + pause.min(PAUSE_MAX));
                    tracing::warn!(trunk = line.trunk.name, status, "a registration failed");
                }
            }
        }
    }

    /// Notes that a registration could not even be asked for.
    pub(crate) fn unasked(&mut self, trunk: usize, asked: TrunkQuestion, now: Instant) {
        if let (Some(line), TrunkQuestion::Register(_)) = (self.lines.get_mut(trunk), asked) {
            line.registration.at = Some(now + PAUSE);
        }
    }

    /// Returns when [`Self::due`], [`Self::silent`] or [`Self::next_turn`] next has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let lines = self.lines.iter().flat_map(|line| [line.probe.at, line.registration.at]);
        let waited_for = self.lines.iter().filter(|line| !line.waiting.is_empty());
        // While a call waits, those that keep it waiting are known.
        let turns = waited_for.map(|line| line.begun.front().map(|at| *at + SECOND));
        lines
            .chain(self.attempts.values().map(|attempt| attempt.until))
            .chain(turns)
            .flatten()
            .min()
    }

    /// Returns how each does.
    pub(crate) fn stats(&self, now: Now) -> Vec<TrunkStats> {
        let of = |line: &Line| TrunkStats {
            name: line.trunk.name.clone(),
            up: line.is_up(now.instant),
            calls: line.calls.len(),
            calls_today: calls_today(&self.days, &line.trunk.name, now),
            calls_waiting: line.waiting.len(),
        };
        self.lines.iter().map(of).collect()
    }
}

#[cfg(test)]
#[path = "trunks_tests.rs"]
mod tests;
