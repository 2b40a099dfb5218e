//! Session timers: how a far end that vanished is noticed.
//!
//! Source: RFC 4028.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::rand_core::RngCore;
use serde::{Deserialize, Serialize};

use crate::agent::*;
use crate::call::State;
use crate::deadline::Timer;
use crate::message::Message;
use crate::transaction::Kind;

/// The interval that we ask for.
pub(crate) const SESSION_EXPIRES_S: u32 = 1_800;
/// The longest that we grant.
const SESSION_EXPIRES_S_MAX: u32 = 86_400;
/// The shortest that we take. Source: section 4.
pub(crate) const MIN_SE_S: u32 = 90;
/// When a refresh that met a passing trouble is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimer {
    pub(crate) interval_s: u32,
    /// Whether it is us who refresh.
    pub(crate) we_refresh: bool,
}

/// A timer that runs.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    refresh_at: Option<Instant>,
    /// When the call is given up; it is somewhat before the interval ends.
    ends_at: Instant,
}

/// What we answer to a request that may set a timer.
#[derive(Debug)]
pub enum Judged {
    /// There is to be none.
    Without,
    /// This one, and whether the far end knows of timers.
    With(SessionTimer, bool),
    /// It is too short.
    TooSmall,
}

/// Reads a number that parameters may follow.
fn seconds(message: &Message, name: &str) -> Option<u32> {
    message.header(name)?.split(';').next()?.trim().parse().ok()
}

/// Judges the timer of an INVITE or UPDATE. Source: section 9.
pub fn judge(request: &Message) -> Judged {
    let Some(asked) = seconds(request, "Session-Expires") else { return Judged::Without };
    let knows = request.lists("Supported", "timer") || request.lists("Require", "timer");
    let least = seconds(request, "Min-SE").unwrap_or(0).max(MIN_SE_S);
    // One that a proxy asks for cannot be refused: its client would not understand.
    if asked < MIN_SE_S && knows {
        return Judged::TooSmall;
    }
    let interval_s = asked.min(SESSION_EXPIRES_S_MAX).max(least);
    let refresher = request.header_parameter("Session-Expires", "refresher");
    let we_refresh = !knows || refresher.is_some_and(|who| who.eq_ignore_ascii_case("uas"));
    Judged::With(SessionTimer { interval_s, we_refresh }, knows)
}

/// Writes what we agree to into a 2xx.
pub fn grant(response: &mut Message, judged: &Judged) {
    let Judged::With(SessionTimer { interval_s, we_refresh }, knows) = judged else { return };
    let refresher = if *we_refresh { "uas" } else { "uac" };
    response.push("Session-Expires", format!("{interval_s};refresher={refresher}"));
    if *knows {
        response.push("Require", "timer");
    }
}

/// Asks for a timer in an INVITE or UPDATE of ours.
pub fn ask(request: &mut Message, interval_s: u32, refresher: &str) {
    request.push("Session-Expires", format!("{interval_s}{refresher}"));
    if interval_s != SESSION_EXPIRES_S {
        request.push("Min-SE", interval_s.max(MIN_SE_S).to_string());
    }
}

/// Reads what a 2xx to us agrees to. Source: section 7.2.
pub fn granted(response: &Message) -> Option<SessionTimer> {
    let interval_s = seconds(response, "Session-Expires")?.clamp(MIN_SE_S, SESSION_EXPIRES_S_MAX);
    let refresher = response.header_parameter("Session-Expires", "refresher");
    let we_refresh = !refresher.is_some_and(|who| who.eq_ignore_ascii_case("uas"));
    Some(SessionTimer { interval_s, we_refresh })
}

/// Returns the interval that a 422 asks for; nothing where it is no longer than what was offered.
pub fn longer(response: &Message, offered_s: u32) -> Option<u32> {
    let least = seconds(response, "Min-SE")?;
    (least > offered_s && least <= SESSION_EXPIRES_S_MAX).then_some(least)
}

/// Returns the interval that a request of ours asked for.
pub fn offered(request: &Message) -> u32 {
    seconds(request, "Session-Expires").unwrap_or(0)
}

impl Agent {
    /// Starts, restarts or stops the timer of a call.
    pub(crate) fn set_timer(&mut self, id: CallId, timer: Option<SessionTimer>, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.dialog.timer = timer;
        call.timer = timer.map(|SessionTimer { interval_s, we_refresh }| {
            // Section 10: a third of the interval before its end, at most 32 s.
            let lasts_s = interval_s - (interval_s / 3).min(32);
            let half = Duration::from_secs(u64::from(interval_s) / 2);
            Running {
                refresh_at: we_refresh.then(|| now + half),
                ends_at: now + Duration::from_secs(lasts_s.into()),
            }
        });
        self.arm_timer(id);
    }

