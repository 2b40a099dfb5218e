//! Carries out what the node wants done, with a disk, a web and a network that do not exist.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use media::Command as Media;
use model::{Callback, CallbackSid, CallbackState, Change, RecordingSid};
use node::{
    BatchId, Input, Output, ROWS_MAX, RecordingEnd, Refusal, Reply, Sound, Ticket, Written,
};

use crate::played::chance::Chance;

use super::invariants::{self, Held};
use super::{Event, World, first_line};

/// What the node did because of one input.
#[derive(Debug, Default)]
pub struct Emitted {
    /// Answers to commands.
    pub replies: Vec<(Ticket, Result<Reply, Refusal>)>,
    /// All else.
    pub others: usize,
}

impl World {
    /// Hands the node an input and carries out what comes of it.
    pub(super) fn input(&mut self, input: Input) -> Held {
        let now = self.now();
        let Some(node) = &mut self.node else { return Ok(()) };
        node.core.handle(input, now);
        self.carry_out()
    }

    /// Lets the node do what is due; nothing may be due after that.
    pub(super) fn node_due(&mut self) -> Held {
        let now = self.now();
        let Some(node) = &mut self.node else { return Ok(()) };
        node.core.handle_timeout(now);
        let due = node.core.poll_timeout().filter(|due| *due <= now.instant);
        if due.is_some() {
            return Err(("no_deadline_is_left_undone", "it is still due".to_owned()));
        }
        self.carry_out()
    }

    /// Carries out all that the node wants done.
    pub(super) fn carry_out(&mut self) -> Held {
        let emitted = self.emit()?;
        for (ticket, answer) in emitted.replies {
            self.replied(ticket, answer)?;
        }
        Ok(())
    }

    /// Carries out everything but the replies.
    pub(super) fn emit(&mut self) -> Result<Emitted, invariants::Fault> {
        let mut emitted = Emitted::default();
        while let Some(output) = self.node.as_mut().and_then(|node| node.core.poll_output()) {
            match output {
                Output::Reply(ticket, answer) => {
                    emitted.replies.push((ticket, answer));
                    continue;
                }
                Output::Transmit(transmit) => self.transmit(&transmit),
                Output::Media(command) => self.media(command),
                Output::Commit(batch, changes) => self.hand_out(batch, changes)?,
                Output::Callback(callback) => {
                    if let Some(node) = &mut self.node {
                        node.outbox.push(callback);
                    }
                    self.deliver();
                }
                Output::Fetch { fetch, document, .. } => {
                    self.note(|| format!("{fetch:?} asks for {}", document.url));
                    let (result, after) = self.web.document(&document.url, &mut self.random);
                    self.schedule(after, Event::Fetched(self.incarnation, fetch, result));
                }
                Output::Resolve { call, name } => {
                    let known = name.ends_with(".test");
                    let addresses = known.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                    let after = self.random.millis(1, 800);
                    let addresses = addresses.into_iter().collect();
                    self.schedule(after, Event::Resolved(self.incarnation, call, addresses));
                }
                // These nodes have no trunks.
                Output::ResolveTrunk { .. } => {}
                Output::Load { play, sound, .. } => {
                    let url = if let Sound::Url(url) = &sound { url } else { "short.wav" };
                    let (result, after) = self.web.sound(url, &mut self.random);
                    self.schedule(after, Event::Loaded(self.incarnation, play, result));
                }
                Output::OpenRecording { recording, id, .. } => {
                    if let Some(node) = &mut self.node {
                        node.recordings.insert(id, recording);
                    }
                }
                // Nobody recognises anything here.
                Output::EraseRecording(_)
                | Output::Recognise { .. }
                | Output::RecognisePartly { .. } => {}
                Output::Stopped => self.stopped = true,
            }
            emitted.others += 1;
        }
        Ok(emitted)
    }

    fn transmit(&mut self, transmit: &sip::Transmit) {
        let to = self.phones.iter().find(|phone| phone.address == transmit.to);
        let Some(index) = to.map(|phone| phone.index) else { return };
        self.note(|| format!("the node sends phone{index} {}", first_line(&transmit.octets)));
        for after in self.network(1, 40) {
            self.schedule(after, Event::ToPhone(index, transmit.octets.clone()));
        }
    }

