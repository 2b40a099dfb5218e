//! What many hear alike who hear one document and nothing else, music on hold first of all: it is encoded
//! once. Silence is a document, too.
//!
//! Codecs without a memory have theirs in [`crate::document`]. The others have a stream for each place in a
//! document at which somebody is; who comes to one and leaves it does so as with the common mix of a room, see
//! [`crate::encoding`].

use std::sync::Arc;

use crate::SAMPLES;
use crate::codec::Encoder;
use crate::command::{Codec, Pcm};
use crate::document::Documents;
use crate::encoding::{ALIKE_AFTER, Own, Shared};
use crate::leg::Leg;
use crate::limiter::Limiter;
use crate::player::Player;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// Most streams at a time.
const STREAMS_MAX: usize = 256;
/// Whoever loses more than this, of what can be repeated, is encoded for alone: the others need not pay for it.
const LOSS_SHARED: f32 = 0.1;

/// How a leg hears what others hear.
#[derive(Debug, Default)]
pub struct Follows {
    /// The stream that it was sent in the last tick.
    place: Option<Place>,
    /// Ticks in a row in which it heard one document alone.
    ticks: u32,
    /// Where that was found, of those in codecs without a memory.
    hint: usize,
}

impl Follows {
    pub const fn new() -> Self {
        Self { place: None, ticks: 0, hint: 0 }
    }

    /// Whether the far end remembers what a stream remembers.
    pub fn is_one(&self) -> bool {
        self.place.is_some()
    }
}

/// A stream, by where it is and what number it has.
#[derive(Debug, Clone, Copy)]
struct Place {
    slot: usize,
    number: u64,
}

/// What legs of one thread hear alike.
#[derive(Debug)]
pub struct Streams {
    silence: Pcm,
    documents: Documents,
    remembered: Remembered,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            silence: [0; SAMPLES].into(),
            documents: Documents::default(),
            remembered: Remembered::default(),
        }
    }
}

impl Streams {
    /// Ends a tick: whatever nobody hears any more is let go.
    pub fn finish(&mut self) {
        self.documents.finish();
        self.remembered.finish();
    }

    /// Returns what a leg is sent in this tick where others may be sent the same, and moves on what plays
    /// to it; `alone` says that it hears nothing of its room.
    pub fn payload(&mut self, leg: &mut Leg, alone: bool, count: &mut u64) -> Option<&[u8]> {
        let loss = leg.reported_loss();
        // A recording hears each leg for itself.
        let may_share =
            alone && leg.recorders.is_empty() && !wants_repetition(leg.options.codec, loss);
        let sole = if may_share { sole(&leg.players) } else { None };
        let Some((player, at)) = sole else {
            self.release(leg);
            return None;
        };
        let Leg { players, own, limiter, resampler_played, options, .. } = leg;
        let pcm = player.map_or(&self.silence, |player| players[player].pcm());
        let tick = (options.codec, pcm, at);
        let payload = if options.codec.is_stateless() {
            self.documents.payload(tick, limiter, &mut own.follows.hint, count)?
        } else {
            let stream = self.remembered.follow(tick, own, limiter, resampler_played.as_deref())?;
            stream.advance(count);
            *limiter = stream.limiter;
            match (player, resampler_played) {
                (Some(_), Some(resampler)) => **resampler = stream.resampler.clone(),
                (_, resampler) => *resampler = None,
            }
            stream.shared.heard_by(loss)
        };
        if let Some(player) = player {
            players[player].skip();
        }
        Some(payload)
    }

    /// Lets a leg encode for itself again: it takes the encoder along as it was when it was last sent what
    /// that made.
    pub fn release(&mut self, leg: &mut Leg) {
        self.remembered.release(&mut leg.own, leg.options.codec);
    }
}

/// Whether so much is lost that the repetition of it is worth an encoding.
fn wants_repetition(codec: Codec, loss: Option<f32>) -> bool {
    matches!(codec, Codec::Opus(options) if options.fec && loss > Some(LOSS_SHARED))
}

/// Returns which player is heard and where its tick begins, where no other is and it plays as it is; no
/// player: silence.
fn sole(players: &[Player]) -> Option<(Option<usize>, usize)> {
    let mut heard = players.iter().enumerate().filter(|(_, player)| !player.is_silent());
    let Some((index, player)) = heard.next() else { return Some((None, 0)) };
    let at = player.plain()?;
    heard.next().is_none().then_some((Some(index), at))
}

/// The streams of codecs that have a memory.
#[derive(Debug, Default)]
struct Remembered {
    slots: Vec<Option<Box<Stream>>>,
    last: u64,
}

/// One document from one place on.
#[derive(Debug)]
struct Stream {
    number: u64,
    pcm: Pcm,
    /// Where this tick begins.
    at: usize,
    resampler: Resampler,
    limiter: Limiter,
    shared: Shared,
    /// The encoder as it was before the last tick that it has encoded, where it cannot tell itself.
    before: Option<Box<Encoder>>,
    /// How many were sent it in this tick, and in the last one.
    heard: u32,
    heard_before: u32,
}

