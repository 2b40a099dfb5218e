//! baresip: a whole foreign phone, that speaks from a file and writes what it hears to another.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ears::tone;
use crate::foreign::foreign;

/// A running baresip; it ends when this is dropped.
#[derive(Debug)]
pub struct Baresip {
    child: Child,
    folder: TempDir,
}

impl Baresip {
    /// Starts one with an account as its own file has it, which says a tone of so many hertz and so strong,
    /// with more lines of its configuration, and has it do `commands`. It answers by itself.
    pub fn start(
        account: &str,
        (hertz, amplitude): (u32, f64),
        more: &str,
        commands: &[String],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let modules = Path::new("/usr/lib/baresip/modules").display();
        let config = format!(
            "sip_listen {sip}\nnet_interface 127.0.0.1\nrtp_ports 30000-32000\n\
             module_path {modules}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\n\
             module sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             audio_source aufile,{path}/voice.wav\naudio_player aubridge,ear\n\
             audio_alert aubridge,alert\nring_aufile none\nringback_aufile none\n\
             snd_path {path}\npoll_method epoll\n{more}"
        );
        let codecs = "audio_codecs=PCMU/8000/1,PCMA/8000/1";
        let account = format!("{account};answermode=auto;{codecs}\n");
        let voice = sound::wav(&tone(hertz, amplitude).repeat(120));
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
        Self { child, folder }
    }

    /// Returns what it said and traced so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns all that it has heard: the 16-bit samples after a WAV file's head, of a file that
    /// grows while the call lasts.
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let decoded = paths.find(|path| path.to_string_lossy().ends_with("-dec.wav"));
        let file = decoded.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let samples = file.get(44..).unwrap_or_default().chunks_exact(2);
        samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
