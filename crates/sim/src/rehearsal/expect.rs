//! The end of a rehearsal: what was heard is judged, and what must have come about.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

use super::DATE;
use super::ear;
use super::machine::Machine;
use super::report::Verdict;
use super::scenario::Expectation;
use super::sounds::Wanted;

impl Machine<'_> {
    /// Judges what was heard and what came about, and completes the timeline.
    pub(super) async fn conclude(&mut self) {
        let time = self.agenda.time();
        self.ears.iter_mut().for_each(|ear| ear.pass_to(time));
        for (index, window) in std::mem::take(&mut self.listening) {
            self.judge_step(index, window);
        }
        let scenario = self.scenario;
        for expectation in &scenario.expect {
            let (about, result) = self.judge(expectation.get_ref());
            self.verdict(about, result);
        }
        for (index, name) in scenario.phones.keys().enumerate() {
            for (at, what) in self.sounds.timeline(&self.ears[index]) {
                let what = if what.is_empty() { "nothing more" } else { &what };
                self.report.say(at, format!("{name} hears {what}"));
            }
            self.report.heard.insert(name.clone(), self.ears[index].heard().to_vec());
        }
        for (date, to, body) in self.messages() {
            let at = date.since(DATE);
            self.report.say(at, format!("a message to {}: {body}", self.named(&to)));
        }
        self.report.lasted = time;
        self.report.conclude();
    }

    fn judge_step(&mut self, index: usize, window: std::ops::Range<Duration>) {
        let Some(step) = self.scenario.steps.get(index).map(|step| step.get_ref()) else { return };
        let name = step.phone.clone().unwrap_or_default();
        let Some(phone) = self.scenario.phones.keys().position(|other| *other == name) else {
            return;
        };
        let both = [(&step.hears, true), (&step.hears_not, false)];
        for (text, must) in both {
            let Some(text) = text else { continue };
            let Some(wanted) = Wanted::of(text, self.scenario) else { continue };
            let result = self.sounds.judge(&self.ears[phone], &wanted, must, window.clone());
            let (from, to) = (window.start.as_secs_f64(), window.end.as_secs_f64());
            let word = if must { "hears" } else { "does not hear" };
            let about = format!("{name} {word} {text} from {from:.1} s to {to:.1} s");
            self.report.verdicts.push(Verdict { at: window.start, about, result });
        }
    }

    /// Counts the requests to a path with these fields.
    pub(super) fn count(
        &self,
        is_callback: bool,
        path: &str,
        with: &BTreeMap<String, String>,
    ) -> usize {
        let requests = self.seen.requests.iter();
        let asked = requests
            .filter(|request| request.is_callback == is_callback && request.path == path)
            .filter(|request| {
                let has = |(name, value): (&String, &String)| {
                    let name = |(key, _): &&(String, String)| key == name;
                    let found = request.params.iter().find(name);
                    found.is_some_and(|(_, other)| other == value)
                };
                with.iter().all(has)
            });
        asked.count()
    }

    /// Returns the messages that were sent: when, to whom, what.
    pub(super) fn messages(&self) -> Vec<(Timestamp, String, String)> {
        let handle = self.played.handle();
        let messages = handle.store().resources_of_kind(model::Kind::Message).unwrap_or_default();
        let message = |one: model::Resource| {
            let text = |field| one.text(field).unwrap_or_default().to_owned();
            (one.date_created, text("to"), text("body"))
        };
        messages.into_iter().map(message).collect()
    }

    fn judge(&self, wanted: &Expectation) -> (String, Result<(), String>) {
        for (is_callback, path) in [(true, &wanted.callback), (false, &wanted.document)] {
            let Some(path) = path else { continue };
            let found = self.count(is_callback, path, &wanted.with);
            let kind = if is_callback { "callback" } else { "document" };
            let with = wanted.with.iter().map(|(name, value)| format!(" {name}={value}"));
            let about = format!("{kind} {path}{}", with.collect::<String>());
            return (about, counted(found, wanted.times));
        }
        if let Some(numbers) = &wanted.dialled {
            let about = format!("dialled: {}", numbers.join(", "));
            let dialled = &self.seen.dialled;
            let fits = numbers == dialled;
            let told = || format!("dialled were, in this order: {}", dialled.join(", "));
            return (about, if fits { Ok(()) } else { Err(told()) });
        }
        if let Some(name) = &wanted.redirected {
            let to = wanted.to.as_deref();
            let about = format!("{name} is redirected to {}", to.unwrap_or("anything"));
            let of = |call| self.seen.calls.get(call).is_some_and(|other| other == name);
            let fits = |other: &String| to.is_none_or(|to| other.as_str() == to);
            let found = self.seen.redirected.iter().any(|(call, path)| of(call) && fits(path));
            return (about, if found { Ok(()) } else { Err("it was not".to_owned()) });
        }
        if let Some(to) = &wanted.message_to {
            let body = wanted.body.as_deref().unwrap_or_default();
            let messages = self.messages();
            let fits = |(_, other, text): &&(_, String, String)| other == to && text.contains(body);
            let found = messages.iter().filter(fits).count();
            return (format!("a message to {to} with {body:?}"), counted(found, wanted.times));
        }
        if let (Some(name), Some(keys)) = (&wanted.phone, &wanted.keys) {
            let index = self.scenario.phones.keys().position(|other| other == name);
            let sent = index.map(|index| self.ears[index].keys.as_str()).unwrap_or_default();
            let fits = sent == keys;
            let told = || format!("it was sent {sent:?}");
            return (format!("{name} is sent {keys}"), if fits { Ok(()) } else { Err(told()) });
        }
        if let Some(many) = wanted.recordings {
            return (format!("{many} recordings"), counted(self.seen.recordings.len(), Some(many)));
        }
        let both = [(&wanted.recorded, true), (&wanted.not_recorded, false)];
        let names = both.iter().find_map(|(names, must)| Some(((*names).as_ref()?, *must)));
        let Some((names, must)) = names else { return (String::new(), Ok(())) };
        let word = if must { "recorded" } else { "not recorded" };
        let wrong: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| self.is_recorded(name) != must)
            .collect();
        let result = match wrong.as_slice() {
            [] => Ok(()),
            wrong => Err(format!("otherwise it is with {}", wrong.join(", "))),
        };
        (format!("{word}: {}", names.join(", ")), result)
    }

    /// Whether a phone is heard in a recording.
    fn is_recorded(&self, name: &str) -> bool {
        let Some(index) = self.scenario.phones.keys().position(|other| other == name) else {
            return false;
        };
        let handle = self.played.handle();
        self.seen.recordings.iter().any(|recording| {
            let file = std::fs::read(handle.recording_file(*recording)).ok();
            let pcm = file.and_then(|octets| sound::decode(octets).ok()).unwrap_or_default();
            pcm.chunks_exact(ear::BLOCK).any(|block| ear::has_tone(block, index))
        })
    }
}

fn counted(found: usize, wanted: Option<usize>) -> Result<(), String> {
    match wanted {
        Some(wanted) if wanted != found => Err(format!("there were {found}, not {wanted}")),
        None if found == 0 => Err("there was none".to_owned()),
        Some(_) | None => Ok(()),
    }
}