    fn arm_timer(&mut self, id: CallId) {
        let due = self.calls.get(&id).and_then(|call| {
            let running = call.timer.into_iter().flat_map(|r| [r.refresh_at, Some(r.ends_at)]);
            running.chain([call.moves_at]).flatten().min()
        });
        self.deadlines.set(Timer::Session(id), due);
    }

    /// Tells the far end that our media is at `media` from now on; it says by
    /// [`Event::MediaChanged`] if its own moves with it.
    pub fn move_media(&mut self, id: CallId, media: SocketAddr, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if matches!(call.state, State::Up | State::Answered) {
            call.media = Some(media);
            call.moves_at = Some(now);
            self.session_due(id, now);
        }
    }

    /// Refreshes the session, speaks of our media again, or gives the call up.
    pub(crate) fn session_due(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.timer.is_some_and(|running| running.ends_at <= now) {
            return self.lose(id, now);
        }
        let busy = call.client.is_some() || call.server.is_some() || call.state != State::Up;
        let again = busy.then_some(now + AGAIN);
        let moves = call.moves_at.is_some_and(|at| at <= now);
        if moves {
            call.moves_at = again;
        }
        let refreshes = call.timer.as_mut().and_then(|running| {
            let due = running.refresh_at.is_some_and(|at| at <= now);
            // What speaks of media refreshes as well.
            (due || moves && !busy).then(|| running.refresh_at = again)
        });
        let interval_s = call.dialog.timer.map(|timer| timer.interval_s);
        self.arm_timer(id);
        match (busy, moves, refreshes) {
            (true, ..) | (_, false, None) => {}
            (false, true, _) => {
                let timer = interval_s.map(|interval_s| (interval_s, ";refresher=uac"));
                self.reinvite(id, timer, true, now);
            }
            (false, false, Some(())) => self.refresh_session(id, None, now),
        }
    }

    /// Refreshes by UPDATE if the far end takes it, by INVITE otherwise.
    pub(crate) fn refresh_session(&mut self, id: CallId, longer: Option<u32>, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let timer = call.dialog.timer;
        let interval_s = longer.or(timer.map(|timer| timer.interval_s));
        let more = interval_s.map(|interval_s| (interval_s, ";refresher=uac"));
        if call.dialog.takes_update {
            self.update(id, more, now);
        } else {
            self.reinvite(id, more, false, now);
        }
    }

    /// Asks again for what was refused because its interval was too short.
    fn ask_longer(&mut self, id: CallId, (kind, interval_s): (Kind, u32), now: Instant) {
        let moving = self.calls.get(&id).is_some_and(|call| call.moving);
        if kind == Kind::Reinvite && moving {
            self.reinvite(id, Some((interval_s, ";refresher=uac")), true, now);
        } else {
            self.refresh_session(id, Some(interval_s), now);
        }
    }

    /// What comes of a refresh that was refused.
    pub(crate) fn refresh_refused(
        &mut self,
        id: CallId,
        (kind, request): (Kind, &Message),
        response: &Message,
        now: Instant,
    ) {
        let wait = match response.status() {
            422 => match longer(response, offered(request)) {
                Some(interval_s) => return self.ask_longer(id, (kind, interval_s), now),
                None => None,
            },
            405 | 501 if kind == Kind::Update => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.dialog.takes_update = false;
                }
                return self.refresh_session(id, None, now);
            }
            491 => Some(self.glare_pause(id)),
            _ => Some(AGAIN),
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let at = wait.map(|wait| now + wait);
        if call.moving && response.status() == 491 {
            call.moves_at = at;
        }
        if let Some(running) = &mut call.timer {
            running.refresh_at = at;
        }
        self.arm_timer(id);
    }

    /// Returns how long to wait after a 491. Source: RFC 3261 section 14.1.
    fn glare_pause(&mut self, id: CallId) -> Duration {
        let draw = self.random.next_u32();
        let caller = self.calls.get(&id).is_some_and(|call| call.dialog.caller);
        let tens = if caller { 210 + draw % 191 } else { draw % 201 };
        Duration::from_millis(u64::from(tens) * 10)
    }
}
