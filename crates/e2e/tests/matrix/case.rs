//! One case, from the first ring to the last BYE.

use std::future::ready;
use std::time::Duration;

use e2e::{Answer, Ear, Origin, Server, level};
use sim::Phone;

use crate::room::{self, ANNOUNCE, HOLD, Room, WAIT, WAIT_CHANGED, comes_about};
use crate::sets::{Case, Expected, PARAMETERS, Set};

/// The two notes of the exit beep.
const EXIT_BEEP: [u32; 2] = [880, 660];
/// Samples that are judged at a time.
const PIECE: usize = 2_400;
/// Pieces in which an announcement is looked for: it lasts ten, and its document is fetched first.
const ANNOUNCEMENT_LISTENS_MAX: usize = 50;
/// How long the exit beep is listened for.
const EXIT_LISTEN: Duration = Duration::from_millis(600);

/// What is judged, and what was found so far.
pub struct Played<'a> {
    room: Room<'a>,
    expected: Expected,
    faults: Vec<String>,
}

impl<'a> Played<'a> {
    /// Plays one case in a room of its own, of this name; returns what was not as expected.
    pub async fn alone(server: &'a Server, origin: &Origin, name: &str, case: Case) -> Vec<String> {
        let Some(room) = Room::open(server, origin, name, case.size, case.started).await else {
            return vec!["not everyone came in".to_owned()];
        };
        let mut played = Played { room, expected: Expected::new(case), faults: Vec::new() };
        played.update(origin).await;
        played.judge_exit(origin).await;
        played.judge_origin(origin).await;
        played.faults
    }

    /// Plays sets one after the other in one room, each undone before the next; nobody leaves.
    pub async fn in_turn(server: &'a Server, origin: &Origin, cases: Vec<Case>) -> Vec<String> {
        let Case { size, started, .. } = cases[0];
        let Some(room) = Room::open(server, origin, "turns", size, started).await else {
            return vec!["not everyone came in".to_owned()];
        };
        let mut played = Played { room, expected: Expected::new(cases[0]), faults: Vec::new() };
        let mut faults = Vec::new();
        for case in cases {
            played.expected = Expected::new(case);
            played.update(origin).await;
            let undo = ["Muted", "Hold", "BeepOnExit", "EndConferenceOnExit", "Coaching"];
            let undone =
                server.post(&played.room.path(0, false), &undo.map(|name| (name, "false"))).await;
            if undone.status != 200 {
                played.fault(format!("cannot be undone: {undone:?}"));
            }
            faults.extend(std::mem::take(&mut played.faults).into_iter().map(|f| about(case, &f)));
        }
        faults
    }

    /// Makes the request and judges what is heard and answered.
    async fn update(&mut self, origin: &Origin) {
        self.room.phones.iter().for_each(Phone::forget);
        let answer = self.ask(origin).await;
        if self.expected.announcement(0) {
            self.judge_announcement().await;
        }
        let faults = self.room.judge(|who, ear| self.ear(who, ear, false)).await;
        self.faults.extend(faults);
        self.judge_answer(&answer).await;
    }

    /// Looks for the announcement in all that was heard since the request: one ear has it, with what
    /// else is to be heard under it, and no other.
    async fn judge_announcement(&mut self) {
        let mut heard: Vec<Vec<i16>> = vec![Vec::new(); self.room.phones.len()];
        let mut faults = vec!["0 hears no announcement".to_owned()];
        for _ in 0..ANNOUNCEMENT_LISTENS_MAX {
            tokio::time::sleep(Duration::from_millis(PIECE as u64 / 8)).await;
            for (heard, phone) in heard.iter_mut().zip(&self.room.phones) {
                heard.extend(phone.heard());
            }
            let ears = heard[0].chunks_exact(PIECE).map(Ear::new);
            let full = ears.filter(|ear| ear.level(ANNOUNCE) > 2_000.0);
            let judged = full.map(|ear| self.ear(0, &ear, true)).min_by_key(Vec::len);
            faults = judged.unwrap_or(faults);
            if faults.is_empty() {
                break;
            }
        }
        self.faults.extend(faults);
        for (who, heard) in heard.iter().enumerate().skip(1) {
            if heard.chunks_exact(PIECE).any(|piece| level(piece, ANNOUNCE) > 125.0) {
                self.fault(format!("{who} hears the announcement to another"));
            }
        }
    }

