//! What callers say to a `<Gather>`, between the exchange, the thread that keeps it and who recognises it.

use std::time::{Duration, Instant};

use exchange::{Event, Recognise, Recognised};
use media::{RecordingId, Source, Track};
use model::{CallSid, Now, RecordingSid};

use crate::core::{Core, Output};
use crate::recorder::Layout;

/// How long what was said so far is left alone until it is recognised once more.
const PARTLY_EVERY: Duration = Duration::from_secs(1);

/// What is heard of a call.
#[derive(Debug)]
pub(crate) struct Heard {
    call: CallSid,
    /// Whether its file is closed.
    closed: bool,
    /// How it is to be recognised, where it was asked for; none in it: not at all.
    wanted: Option<Option<Recognise>>,
    /// How what was said so far is to be recognised.
    partly: Option<Recognise>,
}

impl Core {
    /// Keeps what a call says from now on.
    pub(crate) fn hear(&mut self, hearing: RecordingSid, call: CallSid) {
        let Some(leg) = self.calls.get(&call).map(|wired| wired.leg) else { return };
        self.last += 1;
        let id = RecordingId(self.last);
        self.recordings.insert(hearing, id);
        self.hearings.insert(hearing, Heard { call, closed: false, wanted: None, partly: None });
        let (recording, layout) = (hearing, Layout::Heard);
        self.outputs.push_back(Output::OpenRecording { recording, id, layout });
        self.media(media::Command::Record(id, Source::Leg(leg, Track::Inbound)));
    }

    /// Has what was said so far recognised now and then.
    pub(crate) fn hear_partly(&mut self, hearing: RecordingSid, wanted: Recognise, now: Instant) {
        if let Some(heard) = self.hearings.get_mut(&hearing) {
            heard.partly = Some(wanted);
            self.partly.insert((now + PARTLY_EVERY, hearing));
        }
    }

    /// Has recognised what is due.
    pub(crate) fn recognise_partly(&mut self, now: Instant) {
        while let Some(&(at, hearing)) = self.partly.first()
            && at <= now
        {
            self.partly.pop_first();
            let heard = self.hearings.get(&hearing).filter(|heard| heard.wanted.is_none());
            if let Some((call, Some(wanted))) = heard.map(|one| (one.call, one.partly.clone())) {
                self.outputs.push_back(Output::RecognisePartly { call, hearing, wanted });
            }
        }
    }

    /// Takes what was understood so far, and has it recognised again later.
    pub(crate) fn recognised_partly(
        &mut self,
        call: CallSid,
        hearing: RecordingSid,
        understood: Option<Recognised>,
        now: Now,
    ) {
        if self.hearings.get(&hearing).is_some_and(|heard| heard.wanted.is_none()) {
            self.partly.insert((now.instant + PARTLY_EVERY, hearing));
        }
        if let Some(understood) = understood {
            self.event(Event::RecognisedPartly { call, hearing, understood }, now);
        }
    }

    /// Keeps no more of it.
    pub(crate) fn end_hearing(&mut self, hearing: RecordingSid, wanted: Option<Recognise>) {
        if let Some(heard) = self.hearings.get_mut(&hearing) {
            heard.wanted = Some(wanted);
        }
        self.stop_recording(hearing);
        self.settle_hearing(hearing);
    }

    /// Takes note that a file is closed; false where it is no hearing's.
    pub(crate) fn heard_closed(&mut self, hearing: RecordingSid) -> bool {
        let Some(heard) = self.hearings.get_mut(&hearing) else { return false };
        heard.closed = true;
        self.settle_hearing(hearing);
        true
    }

    fn settle_hearing(&mut self, hearing: RecordingSid) {
        let done = |heard: &Heard| heard.closed && heard.wanted.is_some();
        if !self.hearings.get(&hearing).is_some_and(done) {
            return;
        }
        let Some(Heard { call, wanted, .. }) = self.hearings.remove(&hearing) else { return };
        self.outputs.push_back(match wanted.flatten() {
            Some(wanted) => Output::Recognise { call, hearing, wanted },
            None => Output::EraseRecording(hearing),
        });
    }
}
