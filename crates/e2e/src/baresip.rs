//! baresip: a whole foreign phone, that speaks from a file and writes what it hears to another.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::foreign::foreign;

/// What a baresip speaks.
#[derive(Debug, Clone, Copy)]
pub struct Speech {
    /// Its module, but for `.so`.
    pub module: &'static str,
    /// Its codecs, as `audio_codecs` has them.
    pub codecs: &'static str,
    /// Samples a second of what it says and hears.
    pub rate: u32,
    /// Channels of that.
    pub channels: u16,
}

impl Speech {
    /// A telephone.
    pub const G711: Self =
        Self { module: "g711", codecs: "PCMU/8000/1,PCMA/8000/1", rate: 8_000, channels: 1 };
    /// A wide-band phone.
    pub const G722: Self =
        Self { module: "g722", codecs: "G722/16000/1", rate: 16_000, channels: 1 };
    /// A phone of the internet.
    pub const OPUS: Self =
        Self { module: "opus", codecs: "opus/48000/2", rate: 48_000, channels: 2 };

    /// Returns a WAV file of a tone that lasts two minutes.
    fn voice(self, hertz: u32, amplitude: f64) -> Vec<u8> {
        let step = f64::from(hertz) / f64::from(self.rate) * std::f64::consts::TAU;
        let sample = |at: u32| ((f64::from(at) * step).sin() * amplitude) as i16;
        let channels = usize::from(self.channels);
        let second: Vec<u8> =
            (0..self.rate).flat_map(|at| sample(at).to_le_bytes().repeat(channels)).collect();
        let pcm = second.repeat(120);
        let length = u32::try_from(pcm.len()).unwrap();
        let block = self.channels * 2;
        let mut file = b"RIFF".to_vec();
        file.extend((length + 36).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        file.extend(self.channels.to_le_bytes());
        file.extend(self.rate.to_le_bytes());
        file.extend((self.rate * u32::from(block)).to_le_bytes());
        file.extend(block.to_le_bytes());
        file.extend(b"\x10\0data");
        file.extend(length.to_le_bytes());
        file.extend(pcm);
        file
    }
}

/// A running baresip; it ends when this is dropped.
#[derive(Debug)]
pub struct Baresip {
    child: Child,
    folder: TempDir,
    speech: Speech,
}

/// Where its ports lie: below those that the kernel gives to whoever asks for any, of which one may be taken
/// again before baresip has it.
const PORTS: std::ops::Range<u16> = 12_000..18_000;

/// Returns a port that is free for UDP and TCP, as is the next one, which is that of TLS.
fn free_port() -> u16 {
    static LAST: AtomicU16 = AtomicU16::new(0);
    // Tests in other processes begin elsewhere.
    let begin = std::process::id() as u16;
    let is_free = |port: u16| {
        let address = (Ipv4Addr::LOCALHOST, port);
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    for _ in 0..PORTS.len() / 2 {
        let pair =
            begin.wrapping_add(LAST.fetch_add(1, Ordering::Relaxed)) % (PORTS.len() as u16 / 2);
        let port = PORTS.start + 2 * pair;
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

impl Baresip {
    /// Starts one with an account as its own file has it, which says a tone of so many hertz and so strong,
    /// with more lines of its configuration, and has it do `commands`. It answers by itself.
    pub fn start(account: &str, voice: (u32, f64), more: &str, commands: &[String]) -> Self {
        Self::start_speaking(Speech::G711, account, voice, more, commands)
    }

    /// Starts one as [`Self::start`] does, which speaks something else.
    pub fn start_speaking(
        speech: Speech,
        account: &str,
        (hertz, amplitude): (u32, f64),
        more: &str,
        commands: &[String],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let sip = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let modules = Path::new("/usr/lib/baresip/modules").display();
        let config = format!(
            "sip_listen {sip}\nnet_interface 127.0.0.1\nrtp_ports 30000-32000\n\
             module_path {modules}\nmodule {}.so\nmodule aufile.so\nmodule aubridge.so\n\
             module sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             audio_source aufile,{path}/voice.wav\naudio_player aubridge,ear\n\
             audio_alert aubridge,alert\nring_aufile none\nringback_aufile none\n\
             snd_path {path}\npoll_method epoll\n{more}",
            speech.module
        );
        let account = format!("{account};answermode=auto;audio_codecs={}\n", speech.codecs);
        let voice = speech.voice(hertz, amplitude);
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(folder.path().join(name), octets).unwrap();
        };
        write("config", config.as_bytes());
        write("accounts", account.as_bytes());
        write("voice.wav", &voice);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(foreign("baresip"))
            .arg("-f")
            .arg(folder.path())
            .arg("-s")
            .args(commands.iter().flat_map(|command| ["-e", command]))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder, speech }
    }

    /// Returns what it said and traced so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns all that it has heard, thinned to 8 kHz: the 16-bit samples after a WAV file's head, of a
    /// file that grows while the call lasts.
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let decoded = paths.find(|path| path.to_string_lossy().ends_with("-dec.wav"));
        let file = decoded.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        // One sample of one channel for each at 8 kHz.
        let thinned = self.speech.rate as usize / 8_000 * usize::from(self.speech.channels);
        let samples = file.get(44..).unwrap_or_default().chunks_exact(2).step_by(thinned);
        samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
