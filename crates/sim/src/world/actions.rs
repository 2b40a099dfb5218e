//! What people, programs and fate do in a world, each drawn by chance.

use std::time::Duration;

use model::{CallSid, ConferenceSid, ConferenceStatus, Participant};
use node::{
    Beep, CallChanges, Command, ConferenceCallback, ConferenceKey, CreateCall, CreateParticipant,
    Dialling, Document, End, Input, Instructions, JoinOptions, ParticipantChanges, ParticipantKey,
    RecordingOptions, Refusal, Reply, StatusCallback, Ticket,
};

use crate::played::chance::Chance;
use crate::played::phone::{Line, Manner, Phone};

use super::invariants::Held;
use super::web::{HOST, ROOMS};
use super::{Event, World, ear};

/// What a command asked for, as far as its answer is judged by it.
#[derive(Debug, Clone)]
pub enum Asked {
    /// An update of a participant.
    Update(ParticipantChanges),
    /// A participant's removal.
    Remove(ConferenceSid, CallSid),
    /// Another document for a call.
    Transfer,
    /// The deletion of a call's record.
    Delete(CallSid),
    /// Anything else.
    Other,
}

/// The keys of a phone.
const KEYS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"];

/// Documents to hold, wait and announce with.
const DOCUMENTS: [&str; 12] = [
    "/music", "/short", "/two", "/say", "/pause", "/audio", "/text", "/empty", "/broken", "/gif",
    "/hangup", "/short",
];

impl World {
    /// Does one thing, and sees to the next.
    pub(super) fn act(&mut self) -> Held {
        if self.draining {
            return Ok(());
        }
        let next = if self.random.one_in(4) { 900 } else { 220 };
        let next = self.random.millis(0, next);
        self.schedule(next, Event::Act);
        match self.random.below(100) {
            0..22 => self.call_in(),
            22..28 => {
                let up = self.some_phone(|phone| phone.call.is_some());
                up.into_iter().for_each(|index| self.hang_up(index));
            }
            28..30 => self.kill_phone(),
            30..33 => {
                let up = self.some_phone(|phone| matches!(phone.line, Line::Up(_)));
                let key = self.random.pick(&KEYS).unwrap_or("1");
                up.into_iter().for_each(|index| self.phones[index].press(key));
            }
            33..72 => return self.update_participant(),
            72..75 => return self.remove_participant(),
            75..78 => return self.update_conference(),
            78..85 => return self.create(),
            85..90 => return self.update_call(),
            90..92 => return self.delete_call(),
            92..94 => {
                self.note(|| "the disk fails".to_owned());
                self.disk.failing = true;
                let lasts = self.random.millis(100, 2_500);
                self.schedule(lasts, Event::DiskWorks);
            }
            94..96 => {
                self.note(|| "the customer's web is down".to_owned());
                self.web.down = true;
                let lasts = self.random.millis(300, 4_000);
                self.schedule(lasts, Event::WebWorks);
            }
            96..98 => {
                let jump_ms = self.random.below(7_200_000) as i64 - 3_600_000;
                if !self.options.steady_clock {
                    self.wall_jump_ms += jump_ms;
                }
                self.note(|| format!("the wall clock jumps by {jump_ms} ms"));
            }
            _ => {
                if self.node.is_some() && self.random.one_in(2) {
                    self.crash();
                    let after = self.random.millis(50, 2_500);
                    self.schedule(after, Event::Restart);
                }
            }
        }
        Ok(())
    }

    fn some_phone(&mut self, wanted: impl Fn(&Phone) -> bool) -> Option<usize> {
        let wanted: Vec<usize> =
            self.phones.iter().filter(|phone| wanted(phone)).map(|phone| phone.index).collect();
        self.random.pick(&wanted)
    }

    fn call_in(&mut self) {
        let Some(index) = self.some_phone(Phone::is_free) else { return };
        let room = ROOMS[self.random.below(4) as usize / 3];
        let (node, now) = (self.address, self.instant());
        self.note(|| format!("phone{index} calls {room}"));
        self.phones[index].dial(room, node, now);
        self.send_from(index);
    }

