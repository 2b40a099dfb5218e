//! The thread that writes recordings: it empties their rings into WAV files that can be played at
//! every moment, up to the last [`FLUSH`].
//!
//! A recording has a ring of its own, from the media thread. Where the disk is too slow for it, or
//! takes no more, that recording ends as failed; the room plays on.

mod tape;
mod tracks;
mod wav;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::{Duration, Instant};

use exchange::{Failure, RecordingEnd};
use media::{RATE, Recorded};
use model::RecordingSid;
use tokio::runtime::Handle;

use crate::priority;
use wav::HEADER;

pub use tape::{Layout, Tape};

/// How often what was recorded is written, with a header that tells how much it is.
const FLUSH: Duration = Duration::from_millis(250);
/// Ticks that wait in one recording's ring: 5 s.
const RING_MAX: usize = 250;
/// Pieces that wait in the ring of one with tracks: more than a full conference makes between two
/// flushes, and 5 s of one in which 30 speak at once.
const TRACKS_RING_MAX: usize = 8_192;
/// Recordings that wait to be opened.
const ORDERS_MAX: usize = 1_024;

/// The folder of what is heard; what a killed server left there goes with the next start.
const HEARD: &str = "heard";

/// Twilio's code for a storage that cannot be written.
const DISK_FAILED: u32 = 16111;
/// Twilio's code for a storage that does not take what it is given.
const DISK_TOO_SLOW: u32 = 16112;

/// The media thread's end of a recording's ring.
#[derive(Debug)]
pub struct Ring {
    ticks: SyncSender<Recorded>,
    overflowed: Arc<AtomicBool>,
}

impl Ring {
    /// Hands a tick over; false where nobody takes it any more.
    pub fn push(&self, tick: Recorded) -> bool {
        match self.ticks.try_send(tick) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.overflowed.store(true, Ordering::Relaxed);
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// What the thread is asked for.
struct Order {
    recording: RecordingSid,
    layout: Layout,
    ticks: Receiver<Recorded>,
    overflowed: Arc<AtomicBool>,
}

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub struct Recorder {
    orders: SyncSender<Order>,
    folder: PathBuf,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.recording)
    }
}

impl Recorder {
    /// Starts the thread; `ended` is told, from any thread, what each file holds when it is closed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        folder: PathBuf,
        runtime: Handle,
        ended: impl Fn(RecordingSid, RecordingEnd) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let _ = std::fs::remove_dir_all(folder.join(HEARD));
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let place = folder.clone();
        std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            priority::lower();
            run(&inbox, &place, &runtime, &ended);
        })?;
        Ok(Self { orders, folder })
    }

    /// Opens a recording's file; nothing where too many wait already.
    pub fn open(&self, recording: RecordingSid, layout: Layout) -> Option<Ring> {
        let (sender, ticks) = sync_channel(match layout {
            Layout::Mix { .. } | Layout::Heard => RING_MAX,
            Layout::Tracks => TRACKS_RING_MAX,
        });
        let overflowed = Arc::new(AtomicBool::new(false));
        let order = Order { recording, layout, ticks, overflowed: Arc::clone(&overflowed) };
        self.orders.try_send(order).ok()?;
        Some(Ring { ticks: sender, overflowed })
    }

    /// Deletes a recording's file.
    pub fn erase(&self, recording: RecordingSid) {
        let paths = [path, tracks::path, heard].map(|path| path(&self.folder, recording));
        tokio::task::spawn_blocking(move || {
            for path in paths {
                if let Err(error) = std::fs::remove_file(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::warn!(recording.sid = %recording, %error, "a recording's file is left");
                }
            }
        });
    }
}

/// Returns where a recording's file is.
pub fn path(folder: &Path, recording: RecordingSid) -> PathBuf {
    folder.join(format!("{recording}.wav"))
}

/// Returns where what was heard is kept until it is recognised.
pub fn heard(folder: &Path, hearing: RecordingSid) -> PathBuf {
    folder.join(HEARD).join(format!("{hearing}.wav"))
}

/// Says what a recording is that could not be opened at all.
pub fn unopened() -> RecordingEnd {
    failed(Duration::ZERO, DISK_TOO_SLOW, "too many recordings wait to be opened".to_owned())
}

fn failed(length: Duration, code: u32, message: String) -> RecordingEnd {
    RecordingEnd { length, silent: false, failure: Some(Failure { code, message }) }
}

/// Mends the header of a file that nobody closed, and says what it holds.
pub fn mended(folder: &Path, recording: RecordingSid) -> RecordingEnd {
    let mend = || {
        let (path, log) = (path(folder, recording), tracks::path(folder, recording));
        if log.exists() {
            return tracks::assemble(&log, &path);
        }
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header)?;
        let channels = header[22].clamp(1, 2);
        let align = u64::from(channels) * 2;
        let frames = file.metadata()?.len().saturating_sub(HEADER) / align;
        file.set_len(HEADER + frames * align)?;
        file.write_all_at(&sound::wav_header(channels.into(), frames * align), 0)?;
        file.sync_all()?;
        Ok::<_, io::Error>(frames)
    };
    match mend() {
        Ok(frames) => RecordingEnd { length: length(frames), silent: frames == 0, failure: None },
        // The server was killed before anything was written.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) =>
        {
            RecordingEnd { length: Duration::ZERO, silent: true, failure: None }
        }
        Err(error) => failed(Duration::ZERO, DISK_FAILED, error.to_string()),
    }
}