impl Remembered {
    fn finish(&mut self) {
        for slot in &mut self.slots {
            if slot.as_mut().is_some_and(|stream| !stream.finish()) {
                *slot = None;
            }
        }
    }

    /// Returns the stream that a leg is sent in this tick, if it may be without a seam.
    fn follow(
        &mut self,
        tick: (Codec, &Pcm, usize),
        own: &mut Own,
        limiter: &Limiter,
        resampler: Option<&Resampler>,
    ) -> Option<&mut Stream> {
        let follows = &mut own.follows;
        follows.ticks = follows.ticks.saturating_add(1);
        let slot = match follows.place {
            Some(Place { slot, number }) => {
                let stream = self.slots.get(slot).and_then(Option::as_deref);
                if !stream.is_some_and(|stream| stream.number == number && stream.is_at(tick)) {
                    self.release(own, tick.0);
                    return None;
                }
                slot
            }
            None if follows.ticks <= ALIKE_AFTER || !limiter.is_transparent() => return None,
            None => match self.slots.iter().flatten().position(|stream| stream.is_at(tick)) {
                Some(_) => self.come(tick, own)?,
                None => self.begin(tick, own, limiter, resampler)?,
            },
        };
        let stream = self.slots.get_mut(slot)?.as_deref_mut()?;
        stream.heard += 1;
        Some(stream)
    }

    /// Lets a leg come to the stream that is where it is, once that lets it in.
    fn come(&mut self, tick: (Codec, &Pcm, usize), own: &mut Own) -> Option<usize> {
        let is_it = |stream: &Stream| stream.is_at(tick);
        let slot = self.slots.iter().position(|slot| slot.as_deref().is_some_and(is_it))?;
        let stream = self.slots[slot].as_mut()?;
        if !stream.shared.admits(own) {
            return None;
        }
        let number = stream.number;
        own.take();
        own.follows.place = Some(Place { slot, number });
        Some(slot)
    }

    /// Makes a stream of what one leg has encoded for itself so far.
    fn begin(
        &mut self,
        (codec, pcm, at): (Codec, &Pcm, usize),
        own: &mut Own,
        limiter: &Limiter,
        resampler: Option<&Resampler>,
    ) -> Option<usize> {
        let free = self.slots.iter().position(Option::is_none);
        if free.is_none() && self.slots.len() >= STREAMS_MAX {
            return None;
        }
        let encoder = own.take()?;
        self.last += 1;
        let stream = Box::new(Stream {
            number: self.last,
            pcm: pcm.clone(),
            at,
            resampler: resampler
                .map_or_else(|| Resampler::new(Rate::Narrow, codec.rate()), Resampler::clone),
            limiter: *limiter,
            before: (!matches!(codec, Codec::Opus(_))).then(|| encoder.clone()),
            shared: Shared::new(codec, encoder),
            heard: 0,
            heard_before: 0,
        });
        let slot = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        own.follows.place = Some(Place { slot, number: self.last });
        self.slots[slot] = Some(stream);
        Some(slot)
    }

    fn release(&mut self, own: &mut Own, codec: Codec) {
        own.follows.ticks = 0;
        if let Some(place) = own.follows.place.take() {
            own.give(self.leave(place).unwrap_or_else(|| Box::new(Encoder::new(codec))));
        }
    }

    /// Returns the encoder of a stream as it was before this tick.
    fn leave(&mut self, place: Place) -> Option<Box<Encoder>> {
        let slot = self.slots.get_mut(place.slot)?;
        let stream = slot.as_ref().filter(|stream| stream.number == place.number)?;
        if stream.shared.is_encoded() {
            let before = stream.before.clone();
            return before.or_else(|| stream.shared.encoder.earlier().map(Box::new));
        }
        if stream.heard_before > 1 {
            return Some(stream.shared.encoder.clone());
        }
        // Nobody else is there.
        slot.take().map(|stream| stream.shared.encoder)
    }
}

impl Stream {
    fn is_at(&self, (codec, pcm, at): (Codec, &Pcm, usize)) -> bool {
        self.at == at && self.shared.codec == codec && Arc::ptr_eq(&self.pcm, pcm)
    }

    /// Encodes this tick, once.
    fn advance(&mut self, count: &mut u64) {
        if self.shared.is_encoded() {
            return;
        }
        let (rate, length) = (self.shared.codec.rate(), self.pcm.len());
        let played: [i32; SAMPLES] =
            std::array::from_fn(|index| self.pcm[(self.at + index) % length].into());
        let (mut heard, mut frame) = ([0; SAMPLES_MAX], [0; SAMPLES_MAX]);
        let (heard, frame) = (&mut heard[..rate.samples()], &mut frame[..rate.samples()]);
        self.resampler.resample(&played, heard);
        self.limiter.limit(rate, heard, frame);
        if let Some(before) = &mut self.before {
            before.clone_from(&self.shared.encoder);
        }
        self.shared.encode(frame, count);
    }