    pub(super) fn hang_up(&mut self, index: usize) {
        let now = self.instant();
        if self.phones[index].dead {
            return;
        }
        self.note(|| format!("phone{index} hangs up"));
        self.phones[index].hang_up(now);
        self.send_from(index);
    }

    fn kill_phone(&mut self) {
        let Some(index) = self.some_phone(|phone| !phone.dead) else { return };
        self.note(|| format!("phone{index} loses its power"));
        self.phones[index].dead = true;
        let again = self.random.one_in(2);
        // In a long world nobody would be left.
        if again || self.options.calls > 0 {
            let after = self.random.millis(500, 9_000);
            self.schedule(after, Event::Revive(index));
        }
    }

    /// Switches a phone on that has forgotten everything.
    pub(super) fn revive(&mut self, index: usize) {
        self.note(|| format!("phone{index} has power again"));
        self.phones[index] = Phone::new(index, self.random.seed(), ear::tone(index));
        if self.draining {
            self.phones[index].manner = Manner::Busy;
        }
    }

    /// Hands the node a command. A refusal must be all that comes of it.
    fn submit(&mut self, command: Command, asked: Asked) -> Held {
        if self.node.is_none() {
            return Ok(());
        }
        let ticket = Ticket(self.agenda.number());
        self.note(|| format!("{ticket:?} {command:?}"));
        if self.disk.known_failing {
            self.note(|| format!("{ticket:?} is refused: the disk fails"));
            return Ok(());
        }
        let now = self.now();
        self.asked.insert(ticket, asked);
        if let Some(node) = &mut self.node {
            node.core.handle(Input::Command(Box::new(command), ticket), now);
        }
        let emitted = self.emit()?;
        let refused = emitted.replies.iter().any(|(_, answer)| answer.is_err());
        if refused && emitted.others > 0 {
            return Err(("a_refusal_changes_nothing", format!("{emitted:?}")));
        }
        for (ticket, answer) in emitted.replies {
            self.replied(ticket, answer)?;
        }
        Ok(())
    }

    /// A command is answered.
    pub(super) fn replied(&mut self, ticket: Ticket, answer: Result<Reply, Refusal>) -> Held {
        let word = match &answer {
            Ok(_) => "accepted".to_owned(),
            Err(refusal) => format!("refused: {refusal}"),
        };
        self.note(|| format!("{ticket:?} is {word}"));
        self.digest(word.as_bytes());
        if answer.is_ok() {
            self.summary.accepted += 1;
        } else {
            self.summary.refused += 1;
        }
        match self.asked.remove(&ticket) {
            Some(asked) => {
                match &asked {
                    Asked::Update(changes) if answer.is_ok() && changes.hold.is_some() => {
                        self.summary.holds += 1;
                    }
                    Asked::Transfer if answer.is_ok() => self.summary.transfers += 1,
                    _ => {}
                }
                self.judge_reply(&asked, &answer)
            }
            None => Err(("every_command_is_answered_once", format!("{ticket:?}"))),
        }
    }

    fn document(&mut self) -> Document {
        let path = self.random.pick(&DOCUMENTS).unwrap_or("/music");
        let method = self.random.pick(&["GET", "POST", "PUT"]).unwrap_or("GET");
        Document { url: format!("{HOST}{path}"), method: method.to_owned() }
    }

    fn some_member(&mut self) -> Option<Participant> {
        let members: Vec<Participant> = {
            let alive = self.disk.rows.participants.values();
            alive.filter(|(_, state)| !state.is_empty()).map(|(record, _)| record.clone()).collect()
        };
        let index: Vec<usize> = (0..members.len()).collect();
        self.random.pick(&index).map(|index| members[index].clone())
    }