fn length(frames: u64) -> Duration {
    Duration::from_micros(frames * (1_000_000 / u64::from(RATE)))
}

/// Writes until the last handle is gone, and what is open then to its end.
fn run(
    inbox: &Receiver<Order>,
    folder: &Path,
    runtime: &Handle,
    ended: &(impl Fn(RecordingSid, RecordingEnd) + Clone + Send + 'static),
) {
    let mut open: Vec<Open> = Vec::new();
    let mut flush_at = Instant::now() + FLUSH;
    loop {
        match inbox.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
            Ok(order) => match Open::new(order, folder) {
                Ok(recording) => open.push(recording),
                Err((recording, error)) => {
                    tell(runtime, ended, recording, move || {
                        failed(Duration::ZERO, DISK_FAILED, error.to_string())
                    });
                }
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                for mut recording in open {
                    recording.flush();
                    recording.tape.close();
                }
                return;
            }
        }
        if Instant::now() >= flush_at {
            let closed = open.extract_if(.., |recording| recording.flush() == Going::Over);
            for recording in closed {
                tell(runtime, ended, recording.sid, move || recording.tape.close());
            }
            flush_at = Instant::now() + FLUSH;
        }
    }
}

/// Tells away from the writer's thread, which nothing may hold up, what came of a recording.
fn tell(
    runtime: &Handle,
    ended: &(impl Fn(RecordingSid, RecordingEnd) + Clone + Send + 'static),
    recording: RecordingSid,
    close: impl FnOnce() -> RecordingEnd + Send + 'static,
) {
    let ended = ended.clone();
    runtime.spawn_blocking(move || ended(recording, close()));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

/// One file that is written from a ring.
#[derive(Debug)]
struct Open {
    sid: RecordingSid,
    ticks: Receiver<Recorded>,
    overflowed: Arc<AtomicBool>,
    tape: Tape,
}

impl Open {
    fn new(order: Order, folder: &Path) -> Result<Self, (RecordingSid, io::Error)> {
        let Order { recording: sid, layout, ticks, overflowed } = order;
        let tape = Tape::open(folder, sid, layout).map_err(|error| (sid, error))?;
        Ok(Self { sid, ticks, overflowed, tape })
    }

    /// Writes what waits in the ring.
    fn flush(&mut self) -> Going {
        let over = loop {
            match self.ticks.try_recv() {
                Ok(tick) => self.tape.push(&tick),
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        self.tape.write();
        if self.overflowed.load(Ordering::Relaxed) {
            let message = "the disk did not keep up with the recording".to_owned();
            self.tape.failure.get_or_insert(Failure { code: DISK_TOO_SLOW, message });
        }
        if over || self.tape.is_over() { Going::Over } else { Going::On }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use media::{Frame, SAMPLES, Sound};

    use super::wav::WavTrack;
    use super::*;

    fn tick(level: i16) -> Frame {
        [level; SAMPLES]
    }

    #[test]
    fn a_file_that_nobody_closed_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let sid = RecordingSid::new([7; 16]);
        let file = File::create(path(folder.path(), sid)).unwrap();
        let mut track = WavTrack::new(file, 1, false).unwrap();
        track.push(&tick(900), None);
        track.write().unwrap();
        // What came after the last header, and half a sample.
        drop(track);
        let file = File::options().append(true).open(path(folder.path(), sid));
        file.unwrap().write_all(&[1; 161]).unwrap();
        let end = mended(folder.path(), sid);
        assert_eq!((end.length, end.failure), (Duration::from_millis(30), None));
        let file = std::fs::read(path(folder.path(), sid)).unwrap();
        assert_eq!(file.len(), 44 + 480);
        assert_eq!(file[40..44], 480_u32.to_le_bytes());
        let missing = mended(folder.path(), RecordingSid::new([8; 16]));
        assert_eq!((missing.length, missing.silent), (Duration::ZERO, true));
    }

    #[test]
    fn a_full_disk_and_a_slow_one_end_the_recording_with_a_code() {
        let open = |file: File| {
            let (sender, ticks) = sync_channel(2);
            let overflowed = Arc::new(AtomicBool::new(false));
            let tape = Tape::of(WavTrack::without_header(file, 1, false));
            let sid = RecordingSid::new([1; 16]);
            let ring = Ring { ticks: sender, overflowed: Arc::clone(&overflowed) };
            (ring, Open { sid, ticks, overflowed, tape })
        };
        let sound = Sound::Mix(tick(900), None);
        let tick = Recorded { recording: media::RecordingId(1), sound };
        let (ring, mut full) = open(File::options().write(true).open("/dev/full").unwrap());
        assert!(ring.push(tick));
        assert_eq!(full.flush(), Going::Over);
        assert_eq!(full.tape.close().failure.map(|failure| failure.code), Some(DISK_FAILED));
        let (ring, mut slow) = open(tempfile::tempfile().unwrap());
        assert_eq!([ring.push(tick), ring.push(tick), ring.push(tick)], [true, true, false]);
        drop(ring);
        assert_eq!(slow.flush(), Going::Over);
        let end = slow.tape.close();
        assert_eq!(end.failure.map(|failure| failure.code), Some(DISK_TOO_SLOW));
        assert_eq!(end.length, Duration::from_millis(40), "what came before is kept");
    }
}
