//! Recordings with a track for each participant. Nobody knows at the beginning how many will come, and
//! a WAV file must say so at its own; so a log is written while it goes on, and a WAV file made of it at the end.
//!
//! The log holds entries of 8 octets: the tick (32 bits), the track (16 bits) and whether a frame of 320
//! octets follows (16 bits), all little-endian. What is not there is silence. It breaks off anywhere.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use media::{Frame, SAMPLES, Sound};
use model::RecordingSid;

/// Octets of one frame.
const FRAME: usize = SAMPLES * 2;
/// Octets before it.
const ENTRY: usize = 8;
/// Stands for the track in an entry that says how many ticks are whole.
const NO_TRACK: u16 = u16::MAX;
/// Most octets of sound in a WAV file: its header has 32 bits for them, and counts some of its own.
const SOUND_MAX: u64 = u32::MAX as u64 - 1_024;

/// A log in the making.
#[derive(Debug)]
pub struct TrackLog {
    file: File,
    log: PathBuf,
    wav: PathBuf,
    octets: Vec<u8>,
    ticks: u32,
    tracks: u16,
    /// Whether anything was no silence.
    pub heard: bool,
}

/// Returns where a recording's log is.
pub fn path(folder: &Path, recording: RecordingSid) -> PathBuf {
    folder.join(format!("{recording}.tracks"))
}

impl TrackLog {
    pub fn new(log: PathBuf, wav: PathBuf) -> io::Result<Self> {
        let file = File::create(&log)?;
        Ok(Self { file, log, wav, octets: Vec::new(), ticks: 0, tracks: 0, heard: false })
    }

    /// How many samples of each track are whole.
    pub fn frames(&self) -> u64 {
        u64::from(self.ticks) * SAMPLES as u64
    }

    /// Whether a WAV file holds no more.
    pub fn is_full(&self) -> bool {
        // A second is left for what waits.
        octets(self.tracks, self.ticks.saturating_add(50)) > SOUND_MAX
    }

    pub fn push(&mut self, sound: &Sound, sounds: impl Fn(&Frame) -> bool) {
        match sound {
            Sound::Track(track, frame) => {
                self.tracks = self.tracks.max(track + 1);
                self.heard |= sounds(frame);
                let is_there = *frame != [0; SAMPLES];
                self.enter(*track, is_there);
                if is_there {
                    self.octets.extend(frame.iter().flat_map(|sample| sample.to_le_bytes()));
                }
            }
            Sound::Whole => self.ticks = self.ticks.saturating_add(1),
            Sound::Mix(..) => {}
        }
    }

    fn enter(&mut self, track: u16, frame_follows: bool) {
        self.octets.extend(self.ticks.to_le_bytes());
        self.octets.extend(track.to_le_bytes());
        self.octets.extend(u16::from(frame_follows).to_le_bytes());
    }

    /// Writes what waits, and how many ticks are whole.
    pub fn write(&mut self) -> io::Result<()> {
        self.enter(NO_TRACK, false);
        let written = self.file.write_all(&self.octets);
        self.octets.clear();
        written
    }

    /// Makes the WAV file.
    pub fn close(&mut self) -> io::Result<()> {
        assemble(&self.log, &self.wav).map(drop)
    }
}

fn octets(tracks: u16, ticks: u32) -> u64 {
    u64::from(tracks) * u64::from(ticks) * FRAME as u64
}

