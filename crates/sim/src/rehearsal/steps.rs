//! The steps of a scenario: what phones and the scenario itself do, and when.

use std::time::{Duration, Instant};

use super::machine::{Event, Machine, manner};
use super::scenario::{Condition, LISTENS_FOR, LineIs, Step, WAIT_WITHIN};
use crate::played::phone::Line;

/// How long the rehearsal goes on after its last step, unless the scenario says so.
const GOES_ON: Duration = Duration::from_secs(1);

impl Machine<'_> {
    /// Puts the next step, or the end, into the agenda.
    pub(super) fn plan_step(&mut self) {
        let now = self.agenda.time();
        let step = self.scenario.steps.get(self.next_step).map(|step| step.get_ref());
        let Some(step) = step else {
            let lasts = self.scenario.lasts.map(|lasts| lasts.0);
            let end = lasts.unwrap_or(self.ends_at.max(now) + GOES_ON);
            return self.agenda.put(end.saturating_sub(now), Event::End);
        };
        let after = match (step.at, step.after) {
            (Some(at), _) => at.0.saturating_sub(now),
            (None, Some(after)) => after.0,
            (None, None) => Duration::ZERO,
        };
        self.agenda.put(after, Event::Step);
    }

    /// Does the next step.
    pub(super) async fn act(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let index = self.next_step;
        let Some(step) = scenario.steps.get(index).map(|step| step.get_ref()) else {
            return Ok(());
        };
        self.next_step += 1;
        if let Some(condition) = &step.wait_for {
            let within = step.within.map_or(WAIT_WITHIN, |within| within.0);
            self.say(format!("the scenario waits for {}", condition.words()));
            self.waiting = Some((index, Instant::now() + within));
            self.paced = Some((Instant::now(), self.agenda.time()));
            return Ok(());
        }
        if let Some(request) = step.request.as_ref().or(step.visit.as_ref()) {
            self.request(request, step).await?;
        }
        let name = step.phone.as_deref().unwrap_or_default();
        if let Some(phone) = scenario.phones.keys().position(|other| other == name) {
            self.act_as(phone, name, step);
            if step.hears.is_some() || step.hears_not.is_some() {
                let from = self.agenda.time();
                let until = from + step.lasts.map_or(LISTENS_FOR, |lasts| lasts.0);
                self.listening.push((index, from..until));
                self.ends_at = self.ends_at.max(until);
            }
        }
        self.plan_step();
        Ok(())
    }

    fn act_as(&mut self, index: usize, name: &str, step: &Step) {
        let now = self.agenda.instant();
        let before = self.phones[index].line;
        let up = matches!(before, Line::Up(_));
        if let Some(number) = &step.calls {
            if before != Line::Idle {
                let why = "it has a call already".to_owned();
                return self.verdict(format!("{name} calls {number}"), Err(why));
            }
            self.say(format!("{name} calls {number}"));
            let node = self.address();
            self.phones[index].dial(number, node, now);
        }
        if let Some(keys) = &step.presses {
            if !up {
                let why = "its call is not up".to_owned();
                return self.verdict(format!("{name} presses {keys}"), Err(why));
            }
            self.say(format!("{name} presses {keys}"));
            self.phones[index].press(keys);
        }
        if step.hangs_up {
            if before == Line::Idle {
                let why = "it has no call".to_owned();
                return self.verdict(format!("{name} hangs up"), Err(why));
            }
            self.say(format!("{name} hangs up"));
            self.phones[index].hang_up(now);
        }
        if step.drops {
            self.say(format!("{name} loses its power"));
            self.phones[index].dead = true;
        }
        if let Some(plan) = step.when_called {
            let answers = self.scenario.phones.values().nth(index);
            let after = answers.map_or(GOES_ON, |plan| plan.get_ref().answers_after());
            self.phones[index].manner = manner(plan, after);
        }
        if let Some(wanted) = step.is {
            let is = is(before);
            let result = if is == wanted { Ok(()) } else { Err(format!("it is {}", word(is))) };
            self.verdict(format!("{name} is {}", word(wanted)), result);
        }
        self.sent_by(index, if step.calls.is_some() { self.phones[index].line } else { before });
    }

    /// Waits on the clock of the wall; false where something came by the API meanwhile, true when what is due at
    /// `at` may happen.
    pub(super) async fn wait(&mut self, at: Duration) -> bool {
        let Some((index, until)) = self.waiting else { return true };
        let scenario = self.scenario;
        let step = scenario.steps.get(index).map(|step| step.get_ref());
        let Some(condition) = step.and_then(|step| step.wait_for.as_ref()) else { return true };
        let met = self.is_met(condition);
        if met || Instant::now() >= until {
            self.waiting = None;
            self.paced = None;
            let why = "it did not come about in time".to_owned();
            let about = format!("the scenario waits for {}", condition.words());
            self.verdict(about, if met { Ok(()) } else { Err(why) });
            self.plan_step();
            return false;
        }
        let Some((began, then)) = self.paced else { return true };
        let turn = began.checked_add(at.saturating_sub(then)).unwrap_or(until).min(until);
        tokio::select! {
            asked = self.played.asked() => {
                self.pass_paced();
                self.take(asked).await;
                false
            }
            () = tokio::time::sleep_until(turn.into()) => Instant::now() < until,
        }
    }

    /// Lets as much time pass as on the wall, as far as nothing was due.
    fn pass_paced(&mut self) {
        if let Some((began, then)) = self.paced {
            let at = then + began.elapsed();
            let due = self.due().unwrap_or(at);
            self.agenda.pass_to(at.min(due));
            self.played.pass_to(self.now().wall);
        }
    }

    fn is_met(&self, condition: &Condition) -> bool {
        if let (Some(name), Some(wanted)) = (&condition.phone, condition.is) {
            let index = self.scenario.phones.keys().position(|other| other == name);
            return index.is_some_and(|index| is(self.phones[index].line) == wanted);
        }
        if let Some(path) = &condition.callback {
            return self.count(true, path, &condition.with) > 0;
        }
        if let Some(number) = &condition.dialled {
            return self.seen.dialled.contains(number);
        }
        condition
            .message_to
            .as_ref()
            .is_some_and(|to| self.messages().iter().any(|(_, other, _)| other == to))
    }

    /// Makes a request of the scenario's own, to the API or to the application.
    async fn request(&mut self, request: &str, step: &Step) -> Result<(), String> {
        let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
        let path = self.filled(path);
        let form: Vec<(String, String)> =
            step.form.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect();
        let (verb, status) = if step.visit.is_some() {
            self.say(format!("somebody visits {method} {path}"));
            let visit = self.played.visit(method, format!("{}{path}", self.app), form);
            ("visits", self.stand_still(visit).await)
        } else {
            self.say(format!("the scenario asks {request}"));
            let asked = self.played.ask(method, &path, form);
            ("asks", self.stand_still(asked).await)
        };
        let result = match (status, step.status) {
            (Ok(status), Some(wanted)) if status == wanted => Ok(()),
            (Ok(..400), None) => Ok(()),
            (Ok(status), _) => Err(format!("the answer is {status}")),
            (Err(why), _) => Err(why),
        };
        self.verdict(format!("the scenario {verb} {request}"), result);
        Ok(())
    }

    /// Puts SIDs in the place of `{phone}`, `{room:NAME}`, and the application's address in that of `{app}`.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.replace("{app}", &self.app);
        for (name, plan) in &self.scenario.phones {
            if let Some(call) = self.seen.by_number.get(&plan.get_ref().number) {
                filled = filled.replace(&format!("{{{name}}}"), &call.to_string());
            }
        }
        for (name, room) in &self.seen.rooms {
            filled = filled.replace(&format!("{{room:{name}}}"), &room.to_string());
        }
        filled
    }

    /// Takes the account's numbers, as a customer would.
    pub async fn take_numbers(&mut self, absolute: impl Fn(&str) -> String) -> Result<(), String> {
        let numbers = &self.scenario.numbers;
        for (number, voice) in numbers {
            let form = vec![
                ("PhoneNumber".to_owned(), number.clone()),
                ("VoiceUrl".to_owned(), absolute(voice)),
            ];
            let asked = self.played.ask("POST", "/IncomingPhoneNumbers.json", form);
            let status = self.stand_still(asked).await?;
            if status >= 400 {
                return Err(format!("{number} cannot be the account's: the API answers {status}"));
            }
        }
        Ok(())
    }
}

impl Condition {
    /// Says what is waited for.
    pub(super) fn words(&self) -> String {
        let Self { phone, is, callback, dialled, message_to, .. } = self;
        match (phone, is, callback, dialled, message_to) {
            (Some(phone), Some(is), ..) => format!("{phone} to be {}", word(*is)),
            (_, _, Some(path), ..) => format!("a callback to {path}"),
            (_, _, _, Some(number), _) => format!("{number} to be dialled"),
            _ => format!("a message to {}", message_to.as_deref().unwrap_or_default()),
        }
    }
}

fn is(line: Line) -> LineIs {
    match line {
        Line::Idle => LineIs::Idle,
        Line::Early => LineIs::Ringing,
        Line::Up(_) => LineIs::Up,
    }
}

fn word(is: LineIs) -> &'static str {
    match is {
        LineIs::Idle => "idle",
        LineIs::Ringing => "ringing",
        LineIs::Up => "up",
    }
}
