//! What recordings hear: taps of a room or of one leg, whose frames leave the shard in order.

use std::collections::VecDeque;

use crate::command::{LegId, RoomId};
use crate::{Frame, SAMPLES};

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

/// One tick of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Of which recording.
    pub recording: RecordingId,
    /// Its only channel, or the left one.
    pub left: Frame,
    /// The right one.
    pub right: Option<Frame>,
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
        if self.0.len() >= RECORDED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Recorded { recording: recorder.id, left, right });
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
