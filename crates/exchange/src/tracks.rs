//! Recordings of conferences in which each participant has a track of its own, and what a timeline of them
//! is made of.

use model::{CallSid, ConferenceSid, Level, RecordingSid};

use crate::context::{About, Context};
use crate::exchange::{Touched, World};
use crate::{Effect, Failure, PauseBehavior, Recorded, callbacks};

/// Most tracks of one recording. Who comes later is in none.
pub const TRACKS_MAX: usize = 250;

/// The code of who finds no track.
const NO_TRACK: u32 = 16108;

impl World {
    /// Gives all who are there a track, in the order in which they came.
    pub(crate) fn begin_tracks(&mut self, sid: ConferenceSid, ctx: &mut Context<'_>) {
        if self.tracks_of(sid).is_none() {
            return;
        }
        if let Some(conference) = self.conferences.get_mut(&sid) {
            callbacks::recording_in_tracks(conference, "recording-started", None, ctx);
            for call in conference.in_order() {
                self.give_track(sid, call, ctx);
            }
        }
    }

    fn tracks_of(&self, sid: ConferenceSid) -> Option<RecordingSid> {
        let running = self.recordings.running(Recorded::Conference(sid));
        let in_tracks = |sid: &RecordingSid| {
            self.recordings.get(*sid).is_some_and(|one| one.record.tracks.is_some())
        };
        running.into_iter().find(in_tracks)
    }

    /// Gives a participant who is there a track, unless it has one or none is kept.
    pub(crate) fn give_track(&mut self, sid: ConferenceSid, call: CallSid, ctx: &mut Context<'_>) {
        let there = self.conferences.get(&sid).and_then(|conference| conference.members.get(&call));
        if there.is_none_or(|participant| !participant.is_connected()) {
            return;
        }
        let Some(recording) = self.tracks_of(sid) else { return };
        let Some(record) = self.recordings.get_mut(recording).map(|one| &mut one.record) else {
            return;
        };
        let Some(tracks) = record.tracks.as_mut().filter(|calls| !calls.contains(&call)) else {
            return;
        };
        if tracks.len() >= TRACKS_MAX {
            let about = About {
                account: record.account,
                call: Some(call),
                conference: Some(sid),
                url: None,
            };
            let message = format!("{recording} has {TRACKS_MAX} tracks already: {call} is in none");
            return ctx.notify(about, Level::Warning, &Failure { code: NO_TRACK, message });
        }
        tracks.push(call);
        record.channels = u8::try_from(tracks.len()).unwrap_or(u8::MAX);
        ctx.push(Effect::Track { recording, call });
        self.touched.insert(Touched::Recording(recording));
    }

    /// Notes in a conference's history that its recording in tracks halts, or goes on.
    pub(crate) fn tracks_paused(
        &mut self,
        subject: Recorded,
        pause: Option<PauseBehavior>,
        ctx: &mut Context<'_>,
    ) {
        let Recorded::Conference(sid) = subject else { return };
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        let (event, reason) = match pause {
            Some(PauseBehavior::Silence) => ("recording-paused", Some("silence")),
            Some(PauseBehavior::Skip) => ("recording-paused", Some("skip")),
            None => ("recording-resumed", None),
        };
        callbacks::recording_in_tracks(conference, event, reason, ctx);
    }
}