    /// The request at the centre, with any of its parameters.
    fn update_participant(&mut self) -> Held {
        let Some(member) = self.some_member() else { return Ok(()) };
        let other = self.some_member().map_or(member.call, |other| other.call);
        let mut changes = ParticipantChanges::default();
        let many = if self.random.one_in(5) { 9 } else { 2 };
        for _ in 0..many {
            let yes = self.random.one_in(2);
            match self.random.below(11) {
                0 | 1 => changes.muted = Some(yes),
                2 | 3 => changes.hold = Some(yes),
                4 => changes.hold_document = Some(self.document()),
                5 => changes.announce = Some(self.document()),
                6 => changes.wait = Some(self.document()),
                7 => changes.beep_on_exit = Some(yes),
                8 => changes.end_conference_on_exit = Some(yes && self.random.one_in(3)),
                9 => changes.coaching = Some(yes),
                _ => {
                    changes.call_to_coach = Some(other);
                    changes.coaching = changes.coaching.or(yes.then_some(true));
                }
            }
        }
        let participant = match member.label {
            Some(label) if self.random.one_in(2) => ParticipantKey::Label(label),
            _ => ParticipantKey::Call(member.call),
        };
        let asked = Asked::Update(changes.clone());
        let command = Command::UpdateParticipant {
            account: self.account.sid,
            conference: member.conference,
            participant,
            changes: Box::new(changes),
        };
        self.submit(command, asked)
    }

    fn remove_participant(&mut self) -> Held {
        let Some(member) = self.some_member() else { return Ok(()) };
        let command = Command::RemoveParticipant {
            account: self.account.sid,
            conference: member.conference,
            participant: ParticipantKey::Call(member.call),
        };
        self.submit(command, Asked::Remove(member.conference, member.call))
    }

    fn some_conference(&mut self) -> Option<ConferenceSid> {
        let alive = self.disk.rows.conferences.values().map(|(record, _)| record);
        let alive: Vec<ConferenceSid> = alive
            .filter(|record| record.status != ConferenceStatus::Completed)
            .map(|record| record.sid)
            .collect();
        self.random.pick(&alive)
    }

    fn update_conference(&mut self) -> Held {
        let Some(conference) = self.some_conference() else { return Ok(()) };
        let complete = self.random.one_in(4);
        let announce = Some(self.document()).filter(|_| !complete);
        let account = self.account.sid;
        let command = Command::UpdateConference { account, conference, complete, announce };
        self.submit(command, Asked::Other)
    }

    fn dialling(&mut self) -> Dialling {
        let index = self.random.below(self.phones.len() as u64) as usize;
        let answers = Manner::Answers(self.random.millis(0, 1_500));
        let manners = [answers, answers, answers, answers, Manner::Busy, Manner::Rings];
        let manner = self.random.pick(&manners).unwrap_or(answers);
        self.phones[index].manner = manner;
        let to = if self.random.one_in(12) {
            self.random.pick(&[
                "+15551234",
                "client:nobody",
                "sip:nobody@127.0.0.1:19999",
                "sip:phone0@phones.test:20000",
                "sip:phone0@nowhere.invalid",
            ])
        } else {
            None
        };
        let to = to.map_or_else(|| self.phones[index].uri(), str::to_owned);
        let events = ["initiated", "ringing", "answered", "completed"].map(str::to_owned).to_vec();
        Dialling {
            to,
            from: "+15550100".to_owned(),
            timeout: self.random.one_in(3).then(|| Duration::from_secs(3)),
            time_limit: self.random.one_in(8).then(|| Duration::from_secs(4)),
            status_callback: StatusCallback {
                url: (!self.random.one_in(4)).then(|| format!("{HOST}/progress")),
                method: "POST".to_owned(),
                events,
            },
            ..Dialling::default()
        }
    }

    fn instructions(&mut self) -> Instructions {
        if self.random.one_in(2) {
            let twiml = format!("<Response><Dial><Conference>{}</Conference></Dial></Response>", {
                ROOMS[self.random.below(2) as usize]
            });
            return Instructions::Twiml(twiml);
        }
        let document = Document { url: format!("{HOST}/voice"), method: "POST".to_owned() };
        let fallback = self.random.one_in(3).then(|| self.document());
        Instructions::Url { document, fallback }
    }

