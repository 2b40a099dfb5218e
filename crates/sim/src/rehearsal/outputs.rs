//! Carries out what the node wants done: rows go to the real store, requests are planned.

use std::time::Duration;

use model::{Callback, Change, Direction};
use node::{Failure, Input, Output, RecordingEnd};

use super::machine::{Event, Fetch, Machine};
use crate::played::chance::Chance;

/// Twilio's code for a storage that cannot be written.
const DISK_FAILED: u32 = 16_111;

impl Machine<'_> {
    /// Carries out all that the node wants done. Rows are committed while time stands still.
    pub(super) async fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Reply(ticket, answer) => {
                    if let Err(refusal) = &answer {
                        self.say(format!("  it is refused: {refusal}"));
                    }
                    self.played.answer(ticket, answer);
                }
                Output::Transmit(transmit) => {
                    let to = self.phones.iter().find(|phone| phone.address == transmit.to);
                    match to.map(|phone| phone.index) {
                        Some(index) => self.later(Event::ToPhone(index, transmit.octets)),
                        // A number of the account is called by the account.
                        None if transmit.to == self.address() => {
                            self.later(Event::ToNode(self.address(), transmit.octets));
                        }
                        None => {}
                    }
                }
                Output::Media(command) => self.media(command).await,
                Output::Commit(batch, changes) => {
                    changes.iter().for_each(|change| self.see(change));
                    let written = self.played.write(changes).await;
                    let now = self.now();
                    self.core.handle(Input::Committed(batch, written), now);
                }
                Output::Callback(callback) => {
                    self.outbox.push(callback);
                    self.deliver().await;
                }
                Output::Fetch { fetch, account, call, document, params } => {
                    let fetch = Box::new(Fetch { fetch, account, call, document, params });
                    self.agenda.put(Duration::ZERO, Event::Fetch(fetch));
                }
                Output::Resolve { call, .. } => self.later(Event::Resolved(call)),
                // A rehearsal has no trunks.
                Output::ResolveTrunk { .. } => {}
                Output::Load { play, account, sound } => {
                    self.agenda.put(Duration::ZERO, Event::Load(play, account, sound));
                }
                Output::OpenRecording { recording, id, layout } => {
                    match self.played.record(recording, layout) {
                        Ok(tape) => drop(self.tapes.insert(id, (recording, Some(tape)))),
                        Err(error) => {
                            let failure = Failure { code: DISK_FAILED, message: error.to_string() };
                            let end = RecordingEnd {
                                length: Duration::ZERO,
                                silent: false,
                                failure: Some(failure),
                            };
                            let now = self.now();
                            self.core.handle(Input::RecordingEnded(recording, end), now);
                        }
                    }
                }
                // Nobody recognises anything here.
                Output::Recognise { .. } | Output::RecognisePartly { .. } => {}
                Output::EraseRecording(recording) => self.played.erase(recording),
                Output::Stopped => {}
            }
        }
        self.keep_ticking();
    }

    async fn media(&mut self, command: media::Command) {
        if let media::Command::RemoveLeg(leg) = &command {
            self.ports.close(*leg);
        }
        let stopped = match &command {
            media::Command::StopRecording(id) => self.tapes.remove(id),
            _ => None,
        };
        self.shard.handle_command(command, self.agenda.instant());
        if let Some((recording, Some(tape))) = stopped {
            let end = tape.close();
            let now = self.now();
            self.core.handle(Input::RecordingEnded(recording, end), now);
        }
    }

    /// Takes note of a row.
    fn see(&mut self, change: &Change) {
        match change {
            Change::Call { record, .. } => {
                let (number, dialled) = match record.direction {
                    Direction::Inbound => (&record.from, false),
                    Direction::OutboundApi | Direction::OutboundDial => (&record.to, true),
                };
                let name = self.named(number);
                if self.seen.calls.insert(record.sid, name).is_none() {
                    if dialled {
                        self.say(format!("{} is dialled", self.named(number)));
                        self.seen.dialled.push(number.clone());
                    }
                    self.seen.by_number.insert(number.clone(), record.sid);
                }
            }
            Change::Conference { record, .. } => {
                self.seen.rooms.insert(record.friendly_name.clone(), record.sid);
            }
            Change::Recording { record, .. } if !self.seen.recordings.contains(&record.sid) => {
                self.say("a recording begins".to_owned());
                self.seen.recordings.push(record.sid);
            }
            Change::Notification(note) => {
                self.say(format!("the debugger log: {} {}", note.code, note.message));
            }
            _ => {}
        }
    }

    /// Sends all callbacks whose turn it is, in whatever way misfortune wants it.
    pub(super) async fn deliver(&mut self) {
        let now = self.agenda.instant();
        while let Some(callback) = self.outbox.poll_attempt(now) {
            self.send(callback).await;
        }
        while let Some(lane) = self.outbox.poll_read() {
            let rows = self.played.owed(&lane);
            self.outbox.handle_rows(&lane, rows, now);
        }
        while let Some(note) = self.outbox.poll_note() {
            self.say(format!("the debugger log: {} {}", note.code, note.message));
            self.played.note(note);
        }
    }

    async fn send(&mut self, callback: Callback) {
        let misfortune = &self.scenario.misfortune;
        let copies = if misfortune.callbacks_twice { 2 } else { 1 };
        let Some(late) = misfortune.callbacks_late.map(|late| late.0) else {
            for copy in 0..copies {
                let event = Event::Attempt(Box::new(callback.clone()), copy == 0);
                self.agenda.put(Duration::ZERO, event);
            }
            return;
        };
        // It is on a road of its own, where those after it may overtake it.
        let most = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        for _ in 0..copies {
            let after = self.random.millis(0, most);
            self.agenda.put(after, Event::Attempt(Box::new(callback.clone()), false));
        }
        self.answered(callback.sid, Ok(200)).await;
    }

    /// The outbox learns what came of a callback.
    pub(super) async fn answered(
        &mut self,
        sid: model::CallbackSid,
        answer: Result<u16, webhook::Failure>,
    ) {
        let now = self.agenda.instant();
        if let Some(done) = self.outbox.handle_answer(sid, answer, now) {
            self.played.write(vec![Change::Callback(Box::new(done))]).await;
        }
    }
}
