//! A WAV file that can be played at every moment of its making.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use media::{Frame, SAMPLES};

/// Samples below this are silence where that is cut off: -50 dB.
const SILENCE_BELOW: u16 = 104;
/// Octets before the sound.
pub const HEADER: u64 = 44;

/// Whether a frame is no silence.
pub fn sounds(frame: &Frame) -> bool {
    frame.iter().any(|one| one.unsigned_abs() >= SILENCE_BELOW)
}

/// A WAV file in the making.
#[derive(Debug)]
pub struct WavTrack {
    file: File,
    channels: u8,
    trim: bool,
    /// Samples of each channel that the file holds.
    pub frames: u64,
    /// Of these, up to the last one that is no silence.
    pub heard: u64,
    /// What is to be written next.
    octets: Vec<u8>,
    waiting: u64,
}

impl WavTrack {
    pub fn new(file: File, channels: u8, trim: bool) -> io::Result<Self> {
        let mut track = Self::without_header(file, channels, trim);
        track.file.write_all(&track.header())?;
        Ok(track)
    }

    pub(super) fn without_header(file: File, channels: u8, trim: bool) -> Self {
        Self { file, channels, trim, frames: 0, heard: 0, octets: Vec::new(), waiting: 0 }
    }

    fn align(&self) -> u64 {
        u64::from(self.channels) * 2
    }

    fn header(&self) -> Vec<u8> {
        sound::wav_header(self.channels.into(), self.frames * self.align())
    }

    pub fn push(&mut self, left: &Frame, right: Option<&Frame>) {
        let heard = sounds(left) || right.is_some_and(sounds);
        if self.trim && !heard && self.heard == 0 {
            return;
        }
        for (at, sample) in left.iter().enumerate() {
            self.octets.extend(sample.to_le_bytes());
            if self.channels == 2 {
                let other = right.map_or(0, |right| right[at]);
                self.octets.extend(other.to_le_bytes());
            }
        }
        self.waiting += SAMPLES as u64;
        if heard {
            self.heard = self.frames + self.waiting;
        }
    }

    /// Writes what waits, then a header that tells of it.
    pub fn write(&mut self) -> io::Result<()> {
        if self.octets.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.octets);
        self.octets.clear();
        let waiting = std::mem::take(&mut self.waiting);
        if let Err(error) = written {
            let octets = self.file.metadata().map_or(0, |data| data.len());
            self.frames = octets.saturating_sub(HEADER) / self.align();
            self.heard = self.heard.min(self.frames);
            return Err(error);
        }
        self.frames += waiting;
        self.file.write_all_at(&self.header(), 0)
    }

    /// Cuts off what is to be cut off, and has the disk keep the rest.
    pub fn close(&mut self) -> io::Result<()> {
        if self.trim {
            self.frames = self.heard;
        }
        self.file.set_len(HEADER + self.frames * self.align())?;
        self.file.write_all_at(&self.header(), 0)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(level: i16) -> Frame {
        [level; SAMPLES]
    }

    /// Writes ticks of these levels and returns what the file holds of each tick, and its end.
    fn written(levels: &[i16], channels: u8, trim: bool) -> (Vec<u8>, WavTrack) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut track = WavTrack::new(File::create(&path).unwrap(), channels, trim).unwrap();
        for &level in levels {
            track.push(&tick(level), (channels == 2).then_some(&tick(-level)));
            track.write().unwrap();
        }
        track.close().unwrap();
        (std::fs::read(&path).unwrap(), track)
    }

    #[test]
    fn silence_at_both_ends_is_cut_off_where_that_is_wanted() {
        let levels = [0, 3, 500, 0, 0, -500, 0];
        for (trim, expected) in [(false, &levels[..]), (true, &levels[2..6])] {
            let (file, track) = written(&levels, 1, trim);
            let samples = sound::decode(file).unwrap();
            let ticks: Vec<i16> = samples.chunks(SAMPLES).map(|tick| tick[0]).collect();
            assert_eq!(ticks, expected, "{trim}");
            assert_eq!(track.frames, (expected.len() * SAMPLES) as u64);
        }
        let (file, track) = written(&[0, 0], 1, true);
        assert_eq!((file.len() as u64, track.heard), (HEADER, 0));
    }

    #[test]
    fn two_channels_are_written_side_by_side() {
        let (file, _) = written(&[1_000, 0], 2, false);
        assert_eq!(file.len() as u64, HEADER + 2 * 4 * SAMPLES as u64);
        assert_eq!(file[22], 2);
        assert_eq!(file[44..48], [0xE8, 0x03, 0x18, 0xFC]);
    }
}