    fn media(&mut self, command: Media) {
        match &command {
            Media::Play { player, to, loops, paused, .. } => {
                self.note(|| format!("{player:?} plays to {to:?}, {loops:?} times, {paused}"));
            }
            command => self.note(|| format!("{command:?}")),
        }
        if let Media::RemoveLeg(leg) = &command {
            self.ports.close(*leg);
        }
        if let Media::StopRecording(id) = &command
            && let Some(recording) = self.node.as_mut().and_then(|node| node.recordings.remove(id))
        {
            let after = self.random.millis(1, 400);
            self.schedule(after, Event::Recorded(self.incarnation, recording));
        }
        self.digest(&[match &command {
            Media::AddLeg(..) => 1,
            Media::UpdateLeg(..) => 2,
            Media::BoundJitter(..) => 3,
            Media::RemoveLeg(..) => 4,
            Media::Route(..) => 5,
            Media::Play { .. } => 6,
            Media::Pause(..) => 7,
            Media::Stop(..) => 8,
            Media::SendDigits(..) => 9,
            Media::OpenTap(..) => 10,
            Media::CloseTap(..) => 11,
            Media::Record(..) => 12,
            Media::PauseRecording(..) => 13,
            Media::StopRecording(..) => 14,
            Media::Track(..) => 15,
            Media::Detect(..) => 16,
            Media::Depart(..) => 17,
        }]);
        let now = self.instant();
        if let Some(node) = &mut self.node {
            node.shard.handle_command(command, now);
        }
        self.keep_ticking();
    }

    /// Hands the disk a batch, which it writes when it is done with those before.
    fn hand_out(&mut self, batch: BatchId, changes: Vec<Change>) -> Held {
        self.judge_batch(&changes)?;
        self.push(Some(batch), changes.clone());
        self.judge_rows(&changes)
    }

    pub(super) fn push(&mut self, batch: Option<BatchId>, changes: Vec<Change>) {
        let lines: Vec<String> =
            if self.options.trace { changes.iter().map(describe).collect() } else { Vec::new() };
        self.note(|| format!("{batch:?} to write: {}", lines.join(", ")));
        self.disk.push(batch, changes);
        let slow = if self.random.one_in(30) { 600 } else { 20 };
        let takes = self.random.millis(1, slow);
        self.disk_until = self.disk_until.max(self.agenda.time()) + takes;
        let after = self.disk_until - self.agenda.time();
        self.schedule(after, Event::Commit(self.incarnation));
        self.rows_changed();
    }

    /// The disk has written a batch, or could not.
    pub(super) fn commit(&mut self) -> Held {
        let Some(applied) = self.disk.apply() else { return Ok(()) };
        self.rows_changed();
        self.note(|| {
            let word = if applied.written { "written" } else { "refused by the disk" };
            format!("{:?} is {word}", applied.batch)
        });
        match applied.batch {
            Some(batch) if applied.written => self.input(Input::Committed(batch, Written::Yes)),
            Some(batch) => self.input(Input::Committed(batch, Written::Later)),
            None => Ok(()),
        }
    }

    /// The disk works again and writes what it owes.
    pub(super) fn disk_works(&mut self) -> Held {
        self.note(|| "the disk works again".to_owned());
        let late = self.disk.retry();
        self.rows_changed();
        for batch in late {
            self.input(Input::Committed(batch, Written::Yes))?;
        }
        Ok(())
    }

