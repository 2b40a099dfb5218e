//! What many hear alike who hear one document and nothing else, music on hold first of all: it is encoded once.
//! Silence is a document, too.
//!
//! Codecs without a memory have theirs in [`samples`], the others in [`passes`].

use crate::SAMPLES;
use crate::codec::Codec;
use crate::leg::Leg;
use crate::player::Pcm;
use crate::player::Player;

mod heard;
mod passes;
mod samples;
mod tick;

use passes::Passes;
use samples::Samples;
use tick::{Listener, Tick};

/// Whoever loses more than this, of what can be repeated, is encoded for alone: the others need not pay for it.
const LOSS_SHARED: f32 = 0.1;
/// What those are taken to lose whose far ends lose less, or do not say, in percent; and from where on.
const LOSS_USUAL: u8 = 10;
const LOSS_LITTLE: f32 = 0.01;

/// What legs of one thread hear alike.
#[derive(Debug)]
pub struct Documents {
    silence: Pcm,
    samples: Samples,
    passes: Passes,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            silence: [0; SAMPLES].into(),
            samples: Samples::default(),
            passes: Passes::default(),
        }
    }
}

impl Documents {
    /// Ends a tick: whatever nobody hears any more is let go.
    pub fn finish(&mut self) {
        self.samples.finish();
        self.passes.finish();
    }

    /// Returns what a leg is sent in this tick where others may be sent the same, and moves on what plays
    /// to it; `alone` says that it hears nothing of its room.
    pub fn payload(&mut self, leg: &mut Leg, alone: bool, count: &mut u64) -> Option<&[u8]> {
        let (codec, loss) = (leg.options.codec, leg.reported_loss());
        // A recording hears each leg for itself.
        let may_share = alone && leg.recorders.is_empty() && !wants_repetition(codec, loss);
        let sole = if may_share { sole(&leg.players) } else { None };
        let Some((player, at)) = sole else {
            self.release(leg);
            return None;
        };
        let Leg { players, own, limiter, resampler_played: resampler, .. } = leg;
        let pcm = player.map_or(&self.silence, |player| players[player].pcm());
        let payload = if codec.is_stateless() {
            self.samples.payload((codec, pcm, at), limiter, &mut own.follows.hint, count)?
        } else {
            let tick = Tick { codec, loss: assumed(codec, loss), pcm, at };
            self.passes.payload(tick, Listener { own, limiter, resampler }, count)?
        };
        if let Some(player) = player {
            players[player].skip();
            leg.own.hears_else();
        }
        Some(payload)
    }

    /// Lets a leg encode for itself again, from where it is: it takes along what its far end remembers.
    pub fn release(&mut self, leg: &mut Leg) {
        let Leg { own, limiter, resampler_played: resampler, options, .. } = leg;
        self.passes.release(&mut Listener { own, limiter, resampler }, options.codec);
    }
}

/// Whether so much is lost that the repetition of it is worth an encoding.
fn wants_repetition(codec: Codec, loss: Option<f32>) -> bool {
    matches!(codec, Codec::Opus(options) if options.fec && loss > Some(LOSS_SHARED))
}

/// Returns the loss that is encoded for, in percent, where a far end reports this one.
fn assumed(codec: Codec, loss: Option<f32>) -> u8 {
    match codec {
        Codec::Opus(options) if options.fec && loss.is_none_or(|loss| loss >= LOSS_LITTLE) => {
            LOSS_USUAL
        }
        _ => 0,
    }
}

/// Returns which player is heard and where its tick begins, where no other is and it plays as it is; no
/// player: silence.
fn sole(players: &[Player]) -> Option<(Option<usize>, usize)> {
    let mut heard = players.iter().enumerate().filter(|(_, player)| !player.is_silent());
    let Some((index, player)) = heard.next() else { return Some((None, 0)) };
    let at = player.plain()?;
    heard.next().is_none().then_some((Some(index), at))
}