    /// Ends a tick; returns whether somebody heard it.
    fn finish(&mut self) -> bool {
        self.at = (self.at + SAMPLES) % self.pcm.len();
        self.heard_before = std::mem::take(&mut self.heard);
        self.shared.begin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::OpusOptions;

    /// One who was encoded for alone, and who hears a document of its own.
    fn listener(codec: Codec) -> (Own, Pcm) {
        let mut own = Own::new();
        own.give(Box::new(Encoder::new(codec)));
        (own, vec![0; SAMPLES].into())
    }

    /// Lets listeners hear a tick; returns how many of them were sent streams.
    fn tick(streams: &mut Remembered, codec: Codec, listeners: &mut [(Own, Pcm)]) -> usize {
        let mut sent = 0;
        for (own, pcm) in listeners {
            let stream = streams.follow((codec, pcm, 0), own, &Limiter::new(), None);
            if let Some(stream) = stream {
                stream.advance(&mut 0);
                sent += 1;
            } else {
                let frame = [0; SAMPLES_MAX];
                let frame = &frame[..codec.rate().samples()];
                own.encode(codec, None, frame, None, &mut [0; crate::codec::PAYLOAD_MAX]);
            }
        }
        streams.finish();
        sent
    }

    fn count(streams: &Remembered) -> usize {
        streams.slots.iter().flatten().count()
    }

    #[test]
    fn there_are_no_more_streams_than_there_may_be_and_none_that_nobody_hears() {
        let codec = Codec::G722;
        let mut streams = Remembered::default();
        let mut all: Vec<_> = (0..=STREAMS_MAX).map(|_| listener(codec)).collect();
        for _ in 0..ALIKE_AFTER {
            assert_eq!(tick(&mut streams, codec, &mut all), 0);
        }
        for _ in 0..3 {
            assert_eq!(tick(&mut streams, codec, &mut all), STREAMS_MAX);
            assert_eq!(streams.slots.len(), STREAMS_MAX);
        }
        let (last, _) = &mut all[STREAMS_MAX];
        assert!(!last.follows.is_one() && last.take().is_some(), "it is encoded for alone");
        last.give(Box::new(Encoder::new(codec)));
        // The first goes, and nobody else hears what it heard: the last has its place.
        let (own, pcm) = &mut all[0];
        streams.release(own, codec);
        assert!(own.take().is_some() && Arc::strong_count(pcm) == 1);
        assert_eq!(tick(&mut streams, codec, &mut all[1..]), STREAMS_MAX);
        assert!(all[STREAMS_MAX].0.follows.is_one());
        // Others who hear nothing more do not say so.
        assert_eq!(tick(&mut streams, codec, &mut all[1..3]), 2);
        assert_eq!(count(&streams), 2);
        assert_eq!(tick(&mut streams, codec, &mut []), 0);
        assert_eq!(count(&streams), 0);
        assert!(all.iter().all(|(_, pcm)| Arc::strong_count(pcm) == 1), "nothing holds them");
    }

    #[test]
    fn who_comes_back_to_a_stream_that_is_gone_is_encoded_for_alone() {
        for codec in [Codec::G722, Codec::Opus(OpusOptions::default())] {
            let mut streams = Remembered::default();
            let [mut one, mut other] = [[listener(codec)], [listener(codec)]];
            for _ in 0..=ALIKE_AFTER {
                tick(&mut streams, codec, &mut one);
            }
            assert!(one[0].0.follows.is_one());
            // Its place is another's meanwhile.
            for _ in 0..=ALIKE_AFTER {
                tick(&mut streams, codec, &mut other);
            }
            assert_eq!((count(&streams), streams.slots.len()), (1, 1));
            assert_eq!(tick(&mut streams, codec, &mut one), 0, "{codec:?}");
            let (own, _) = &mut one[0];
            assert!(!own.follows.is_one() && own.take().is_some(), "{codec:?}");
        }
    }

    #[test]
    fn whoever_comes_to_a_stream_of_opus_is_let_in_soon_and_its_encoder_goes() {
        let codec = Codec::Opus(OpusOptions::default());
        let mut streams = Remembered::default();
        let (own, pcm) = listener(codec);
        let mut all = vec![(own, pcm.clone())];
        for comer in 0..20 {
            let mut ticks = 0;
            while tick(&mut streams, codec, &mut all) < all.len() {
                ticks += 1;
                // One lets go of what it has made, another has made the same for a while; then both lead over.
                assert!(ticks < 3 * ALIKE_AFTER, "comer {comer}");
            }
            assert_eq!(count(&streams), 1);
            assert!(all.iter_mut().all(|(own, _)| own.take().is_none()), "comer {comer}");
            all.push((listener(codec).0, pcm.clone()));
        }
    }
}