    /// Sends all callbacks whose turn it is.
    pub(super) fn deliver(&mut self) {
        let now = self.instant();
        while let Some(callback) = self.node.as_mut().and_then(|node| node.outbox.poll_attempt(now))
        {
            let answer = self.web.attempt(&mut self.random);
            let sid = callback.sid;
            self.note(|| format!("{} is sent: {:?}", about(&callback), answer.result));
            if answer.received {
                let comes = answer.after.min(Duration::from_millis(200)).mul_f32(0.5);
                self.schedule(comes, Event::Received(self.incarnation, Box::new(callback)));
            }
            self.schedule(answer.after, Event::Answered(self.incarnation, sid, answer.result));
        }
        while let Some(lane) = self.node.as_mut().and_then(|node| node.outbox.poll_read()) {
            // What was handed out before is written first.
            let after =
                self.disk_until.saturating_sub(self.agenda.time()) + Duration::from_millis(1);
            self.schedule(after, Event::Read(self.incarnation, lane));
        }
        while let Some(note) = self.node.as_mut().and_then(|node| node.outbox.poll_note()) {
            self.note(|| format!("the debugger log: {} {}", note.code, note.message));
        }
    }

    /// Reads a lane's rows for the outbox, unless the disk fails.
    pub(super) fn read(&mut self, lane: &str) {
        let rows = (!self.disk.failing).then(|| {
            let owed = self.disk.rows.owed().filter(|callback| super::disk::lane(callback) == lane);
            owed.take(ROWS_MAX).cloned().collect()
        });
        let now = self.instant();
        if let Some(node) = &mut self.node {
            node.outbox.handle_rows(lane, rows, now);
        }
        self.deliver();
    }

    /// A callback was answered, or was not.
    pub(super) fn answered(&mut self, sid: CallbackSid, result: Result<u16, webhook::Failure>) {
        let now = self.instant();
        let Some(node) = &mut self.node else { return };
        if let Some(done) = node.outbox.handle_answer(sid, result, now) {
            self.push(None, vec![Change::Callback(Box::new(done))]);
        }
        self.deliver();
    }

    /// A callback reaches the customer.
    pub(super) fn received(&mut self, incarnation: u32, callback: &Callback) -> Held {
        self.note(|| format!("the customer gets {}", about(callback)));
        self.summary.callbacks += 1;
        if !self.disk.rows.callbacks.contains_key(&callback.sid) {
            return Err(("no_callback_without_its_row", about(callback)));
        }
        if incarnation != self.incarnation {
            // It was sent before the crash; what is sent after it has an order of its own.
            self.web.received.insert(callback.sid);
            return Ok(());
        }
        self.web.receive(callback).map_err(|detail| ("callbacks_come_in_order", detail))
    }

    /// Whether the outbox and the rows owe nothing.
    pub(super) fn owes_nothing(&self) -> bool {
        let pending = |callback: &Callback| callback.state == CallbackState::Pending;
        !self.disk.rows.callbacks.values().any(pending)
            && self.node.as_ref().is_none_or(|node| node.outbox.is_idle())
    }
}

/// Says what the file of a recording holds that does not exist.
pub fn closed(_: RecordingSid) -> RecordingEnd {
    RecordingEnd { length: Duration::from_secs(1), silent: false, failure: None }
}

fn about(callback: &Callback) -> String {
    let numbered = super::web::number(callback);
    let (about, number) = numbered.unwrap_or_else(|| ("recording".to_owned(), 0));
    let event = super::web::param(callback, "StatusCallbackEvent")
        .or(super::web::param(callback, "RecordingStatus"))
        .or(super::web::param(callback, "CallStatus"))
        .unwrap_or_default();
    format!("{} {about} #{number} {event}", callback.sid)
}

fn describe(change: &Change) -> String {
    match change {
        Change::Call { record, .. } => format!("{} {}", record.sid, record.status),
        Change::Conference { record, .. } => format!("{} {}", record.sid, record.status),
        Change::Participant { record, .. } => format!(
            "{} in {} {} muted={} hold={} coaching={:?}",
            record.call,
            record.conference,
            record.status,
            record.muted,
            record.hold,
            record.call_to_coach.filter(|_| record.coaching)
        ),
        Change::Recording { record, .. } => format!("{} {}", record.sid, record.status),
        Change::Callback(callback) => about(callback),
        Change::Notification(note) => format!("notification {}", note.code),
        Change::Moment(moment) => format!("moment {}", moment.event),
        Change::Dialog { call, .. } => format!("dialog of {call}"),
        Change::DeleteDialog(call) => format!("no dialog of {call}"),
        Change::DeleteCall(call) => format!("no {call}"),
        other => format!("{other:?}"),
    }
}
