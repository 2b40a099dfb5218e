//! Documents in codecs that have no memory: each sample is encoded once, wherever those are who hear it.

use std::sync::Arc;

use crate::SAMPLES;
use crate::codec::{Encoder, PAYLOAD_MAX};
use crate::command::{Codec, Pcm};
use crate::limiter::{Limiter, look_ahead};
use crate::rate::Rate;

/// Most documents that are kept, and octets of all of them: half an hour of sound.
const DOCUMENTS_MAX: usize = 256;
const OCTETS_MAX: usize = 16 << 20;
/// Ticks for which one is kept that nobody hears: 10 s.
const KEPT_TICKS: u32 = 500;
/// By so many samples everything is heard late.
const LATE: usize = look_ahead(Rate::Narrow);

/// The documents that are heard.
#[derive(Debug)]
pub struct Documents {
    all: Vec<Document>,
    octets: usize,
    /// What is sent where a document begins anew within a tick.
    seam: [u8; SAMPLES],
}

#[derive(Debug)]
struct Document {
    codec: Codec,
    pcm: Pcm,
    encoder: Encoder,
    octets: Box<[u8]>,
    /// Which pieces of a tick's length are encoded.
    done: Box<[bool]>,
    /// Ticks in which nobody heard it.
    unheard: u32,
}

impl Default for Documents {
    fn default() -> Self {
        Self { all: Vec::new(), octets: 0, seam: [0; SAMPLES] }
    }
}

impl Documents {
    /// Ends a tick.
    pub fn finish(&mut self) {
        self.all.retain_mut(|document| {
            document.unheard += 1;
            let is_kept = document.unheard <= KEPT_TICKS;
            self.octets -= if is_kept { 0 } else { document.octets.len() };
            is_kept
        });
    }

    /// Returns the tick of a document that begins at `at`, encoded, and moves on the limiter of a leg that
    /// hears nothing else; nothing where something before it is still held back, or all places are taken.
    ///
    /// The document is as long as a tick or longer. `hint` is where it was found last.
    pub fn payload(
        &mut self,
        (codec, pcm, at): (Codec, &Pcm, usize),
        limiter: &mut Limiter,
        hint: &mut usize,
        count: &mut u64,
    ) -> Option<&[u8]> {
        if !limiter.holds(Rate::Narrow, &before(pcm, at)) {
            return None;
        }
        let is_it = |one: &Document| one.codec == codec && Arc::ptr_eq(&one.pcm, pcm);
        if !self.all.get(*hint).is_some_and(is_it) {
            let place = self.all.iter().position(is_it);
            *hint = place.or_else(|| self.add(codec, pcm))?;
        }
        limiter.hold(Rate::Narrow, &before(pcm, at + SAMPLES));
        let document = &mut self.all[*hint];
        document.unheard = 0;
        let start = (at + pcm.len() - LATE) % pcm.len();
        let first = SAMPLES.min(pcm.len() - start);
        document.encode(start, first, count);
        if first == SAMPLES {
            return Some(&document.octets[start..start + SAMPLES]);
        }
        document.encode(0, SAMPLES - first, count);
        self.seam[..first].copy_from_slice(&document.octets[start..]);
        self.seam[first..].copy_from_slice(&document.octets[..SAMPLES - first]);
        Some(&self.seam)
    }

    /// Returns the place of a new document, where there is one.
    fn add(&mut self, codec: Codec, pcm: &Pcm) -> Option<usize> {
        let length = pcm.len();
        if length > OCTETS_MAX {
            return None;
        }
        if self.all.len() >= DOCUMENTS_MAX || self.octets + length > OCTETS_MAX {
            // One that nobody hears makes room.
            let (place, _) = self
                .all
                .iter()
                .enumerate()
                .filter(|(_, one)| one.unheard > 1)
                .max_by_key(|(_, one)| one.unheard)?;
            self.octets -= self.all.swap_remove(place).octets.len();
            if self.octets + length > OCTETS_MAX {
                return None;
            }
        }
        self.octets += length;
        self.all.push(Document {
            codec,
            pcm: pcm.clone(),
            encoder: Encoder::new(codec),
            octets: vec![0; length].into(),
            done: vec![false; length.div_ceil(SAMPLES)].into(),
            unheard: 0,
        });
        Some(self.all.len() - 1)
    }
}

impl Document {
    /// Encodes so many samples from `start` on, where they are not yet.
    fn encode(&mut self, start: usize, length: usize, count: &mut u64) {
        for piece in start / SAMPLES..(start + length).div_ceil(SAMPLES) {
            if std::mem::replace(&mut self.done[piece], true) {
                continue;
            }
            let place = piece * SAMPLES..((piece + 1) * SAMPLES).min(self.pcm.len());
            let mut payload = [0; PAYLOAD_MAX];
            let length = self.encoder.encode(&self.pcm[place.clone()], &mut payload);
            self.octets[place].copy_from_slice(&payload[..length]);
            *count += 1;
        }
    }
}

/// Returns the samples before `at` that are held back there, of a document without an end.
fn before(pcm: &[i16], at: usize) -> [i32; LATE] {
    std::array::from_fn(|index| pcm[(at + pcm.len() - LATE + index) % pcm.len()].into())
}