    async fn ask(&self, origin: &Origin) -> Answer {
        let url = |kind| origin.url(&format!("/{}/{kind}", self.room.name));
        let (hold, announce, changed) = (url("hold"), url("announce"), url("changed"));
        let values = [
            "true",
            "true",
            &hold,
            "PUT",
            &announce,
            "PATCH",
            &changed,
            "DELETE",
            "true",
            "true",
            "true",
            &self.room.calls[1],
        ];
        let set = self.expected.case.set;
        let form: Vec<(&str, &str)> =
            PARAMETERS.into_iter().zip(values).filter(|(name, _)| set.has(name)).collect();
        self.room.server.post(&self.target(), &form).await
    }

    fn target(&self) -> String {
        self.room.path(0, self.expected.case.by_label)
    }

    fn conference(&self) -> String {
        format!("/Conferences/{}.json", self.room.conference)
    }

    async fn judge_answer(&mut self, answer: &Answer) {
        let set = self.expected.case.set;
        if self.expected.is_refused() {
            if answer.status != 400 || answer.body["code"] != 20001 {
                self.fault(format!("not refused: {answer:?}"));
            }
            return;
        }
        if answer.status != 200 {
            return self.fault(format!("refused: {answer:?}"));
        }
        let coaches = self.expected.coaches();
        let coach = if coaches { self.room.calls[1].as_str().into() } else { ().into() };
        let fields: [(&str, serde_json::Value); 5] = [
            ("muted", set.has("Muted").into()),
            ("hold", set.has("Hold").into()),
            ("end_conference_on_exit", set.has("EndConferenceOnExit").into()),
            ("coaching", coaches.into()),
            ("call_sid_to_coach", coach),
        ];
        let read = self.room.server.get(&self.target()).await;
        for (name, wanted) in fields {
            for body in [&answer.body, &read.body] {
                if body[name] != wanted {
                    self.fault(format!("{name} is {}, not {wanted}", body[name]));
                }
            }
        }
    }

    /// Compares what one ear heard with what it is to hear.
    fn ear(&self, listener: usize, ear: &Ear, announcing: bool) -> Vec<String> {
        let set = self.expected.case.set;
        if self.expected.is_held(listener) && !set.has("HoldUrl") && !announcing {
            // Our own hold music has tones of its own, which may be anyone's: where a marked
            // document plays in its place, the voices are looked for beneath it.
            let silent = ear.loudness() < 50.0;
            return silent.then(|| format!("{listener} hears no hold music")).into_iter().collect();
        }
        let announced = announcing && self.expected.announcement(listener);
        let documents = [
            ("the wait document", WAIT),
            ("the changed wait document", WAIT_CHANGED),
            ("the hold document", HOLD),
            ("the announcement", ANNOUNCE),
        ];
        let documents = documents.into_iter().filter_map(|(name, hertz)| {
            let loudness = ear.level(hertz) / 2_500.0;
            let about = format!("{listener} hears {name} at {loudness:.3}");
            if hertz == ANNOUNCE {
                room::fault(loudness, announced, &about)
            } else if announced {
                None
            } else {
                room::fault(loudness, self.expected.music(listener) == Some(hertz), &about)
            }
        });
        let hears = |speaker| self.expected.hears(listener, speaker);
        self.room.voices(listener, ear, hears).into_iter().chain(documents).collect()
    }