    fn create(&mut self) -> Held {
        let (account, dialling) = (self.account.sid, self.dialling());
        if self.random.one_in(4) {
            let instructions = self.instructions();
            let send_digits = self.random.one_in(5).then(|| "1w2".to_owned());
            let create = CreateCall { account, dialling, instructions, send_digits };
            return self.submit(Command::CreateCall(Box::new(create)), Asked::Other);
        }
        let conference = match self.some_conference() {
            Some(sid) if self.random.one_in(2) => ConferenceKey::Sid(sid),
            _ => ConferenceKey::Name(ROOMS[self.random.below(2) as usize].to_owned()),
        };
        let coach = if self.random.one_in(6) { self.some_member().map(|m| m.call) } else { None };
        let groups = ["start", "end", "join", "leave", "mute", "hold", "modify", "announcement"];
        let options = JoinOptions {
            muted: self.random.one_in(6),
            beep: Beep { on_enter: self.random.one_in(2), on_exit: self.random.one_in(2) },
            start_conference_on_enter: !self.random.one_in(5),
            end_conference_on_exit: self.random.one_in(8),
            wait: self.random.one_in(3).then(|| self.document()),
            label: self.random.one_in(3).then(|| "guest".to_owned()),
            coach,
            max_participants: if self.random.one_in(8) { 2 } else { 250 },
            status_callback: ConferenceCallback {
                url: Some(format!("{HOST}/events")),
                method: "POST".to_owned(),
                events: groups.map(str::to_owned).to_vec(),
            },
            region: None,
            jitter_buffer_size: None,
            recording: self.random.one_in(3).then(RecordingOptions::default),
        };
        let create =
            CreateParticipant { account, conference, dialling, early_media: false, options };
        self.submit(Command::CreateParticipant(Box::new(create)), Asked::Other)
    }

    fn some_call(&mut self, over: bool) -> Option<CallSid> {
        let calls = self.disk.rows.calls.values().map(|(record, _)| record);
        let calls: Vec<CallSid> =
            calls.filter(|call| call.status.is_final() == over).map(|call| call.sid).collect();
        self.random.pick(&calls)
    }

    fn update_call(&mut self) -> Held {
        let over = self.random.one_in(10);
        let Some(call) = self.some_call(over) else { return Ok(()) };
        let mut changes = CallChanges::default();
        match self.random.below(6) {
            0 => changes.end = Some(End::Completed),
            1 => changes.end = Some(End::Canceled),
            2 => changes.time_limit = Some(Duration::from_secs(2)),
            _ => changes.redirect = Some(self.instructions()),
        }
        let asked = if changes.redirect.is_some() { Asked::Transfer } else { Asked::Other };
        let (account, changes) = (self.account.sid, Box::new(changes));
        self.submit(Command::UpdateCall { account, call, changes }, asked)
    }

    fn delete_call(&mut self) -> Held {
        let over = !self.random.one_in(5);
        let Some(call) = self.some_call(over) else { return Ok(()) };
        self.submit(Command::DeleteCall { account: self.account.sid, call }, Asked::Delete(call))
    }

    /// Nothing new begins; what is there comes to its end, in one of three ways.
    pub(super) fn drain(&mut self) -> Held {
        self.draining = true;
        self.web.down = false;
        self.disk_works()?;
        self.start()?;
        self.note(|| "everything comes to its end".to_owned());
        let way = self.random.below(3);
        for index in 0..self.phones.len() {
            self.phones[index].manner = Manner::Busy;
            if way == 0 || self.is_forgiven(index) || self.phones[index].line == Line::Early {
                let after = self.random.millis(0, 2_000);
                self.schedule(after, Event::HangUp(index));
            }
        }
        if way == 1 {
            return self.input(Input::Stop);
        }
        let calls: Vec<CallSid> = {
            let calls = self.disk.meant.calls.values().map(|(record, _)| record);
            calls.filter(|call| !call.status.is_final()).map(|call| call.sid).collect()
        };
        for call in calls.into_iter().filter(|_| way == 2) {
            let changes =
                Box::new(CallChanges { end: Some(End::Completed), ..CallChanges::default() });
            let account = self.account.sid;
            self.submit(Command::UpdateCall { account, call, changes }, Asked::Other)?;
        }
        Ok(())
    }
}
