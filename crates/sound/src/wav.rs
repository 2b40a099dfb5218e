//! WAV files: written, and put in order before they are read.
//!
//! Sizes in WAV files lie: writers that stream put 0 or the largest number, files break off, odd chunks
//! lack their padding. So the two chunks that matter are looked for here, and the decoder sees a new header
//! before the sound that is really there.
//!
//! Source: Microsoft, Multimedia Programming Interface 1.0 and `WAVEFORMATEXTENSIBLE`; EBU Tech 3306 (RF64).

use std::ops::Range;

use crate::{RATE, RATES, Unreadable};

/// Most channels that are mixed down.
pub(crate) const CHANNELS_MAX: u16 = 8;
/// Most chunks that are looked through.
const CHUNKS_MAX: usize = 1_000;
/// The format that says that the real one stands further on.
const EXTENSIBLE: u16 = 0xFFFE;
/// PCM, floating point, A-law, µ-law.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;

/// Writes 8 kHz mono as a WAV file.
pub fn wav(samples: &[i16]) -> Vec<u8> {
    let length = samples.len() * 2;
    let mut file = Vec::with_capacity(44 + length);
    file.extend(wav_header(1, length as u64));
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// Returns what comes before the sound of a WAV file at 8 kHz in 16 bits: 44 octets. `length` is the sound's in
/// octets.
pub fn wav_header(channels: u16, length: u64) -> Vec<u8> {
    let format = Format { tag: PCM, channels, rate: RATE, align: channels * 2, bits: 16 };
    format.header(usize::try_from(length).unwrap_or(usize::MAX))
}

/// What a `fmt ` chunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    align: u16,
    bits: u16,
}

impl Format {
    fn read(chunk: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?));
        let mut format = Self {
            tag: word(0)?,
            channels: word(2)?,
            rate: u32::from_le_bytes(*chunk.get(4..)?.first_chunk()?),
            align: word(12)?,
            bits: word(14).unwrap_or(8),
        };
        if format.tag == EXTENSIBLE {
            format.tag = word(24)?;
        }
        Some(format)
    }

    /// Checks it, and makes of samples in a wider place samples of that width.
    fn mended(mut self) -> Result<Self, Unreadable> {
        let refused = |why: String| Err(Unreadable(why));
        if self.channels == 0 || self.channels > CHANNELS_MAX {
            return refused(format!("{} channels", self.channels));
        }
        if !RATES.contains(&self.rate) {
            return refused(format!("{} Hz", self.rate));
        }
        if !matches!(self.tag, PCM | FLOAT | ALAW | ULAW) {
            return refused(format!("WAV format {:#06x}", self.tag));
        }
        let octets = match self.align / self.channels {
            place @ 1..=8 if self.align.is_multiple_of(self.channels) && place * 8 >= self.bits => {
                place
            }
            _ => self.bits.div_ceil(8),
        };
        let valid = match self.tag {
            PCM => (1..=4).contains(&octets),
            FLOAT => octets == 4 || octets == 8,
            _ => octets == 1,
        };
        if !valid {
            return refused(format!("{} bits in WAV format {}", self.bits, self.tag));
        }
        self.bits = octets * 8;
        self.align = octets * self.channels;
        Ok(self)
    }

    /// Returns a header for so many octets of sound.
    fn header(self, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap_or(u32::MAX - 38);
        // All but PCM say how much more there is to say: nothing.
        let more: &[u8] = if self.tag == PCM { &[] } else { &[0, 0] };
        let mut header = Vec::with_capacity(46);
        header.extend(b"RIFF");
        header.extend((36 + more.len() as u32 + length).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend((16 + more.len() as u32).to_le_bytes());
        header.extend(self.tag.to_le_bytes());
        header.extend(self.channels.to_le_bytes());
        header.extend(self.rate.to_le_bytes());
        header.extend((self.rate * u32::from(self.align)).to_le_bytes());
        header.extend(self.align.to_le_bytes());
        header.extend(self.bits.to_le_bytes());
        header.extend(more);
        header.extend(b"data");
        header.extend(length.to_le_bytes());
        header
    }
}

/// Whether a file says that it is a WAV file.
pub(crate) fn is_wav(octets: &[u8]) -> bool {
    matches!(octets.get(..4), Some(b"RIFF" | b"RF64" | b"BW64"))
        && octets.get(8..12) == Some(b"WAVE")
}

/// Finds the sound in a WAV file; returns a header that tells the truth, and where the sound is.
///
/// # Errors
/// No format or sound was found, or the format is none that is read.
pub(crate) fn mend(octets: &[u8]) -> Result<(Vec<u8>, Range<usize>), Unreadable> {
    let missing = |what: &str| Unreadable(format!("the WAV file has no {what}"));
    let (mut format, mut at) = (None, 12);
    for _ in 0..CHUNKS_MAX {
        let Some((id, size)) = chunk(octets, at) else { break };
        let start = at + 8;
        if id == *b"data" {
            let format: Format = format.ok_or_else(|| missing("format before its sound"))?;
            let format = Format::mended(format)?;
            let left = octets.len() - start;
            // A writer that streams knows no size: it says 0, or more than there is.
            let streamed = size == 0 && !is_chunk(octets, start);
            let length = if streamed { left } else { size.min(left) };
            let length = length - length % usize::from(format.align);
            return Ok((format.header(length), start..start + length));
        }
        let end = start.saturating_add(size).min(octets.len());
        if id == *b"fmt " {
            format = Format::read(&octets[start..end]);
        }
        // Some writers forget to pad an odd chunk.
        let padded = end + size % 2;
        at = if size % 2 == 1 && is_chunk(octets, end) { end } else { padded };
    }
    Err(missing("sound"))
}

