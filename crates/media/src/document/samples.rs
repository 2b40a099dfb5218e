//! Documents in codecs that have no memory: each sample is encoded once, wherever those are who hear it.

use std::sync::Arc;

use crate::SAMPLES;
use crate::codec::{Codec, Encoder, PAYLOAD_MAX};
use crate::limiter::{Limiter, look_ahead};
use crate::player::Pcm;
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
pub struct Samples {
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

impl Default for Samples {
    fn default() -> Self {
        Self { all: Vec::new(), octets: 0, seam: [0; SAMPLES] }
    }
}

impl Samples {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(samples: usize) -> Pcm {
        vec![0; samples].into()
    }

    /// Whether somebody is sent the first tick of a document.
    fn is_sent(documents: &mut Samples, pcm: &Pcm) -> bool {
        let (mut limiter, mut hint, mut count) = (Limiter::new(), 0, 0);
        documents.payload((Codec::Pcmu, pcm, 0), &mut limiter, &mut hint, &mut count).is_some()
    }

    fn octets(documents: &Samples) -> usize {
        documents.all.iter().map(|document| document.octets.len()).sum()
    }

    #[test]
    fn a_document_that_nobody_hears_is_gone_after_its_time() {
        let (mut documents, pcm) = (Samples::default(), silence(4_000));
        assert!(is_sent(&mut documents, &pcm));
        for _ in 0..KEPT_TICKS {
            documents.finish();
        }
        assert_eq!((documents.all.len(), documents.octets), (1, 4_000));
        // Whoever hears it once more keeps it as long again.
        assert!(is_sent(&mut documents, &pcm));
        for _ in 0..KEPT_TICKS {
            documents.finish();
        }
        assert_eq!(Arc::strong_count(&pcm), 2);
        documents.finish();
        assert_eq!((documents.all.len(), documents.octets), (0, 0));
        assert_eq!(Arc::strong_count(&pcm), 1, "nothing holds it");
    }

    #[test]
    fn of_too_many_documents_the_last_is_not_kept_until_one_is_unheard() {
        let mut documents = Samples::default();
        let all: Vec<Pcm> = (0..=DOCUMENTS_MAX).map(|_| silence(SAMPLES)).collect();
        let (last, first) = all.split_last().unwrap();
        for _ in 0..3 {
            assert!(first.iter().all(|pcm| is_sent(&mut documents, pcm)));
            assert!(!is_sent(&mut documents, last));
            documents.finish();
        }
        // Two ticks without the one in the middle.
        for _ in 0..2 {
            let heard = first.iter().enumerate().filter(|(place, _)| *place != 100);
            assert!(heard.map(|(_, pcm)| pcm).all(|pcm| is_sent(&mut documents, pcm)));
            documents.finish();
        }
        assert!(is_sent(&mut documents, last));
        assert!(!is_sent(&mut documents, &first[100]));
        assert_eq!(documents.all.len(), DOCUMENTS_MAX);
        assert_eq!(documents.octets, octets(&documents));
    }

    #[test]
    fn documents_never_take_more_octets_than_there_are() {
        let mut documents = Samples::default();
        assert!(!is_sent(&mut documents, &silence(OCTETS_MAX + 1)));
        let parts: Vec<Pcm> = (0..9).map(|_| silence(OCTETS_MAX / 8)).collect();
        for tick in 0..40 {
            // Those who hear them go from one to the next.
            let heard: Vec<bool> = (tick..tick + 6)
                .map(|part| is_sent(&mut documents, &parts[part % parts.len()]))
                .collect();
            assert!(documents.octets <= OCTETS_MAX && documents.octets == octets(&documents));
            assert!(tick < 3 || heard.iter().all(|heard| *heard), "{tick}: {heard:?}");
            documents.finish();
        }
    }
}
