//! Who listens without a leg: taps, and recordings between the exchange, the shard and the thread that writes them.

use exchange::{Audience, Event, PauseBehavior, RecordingEnd, Room};
use media::{RecordingId, Source, TapId, Track};
use model::{CallSid, ConferenceSid, Now, RecordingSid, RecordingTrack};

use crate::core::{Core, Output};
use crate::recorder::Layout;

impl Core {
    /// Returns how many recordings are not over.
    pub fn recordings(&self) -> usize {
        self.exchange.recordings()
    }

    /// Opens a tap of a conference; nothing where there is no such room.
    pub fn open_tap(&mut self, conference: ConferenceSid) -> Option<TapId> {
        let room = self.room_of(conference)?;
        self.last += 1;
        let tap = TapId(self.last);
        self.media(media::Command::OpenTap(tap, room));
        Some(tap)
    }

    /// Closes a tap.
    pub fn close_tap(&mut self, tap: TapId) {
        self.media(media::Command::CloseTap(tap));
    }

    /// Begins to record.
    pub(crate) fn record(
        &mut self,
        recording: RecordingSid,
        of: &Audience,
        (channels, tracks): (u8, bool),
        track: RecordingTrack,
        first: CallSid,
        trim: bool,
    ) {
        self.last += 1;
        let id = RecordingId(self.last);
        self.recordings.insert(recording, id);
        let layout = if tracks { Layout::Tracks } else { Layout::Mix { channels, trim } };
        self.outputs.push_back(Output::OpenRecording { recording, id, layout });
        let leg = |call: &CallSid| self.calls.get(call).map(|wired| wired.leg);
        let source = match of {
            Audience::Conference(conference) if tracks => {
                Some(Source::Tracks(self.room(Room::Conference(*conference))))
            }
            Audience::Conference(conference) => {
                let first = leg(&first).filter(|_| channels == 2);
                Some(Source::Room(self.room(Room::Conference(*conference)), first))
            }
            Audience::Call(call) => leg(call).map(|leg| {
                let track = match track {
                    _ if channels == 2 => Track::Apart,
                    RecordingTrack::Inbound => Track::Inbound,
                    RecordingTrack::Outbound => Track::Outbound,
                    RecordingTrack::Both => Track::Both,
                };
                Source::Leg(leg, track)
            }),
        };
        self.media(match source {
            Some(source) => media::Command::Record(id, source),
            // The phone is gone already: the file stays empty.
            None => media::Command::StopRecording(id),
        });
    }

    /// Gives a call the next track of a recording.
    pub(crate) fn track(&mut self, recording: RecordingSid, call: CallSid) {
        let leg = self.calls.get(&call).map(|wired| wired.leg);
        if let (Some(&id), Some(leg)) = (self.recordings.get(&recording), leg) {
            self.media(media::Command::Track(id, leg));
        }
    }

    pub(crate) fn pause_recording(
        &mut self,
        recording: RecordingSid,
        pause: Option<PauseBehavior>,
    ) {
        let Some(&id) = self.recordings.get(&recording) else { return };
        let pause = pause.map(|pause| match pause {
            PauseBehavior::Silence => media::Pause::Silence,
            PauseBehavior::Skip => media::Pause::Skip,
        });
        self.media(media::Command::PauseRecording(id, pause));
    }

    pub(crate) fn stop_recording(&mut self, recording: RecordingSid) {
        if let Some(id) = self.recordings.remove(&recording) {
            self.media(media::Command::StopRecording(id));
        }
    }

    /// A recording's file is closed; it may have broken off by itself.
    pub(crate) fn recording_ended(&mut self, recording: RecordingSid, end: RecordingEnd, now: Now) {
        self.stop_recording(recording);
        if self.heard_closed(recording) {
            return;
        }
        self.event(Event::RecordingEnded { recording, end }, now);
    }
}