/// Reads the name and the size of the chunk at a place.
fn chunk(octets: &[u8], at: usize) -> Option<([u8; 4], usize)> {
    let head: &[u8; 8] = octets.get(at..)?.first_chunk()?;
    let [a, b, c, d, size @ ..] = *head;
    Some(([a, b, c, d], u32::from_le_bytes(size) as usize))
}

/// Whether a chunk could begin here: a printable name, and a size that the file has room for.
fn is_chunk(octets: &[u8], at: usize) -> bool {
    chunk(octets, at).is_some_and(|(id, size)| {
        id.iter().all(|octet| matches!(octet, b' '..=b'~')) && size <= octets.len() - at - 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &[u8; 4], size: u32, body: &[u8]) -> Vec<u8> {
        [&id[..], &size.to_le_bytes(), body].concat()
    }

    fn file(kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
        [&kind[..], &u32::MAX.to_le_bytes(), b"WAVE", &chunks.concat()].concat()
    }

    fn format(tag: u16, channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [tag, channels] {
            body.extend(word.to_le_bytes());
        }
        body.extend(rate.to_le_bytes());
        body.extend(0_u32.to_le_bytes());
        for word in [align, bits] {
            body.extend(word.to_le_bytes());
        }
        chunk(b"fmt ", 16, &body)
    }

    fn plain() -> Vec<u8> {
        format(PCM, 1, 8_000, 2, 16)
    }

    #[test]
    fn sound_is_found_whatever_the_sizes_say() {
        let sound = [1, 2, 3, 4, 5, 6];
        for (about, kind, chunks, length) in [
            ("as it should be", b"RIFF", vec![plain(), chunk(b"data", 6, &sound)], 6),
            ("streamed, 0", b"RIFF", vec![plain(), chunk(b"data", 0, &sound)], 6),
            ("streamed, all ones", b"RIFF", vec![plain(), chunk(b"data", u32::MAX, &sound)], 6),
            ("broken off", b"RIFF", vec![plain(), chunk(b"data", 7_000, &sound[..5])], 4),
            (
                "RF64",
                b"RF64",
                vec![chunk(b"ds64", 28, &[0; 28]), plain(), chunk(b"data", u32::MAX, &sound)],
                6,
            ),
            (
                "with a list after it",
                b"RIFF",
                vec![plain(), chunk(b"data", 6, &sound), chunk(b"LIST", 2, b"xy")],
                6,
            ),
            (
                "nothing, and a list",
                b"RIFF",
                vec![plain(), chunk(b"data", 0, b""), chunk(b"LIST", 2, b"xy")],
                0,
            ),
            (
                "an odd chunk with padding",
                b"RIFF",
                vec![plain(), chunk(b"note", 3, b"abc\0"), chunk(b"data", 6, &sound)],
                6,
            ),
            (
                "an odd chunk without",
                b"RIFF",
                vec![plain(), chunk(b"note", 3, b"abc"), chunk(b"data", 6, &sound)],
                6,
            ),
        ] {
            let file = file(kind, &chunks);
            assert!(is_wav(&file));
            let (_, range) = mend(&file).unwrap_or_else(|error| panic!("{about}: {error}"));
            assert_eq!(range.len(), length, "{about}");
            assert_eq!(&file[range.clone()], &sound[..length], "{about}");
        }
    }

    #[test]
    fn a_format_that_makes_no_sense_is_refused() {
        for (tag, channels, rate, align, bits) in [
            (1, 0, 8_000, 2, 16),
            (1, 64, 8_000, 128, 16),
            (1, 1, 0, 2, 16),
            (1, 1, 384_000, 2, 16),
            (1, 1, 8_000, 0, 0),
            (1, 1, 8_000, 8, 64),
            (3, 1, 8_000, 2, 16),
            (7, 1, 8_000, 2, 16),
            (0x55, 1, 8_000, 2, 16),
        ] {
            let format = format(tag, channels, rate, align, bits);
            let file = file(b"RIFF", &[format, chunk(b"data", 2, &[0; 2])]);
            assert!(mend(&file).is_err(), "{tag} {channels} {rate} {align} {bits}");
        }
        for file in [file(b"RIFF", &[chunk(b"data", 2, &[0; 2])]), file(b"RIFF", &[plain()])] {
            assert!(mend(&file).is_err());
        }
    }

    #[test]
    fn a_wide_place_is_as_wide_as_it_is() {
        let file = file(b"RIFF", &[format(PCM, 2, 48_000, 8, 24), chunk(b"data", 9, &[0; 9])]);
        let (header, range) = mend(&file).unwrap();
        let told = Format::read(&header[20..36]).unwrap();
        assert_eq!(told, Format { tag: PCM, channels: 2, rate: 48_000, align: 8, bits: 32 });
        assert_eq!(range.len(), 8);
    }
}
