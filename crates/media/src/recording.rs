//! What recordings hear: taps of a room or of one leg, whose frames leave the shard in order.

use std::collections::VecDeque;

use crate::ids::{LegId, RoomId};
use crate::limiter::Limiter;
use crate::{Frame, SAMPLES};

/// Most tracks of one recording: as many as a conference has participants.
pub const TRACKS_MAX: usize = 250;

/// One recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// Most recordings of one room or one leg.
pub(crate) const RECORDERS_MAX: usize = 16;
/// Most frames that wait to be polled: more than all legs of a shard make in one tick.
const RECORDED_MAX: usize = 8_192;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What all hear who add nothing themselves; with a leg, that one apart from the others.
    Room(RoomId, Option<LegId>),
    /// One leg.
    Leg(LegId, Track),
    /// What each leg of [`crate::Command::Track`] adds to a room, in a track of its own.
    Tracks(RoomId),
}

/// Which of a leg's two directions is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// What the far end says.
    Inbound,
    /// What it hears.
    Outbound,
    /// Both in one channel.
    Both,
    /// What it says on the left, what it hears on the right.
    Apart,
}

/// What a recording that is halted holds of the time that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Silence.
    Silence,
    /// Nothing.
    Skip,
}

/// One tick of a recording, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Of which recording.
    pub recording: RecordingId,
    /// What was heard.
    pub sound: Sound,
}

/// What was heard in one tick of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nothing is allocated where sound moves")]
pub enum Sound {
    /// Its only channel, or the left and the right one.
    Mix(Frame, Option<Frame>),
    /// One of its tracks, counted from 0. A track that is not named is silent in this tick; each is
    /// named in its first.
    Track(u16, Frame),
    /// All tracks of this tick were named.
    Whole,
}

/// A recording's place at a room or leg.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub id: RecordingId,
    /// Of a leg.
    pub track: Track,
    /// Of a room: who is heard on the left.
    pub first: Option<LegId>,
    pub pause: Option<Pause>,
    /// Of a room in tracks: whose each is.
    pub tracks: Option<Vec<Seat>>,
    /// Of a room in two channels: those of the left and the right one.
    pub limiters: [Limiter; 2],
}

/// Whose a track is, and whether it was ever named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub leg: LegId,
    pub named: bool,
}

impl Recorder {
    pub fn new(id: RecordingId, source: Source) -> Self {
        let (track, first, tracks) = match source {
            Source::Room(_, first) => (Track::Both, first, None),
            Source::Leg(_, track) => (track, None, None),
            Source::Tracks(_) => (Track::Both, None, Some(Vec::new())),
        };
        Self { id, track, first, pause: None, tracks, limiters: [Limiter::new(); 2] }
    }

    /// Gives a leg the next track, unless it has one.
    pub fn seat(&mut self, leg: LegId) {
        if let Some(tracks) = &mut self.tracks
            && tracks.len() < TRACKS_MAX
            && !tracks.iter().any(|seat| seat.leg == leg)
        {
            tracks.push(Seat { leg, named: false });
        }
    }
}

/// Frames that wait to be polled.
#[derive(Debug, Default)]
pub(crate) struct Waiting(VecDeque<Recorded>);

impl Waiting {
    pub fn pop(&mut self) -> Option<Recorded> {
        self.0.pop_front()
    }

    /// Keeps a tick of a recording; what nobody polls is lost, the oldest first.
    pub fn push(&mut self, recorder: &Recorder, left: Frame, right: Option<Frame>) {
        const NOTHING: Frame = [0; SAMPLES];
        let (left, right) = match recorder.pause {
            None => (left, right),
            Some(Pause::Silence) => (NOTHING, right.map(|_| NOTHING)),
            Some(Pause::Skip) => return,
        };
        self.keep(recorder.id, Sound::Mix(left, right));
    }

    /// Keeps the tracks of a tick; `spoken` is what a leg adds to the room.
    pub fn push_tracks<'a>(
        &mut self,
        recorder: &mut Recorder,
        spoken: impl Fn(LegId) -> Option<&'a Frame>,
    ) {
        let Some(tracks) = &mut recorder.tracks else { return };
        if recorder.pause == Some(Pause::Skip) {
            return;
        }
        for (number, seat) in (0..).zip(tracks) {
            let heard = spoken(seat.leg).filter(|_| recorder.pause.is_none());
            if heard.is_some() || !seat.named {
                seat.named = true;
                let frame = heard.copied().unwrap_or([0; SAMPLES]);
                self.keep(recorder.id, Sound::Track(number, frame));
            }
        }
        self.keep(recorder.id, Sound::Whole);
    }

    fn keep(&mut self, recording: RecordingId, sound: Sound) {
        if self.0.len() >= RECORDED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Recorded { recording, sound });
    }

    /// Keeps a tick of a leg.
    pub fn push_leg(&mut self, recorder: &Recorder, inbound: &Frame, outbound: &Frame) {
        match recorder.track {
            Track::Inbound => self.push(recorder, *inbound, None),
            Track::Outbound => self.push(recorder, *outbound, None),
            Track::Both => {
                let both = std::array::from_fn(|at| inbound[at].saturating_add(outbound[at]));
                self.push(recorder, both, None);
            }
            Track::Apart => self.push(recorder, *inbound, Some(*outbound)),
        }
    }
}