/// Makes a WAV file of a log, which is gone then. Returns how many samples each track has.
///
/// # Errors
/// When either file fails; the log stays.
pub fn assemble(log: &Path, wav: &Path) -> io::Result<u64> {
    let (mut tracks, mut ticks) = (0, 0);
    let mut entries = Entries::open(log)?;
    while let Some(entry) = entries.next()? {
        if entry.track == NO_TRACK {
            ticks = entry.tick;
        } else {
            tracks = tracks.max(entry.track.saturating_add(1));
        }
    }
    let ticks = if tracks == 0 { 0 } else { ticks };
    let most = SOUND_MAX / (u64::from(tracks).max(1) * FRAME as u64);
    let ticks = ticks.min(u32::try_from(most).unwrap_or(u32::MAX));
    let mut out = BufWriter::new(File::create(wav)?);
    out.write_all(&sound::wav_header(tracks.max(1), octets(tracks, ticks)))?;
    let mut entries = Entries::open(log)?;
    let mut next = entries.next()?;
    let mut interleaved = vec![0; usize::from(tracks) * FRAME];
    for tick in 0..ticks {
        interleaved.fill(0);
        while let Some(entry) = next.filter(|entry| entry.tick <= tick) {
            if let Some(frame) = entry.frame {
                let samples = frame.as_chunks::<2>().0.iter().enumerate();
                for (at, sample) in samples {
                    let place = (at * usize::from(tracks) + usize::from(entry.track)) * 2;
                    interleaved[place..place + 2].copy_from_slice(sample);
                }
            }
            next = entries.next()?;
        }
        out.write_all(&interleaved)?;
    }
    out.into_inner()?.sync_all()?;
    std::fs::remove_file(log)?;
    Ok(u64::from(ticks) * SAMPLES as u64)
}

/// One entry of a log.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tick: u32,
    track: u16,
    frame: Option<[u8; FRAME]>,
}

/// The entries of a log, up to where it breaks off.
struct Entries(BufReader<File>);

impl Entries {
    fn open(log: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(File::open(log)?)))
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut head = [0; ENTRY];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = head;
        let mut entry = Entry {
            tick: u32::from_le_bytes([a, b, c, d]),
            track: u16::from_le_bytes([e, f]),
            frame: None,
        };
        if u16::from_le_bytes([g, h]) != 0 {
            let mut frame = [0; FRAME];
            if !self.fill(&mut frame)? {
                return Ok(None);
            }
            entry.frame = Some(frame);
        }
        Ok(Some(entry))
    }

    fn fill(&mut self, octets: &mut [u8]) -> io::Result<bool> {
        match self.0.read_exact(octets) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs ticks, each with the tracks that sound in it, and returns what their WAV file holds.
    fn assembled(ticks: &[&[(u16, i16)]], torn: &[u8]) -> (Vec<u8>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let (log, wav) = (folder.path().join("a.tracks"), folder.path().join("a.wav"));
        let mut track_log = TrackLog::new(log.clone(), wav.clone()).unwrap();
        for tick in ticks {
            for (track, level) in *tick {
                track_log.push(&Sound::Track(*track, [*level; SAMPLES]), |_| true);
            }
            track_log.push(&Sound::Whole, |_| true);
            track_log.write().unwrap();
        }
        track_log.file.write_all(torn).unwrap();
        let frames = assemble(&log, &wav).unwrap();
        assert!(!log.exists());
        (std::fs::read(&wav).unwrap(), frames)
    }

    #[test]
    fn tracks_stand_side_by_side_and_late_ones_begin_with_silence() {
        let (file, frames) = assembled(&[&[(0, 5), (1, 0)], &[], &[(1, 9), (2, -7)]], &[]);
        assert_eq!((file[22], frames), (3, 3 * SAMPLES as u64));
        assert_eq!(file.len(), 44 + 3 * 3 * FRAME);
        let samples: Vec<i16> =
            file[44..].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        let at = |tick: usize| &samples[tick * 3 * SAMPLES..tick * 3 * SAMPLES + 3];
        assert_eq!([at(0), at(1), at(2)], [[5, 0, 0], [0, 0, 0], [0, 9, -7]]);
        assert_eq!(samples[3 * SAMPLES - 3..3 * SAMPLES], [5, 0, 0]);
    }

    #[test]
    fn a_log_that_breaks_off_is_whole_up_to_there() {
        for torn in [&[1, 0, 0][..], &[2, 0, 0, 0, 0, 0, 1, 0, 4, 4]] {
            let (file, frames) = assembled(&[&[(0, 5)], &[(0, 6)]], torn);
            assert_eq!((frames, file.len()), (2 * SAMPLES as u64, 44 + 2 * FRAME));
        }
        let (file, frames) = assembled(&[], &[]);
        assert_eq!((frames, file.len(), file[22]), (0, 44, 1));
    }
}