    /// Kicks the target, and looks at what becomes of the others.
    async fn judge_exit(&mut self, origin: &Origin) {
        self.room.phones.iter().for_each(Phone::forget);
        let answer = self.room.server.delete(&self.target()).await;
        if answer.status != 204 {
            self.fault(format!("not kicked: {answer:?}"));
        }
        tokio::time::sleep(EXIT_LISTEN).await;
        let beep = exit_beep(&self.room.phones[1].heard());
        let beeps = self.expected.beeps_on_exit();
        if self.expected.case.started && beeps != (beep > 600.0) {
            self.fault(format!("an exit beep of {beep:.0}, expected: {beeps}"));
        }
        let ended = self.expected.ends_on_exit();
        let going = if self.expected.case.started { "in-progress" } else { "init" };
        let wanted = if ended { "completed" } else { going };
        let (server, path) = (self.room.server, self.conference());
        let status = || async { server.get(&path).await.text("status") };
        if !comes_about(|| async { status().await == wanted }).await {
            let status = status().await;
            self.fault(format!("the conference is {status}, not {wanted}"));
        }
        let others = 1..self.room.phones.len();
        let left = if ended { 0 } else { others.len() };
        if !comes_about(|| ready(self.room.up(others.clone()) == left)).await {
            let up = self.room.up(others.clone());
            self.fault(format!("{up} others are up, not {left}"));
        }
        if !comes_about(|| ready(self.room.up(0..1) == 0)).await {
            self.fault("the kicked one is still there".to_owned());
        }
        self.room.phones.clear();
        let callback = format!("/callback/{}", self.room.name);
        let end = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
        if origin.wait_for(&callback, end).await.is_none() {
            self.fault("no conference-end was told".to_owned());
        }
    }

    /// Compares what the origin was asked and told.
    async fn judge_origin(&mut self, origin: &Origin) {
        let name = self.room.name.clone();
        for kind in ["hold", "announce", "changed"] {
            let asked = origin.asked(&format!("/{name}/{kind}")).into_iter();
            let methods: Vec<String> = asked.map(|asked| asked.method).collect();
            let wanted = self.expected.asked();
            let wanted = wanted.iter().find(|(name, _)| *name == kind).map(|(_, method)| *method);
            let right = match wanted {
                Some(method) => methods.iter().all(|asked| asked == method) && !methods.is_empty(),
                None => methods.is_empty(),
            };
            if !right {
                self.fault(format!("the {kind} document was asked for by {methods:?}"));
            }
        }
        let told = origin.asked(&format!("/callback/{name}"));
        let events = told.iter().map(|told| told.param("StatusCallbackEvent"));
        let events: Vec<&str> = events
            .filter(|event| ["mute", "hold", "modify"].iter().any(|end| event.ends_with(end)))
            .collect();
        if events != self.expected.events() {
            self.fault(format!("told {events:?}, expected {:?}", self.expected.events()));
        }
        let sequence: Vec<String> =
            told.iter().map(|told| told.param("SequenceNumber").to_owned()).collect();
        let wanted: Vec<String> = (1..=told.len()).map(|number| number.to_string()).collect();
        if sequence != wanted {
            self.fault(format!("the callbacks are numbered {sequence:?}"));
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}

/// Says of which case a fault is.
pub fn about(case: Case, fault: &str) -> String {
    let Case { set, size, started, by_label } = case;
    let state = if started { "in progress" } else { "init" };
    let by = if by_label { "label" } else { "SID" };
    format!("{} in a room of {size}, {state}, by {by}: {fault}", Set::name(set))
}

/// How loud the exit beep is: it is short, and looked for piece by piece, one note after the other.
fn exit_beep(heard: &[i16]) -> f64 {
    let pieces: Vec<&[i16]> = heard.chunks_exact(480).collect();
    let loudness = |index: usize, hertz| pieces.get(index).map_or(0.0, |piece| level(piece, hertz));
    let [first, second] = EXIT_BEEP;
    (0..pieces.len())
        .map(|at| loudness(at, first).min(loudness(at + 1, second).max(loudness(at + 2, second))))
        .fold(0.0, f64::max)
}
