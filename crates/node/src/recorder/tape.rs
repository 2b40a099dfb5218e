//! One recording's file in the making, whoever writes it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use exchange::{Failure, RecordingEnd};
use media::{Recorded, Sound};
use model::RecordingSid;

use super::tracks::{self, TrackLog};
use super::wav::{WavTrack, sounds};
use super::{DISK_FAILED, HEARD, heard, length, path};

/// Longest recording: as long as the longest call.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What stands side by side in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One channel or two.
    Mix {
        /// How many.
        channels: u8,
        /// Whether silence at both ends is cut off.
        trim: bool,
    },
    /// A track for each participant.
    Tracks,
    /// What one says, to be recognised: a file that is nobody's recording.
    Heard,
}

/// A recording's file in the making. Whoever plays a node writes it by hand, without a thread and a ring.
#[derive(Debug)]
pub struct Tape {
    sheet: Sheet,
    /// Why it broke off.
    pub(super) failure: Option<Failure>,
}

impl Tape {
    /// Writes a WAV file that is there.
    #[cfg(test)]
    pub(super) fn of(track: WavTrack) -> Self {
        Self { sheet: Sheet::Mix(track), failure: None }
    }

    /// Makes the file.
    pub(crate) fn open(folder: &Path, recording: RecordingSid, layout: Layout) -> io::Result<Self> {
        Ok(Self { sheet: Sheet::new(recording, layout, folder)?, failure: None })
    }

    /// Appends a tick, which is written with the next [`Self::write`].
    pub fn push(&mut self, tick: &Recorded) {
        self.sheet.push(&tick.sound);
    }

    /// Writes what was appended.
    pub fn write(&mut self) {
        if let Err(error) = self.sheet.write() {
            let message = format!("the recording cannot be written: {error}");
            self.failure.get_or_insert(Failure { code: DISK_FAILED, message });
        }
    }

    /// Whether nothing more goes into it.
    pub(super) fn is_over(&self) -> bool {
        self.failure.is_some() || self.sheet.is_full()
    }

    /// Closes the file and says what it holds.
    pub fn close(mut self) -> RecordingEnd {
        if let Err(error) = self.sheet.close() {
            let message = format!("the recording cannot be closed: {error}");
            self.failure.get_or_insert(Failure { code: DISK_FAILED, message });
        }
        RecordingEnd {
            length: length(self.sheet.frames()),
            silent: self.sheet.is_silent(),
            failure: self.failure,
        }
    }
}

/// What is written.
#[derive(Debug)]
enum Sheet {
    Mix(WavTrack),
    Tracks(TrackLog),
}

impl Sheet {
    fn new(sid: RecordingSid, layout: Layout, folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let wav = path(folder, sid);
        Ok(match layout {
            Layout::Mix { channels, trim } => {
                Self::Mix(WavTrack::new(File::create(wav)?, channels, trim)?)
            }
            Layout::Heard => {
                std::fs::create_dir_all(folder.join(HEARD))?;
                Self::Mix(WavTrack::new(File::create(heard(folder, sid))?, 1, true)?)
            }
            Layout::Tracks => Self::Tracks(TrackLog::new(tracks::path(folder, sid), wav)?),
        })
    }

    fn push(&mut self, sound: &Sound) {
        match (self, sound) {
            (Self::Mix(track), Sound::Mix(left, right)) => track.push(left, right.as_ref()),
            (Self::Tracks(log), sound) => log.push(sound, sounds),
            (Self::Mix(_), Sound::Track(..) | Sound::Whole) => {}
        }
    }

    fn write(&mut self) -> io::Result<()> {
        match self {
            Self::Mix(track) => track.write(),
            Self::Tracks(log) => log.write(),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Mix(track) => track.close(),
            Self::Tracks(log) => log.close(),
        }
    }

    fn frames(&self) -> u64 {
        match self {
            Self::Mix(track) => track.frames,
            Self::Tracks(log) => log.frames(),
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Mix(track) => track.heard == 0,
            Self::Tracks(log) => !log.heard,
        }
    }

    fn is_full(&self) -> bool {
        let tracks = matches!(self, Self::Tracks(log) if log.is_full());
        tracks || length(self.frames()) >= LENGTH_MAX
    }
}
