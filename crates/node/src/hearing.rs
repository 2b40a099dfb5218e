//! What callers say to a `<Gather>`, between the exchange, the thread that keeps it and who recognises it.

use exchange::Recognise;
use media::{RecordingId, Source, Track};
use model::{CallSid, RecordingSid};

use crate::core::{Core, Output};
use crate::recorder::Layout;

/// What is heard of a call.
#[derive(Debug)]
pub(crate) struct Heard {
    call: CallSid,
    /// Whether its file is closed.
    closed: bool,
    /// How it is to be recognised, where it was asked for; none in it: not at all.
    wanted: Option<Option<Recognise>>,
}

impl Core {
    /// Keeps what a call says from now on.
    pub(crate) fn hear(&mut self, hearing: RecordingSid, call: CallSid) {
        let Some(leg) = self.calls.get(&call).map(|wired| wired.leg) else { return };
        self.last += 1;
        let id = RecordingId(self.last);
        self.recordings.insert(hearing, id);
        self.hearings.insert(hearing, Heard { call, closed: false, wanted: None });
        let (recording, layout) = (hearing, Layout::Heard);
        self.outputs.push_back(Output::OpenRecording { recording, id, layout });
        self.media(media::Command::Record(id, Source::Leg(leg, Track::Inbound)));
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
