//! Who understands speech: a program of the operator's own, or a service that it has the address of. Both get
//! a WAV file and answer with JSON: `{"text":"two tickets","confidence":0.93}`, or with plain text.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use exchange::{Failure, Recognise, Recognised};
use webhook::Uploader;

/// How long it may take to understand.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest answer, in octets.
const ANSWER_MAX: u64 = 64 * 1024;
/// How often it is looked whether a program has ended that has answered.
const POLL: Duration = Duration::from_millis(10);
/// Longest result, in characters.
const TEXT_MAX: usize = 4_096;
/// Twilio's code of a `<Gather>` whose speech provider cannot be used.
const FAILED: u32 = 13343;

/// Who understands speech.
#[derive(Debug, Clone)]
pub enum Recogniser {
    Nobody,
    Service(String, Uploader),
    Program(Vec<String>),
}

impl Recogniser {
    /// Reads an http address, or a command with its arguments.
    pub fn new(setting: Option<&str>) -> Self {
        let words = setting.map(str::split_whitespace).into_iter().flatten();
        let words: Vec<String> = words.map(str::to_owned).collect();
        match words.first() {
            None => Self::Nobody,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                Self::Service(url.clone(), Uploader::new())
            }
            Some(_) => Self::Program(words),
        }
    }

    /// Understands what a file holds, which is gone then.
    ///
    /// # Errors
    /// 13343 where the recogniser fails, answers nothing that can be read, or takes too long.
    pub async fn understand(
        &self,
        file: PathBuf,
        wanted: &Recognise,
    ) -> Result<Recognised, Failure> {
        let sound = tokio::fs::read(&file).await.map_err(|error| failed(&error));
        let _ = tokio::fs::remove_file(&file).await;
        read(&self.answer(sound?, wanted, false).await?, "confidence", 1.0)
    }

    /// Understands what a file holds so far; nothing where that fails, of which the whole will tell.
    pub async fn understand_partly(&self, file: PathBuf, wanted: &Recognise) -> Option<Recognised> {
        let sound = tokio::fs::read(&file).await.ok()?;
        let answer = self.answer(sound, wanted, true).await;
        let understood = answer.and_then(|answer| read(&answer, "stability", 0.0));
        understood.inspect_err(|failure| tracing::debug!(failure.message)).ok()
    }

    async fn answer(
        &self,
        sound: Vec<u8>,
        wanted: &Recognise,
        partial: bool,
    ) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Nobody => Err(failed(&"there is none")),
            Self::Service(url, uploader) => {
                let query = asked(wanted, partial);
                let answer =
                    uploader.post(url, &query, "audio/wav", sound, LIMIT, ANSWER_MAX as usize);
                answer.await.map_err(|failure| failed(&failure.message))
            }
            Self::Program(words) => {
                let (words, wanted) = (words.clone(), wanted.clone());
                let run = move || run(&words, sound, &asked(&wanted, partial));
                let run = tokio::task::spawn_blocking(run);
                run.await.unwrap_or_else(|_| Err(failed(&"the server is shutting down")))
            }
        }
    }
}

fn failed(why: &impl ToString) -> Failure {
    Failure { code: FAILED, message: format!("speech recogniser: {}", why.to_string()) }
}

/// Says how sound is to be understood: the fields of a request, and in upper case variables of a program.
fn asked(wanted: &Recognise, partial: bool) -> [(&'static str, &str); 5] {
    let word = |is| if is { "true" } else { "false" };
    [
        ("language", &wanted.language),
        ("hints", &wanted.hints),
        ("model", &wanted.model),
        ("enhanced", word(wanted.enhanced)),
        ("partial", word(partial)),
    ]
}

/// Runs a program with the sound as its input; it is ended where it takes too long.
fn run(words: &[String], sound: Vec<u8>, asked: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
    let told = |error: std::io::Error| failed(&format!("{}: {error}", words[0]));
    let late = || failed(&format!("{} takes longer than {LIMIT:?}", words[0]));
    let until = Instant::now() + LIMIT;
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .envs(
            asked.iter().map(|(name, value)| (format!("SIDETONE_{}", name.to_uppercase()), value)),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(told)?;
    let (said, answer) = mpsc::channel();
    let (input, output) = (child.stdin.take(), child.stdout.take());
    // A program that has heard enough reads no further: both threads end with it.
    std::thread::spawn(move || input.map(|mut input| input.write_all(&sound)));
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = output.map(|output| output.take(ANSWER_MAX).read_to_end(&mut answer));
        let _ = said.send(read.unwrap_or(Ok(0)).map(|_| answer));
    });
    let answer = answer.recv_timeout(LIMIT);
    loop {
        match child.try_wait().map_err(told)? {
            Some(status) if !status.success() => {
                return Err(failed(&format!("{} ended: {status}", words[0])));
            }
            Some(_) => return answer.map_err(|_| late())?.map_err(told),
            None if Instant::now() >= until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(late());
            }
            None => std::thread::sleep(POLL),
        }
    }
}

/// Reads JSON with `text`, and how sure it is under the name `sureness`, or plain text; `otherwise` is how sure it
/// is where it does not say.
fn read(answer: &[u8], sureness: &str, otherwise: f32) -> Result<Recognised, Failure> {
    let text = std::str::from_utf8(answer).map_err(|_| failed(&"its answer is not UTF-8"))?.trim();
    let (text, confidence) = if text.starts_with('{') {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| failed(&format!("its answer: {error}")))?;
        let said = json["text"].as_str().ok_or_else(|| failed(&"its answer has no text"))?;
        (said.trim().to_owned(), json[sureness].as_f64().map_or(otherwise, |sure| sure as f32))
    } else {
        (text.to_owned(), otherwise)
    };
    let confidence = if confidence.is_finite() { confidence } else { 0.0 };
    Ok(Recognised { text: text.chars().take(TEXT_MAX).collect(), confidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn understood(setting: &str) -> Result<Recognised, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wav");
        std::fs::write(&file, "sound").unwrap();
        let wanted = Recognise {
            language: "de-DE".to_owned(),
            hints: "eins".to_owned(),
            model: "phone_call".to_owned(),
            enhanced: true,
        };
        let result = Recogniser::new(Some(setting)).understand(file.clone(), &wanted).await;
        assert!(!file.exists(), "what was said is kept by nobody");
        result.map_err(|failure| {
            assert_eq!(failure.code, FAILED);
            failure.message
        })
    }

    #[tokio::test]
    async fn a_program_hears_the_sound_and_says_what_it_is() {
        let heard = understood("cat").await.unwrap();
        assert_eq!(heard, Recognised { text: "sound".to_owned(), confidence: 1.0 });
        for (name, value) in [
            ("LANGUAGE", "de-DE"),
            ("HINTS", "eins"),
            ("MODEL", "phone_call"),
            ("ENHANCED", "true"),
            ("PARTIAL", "false"),
        ] {
            let told = understood(&format!("printenv SIDETONE_{name}")).await.unwrap();
            assert_eq!(told.text, value, "{name}");
        }
    }

    #[tokio::test]
    async fn a_recogniser_that_fails_is_told_of() {
        for (setting, why) in [
            ("no-such-program-here", "no-such-program-here"),
            ("false", "ended"),
            ("", "there is none"),
            ("http://127.0.0.1:9/", ""),
            ("echo {nonsense", "its answer"),
            ("echo {}", "no text"),
        ] {
            let message = understood(setting).await.unwrap_err();
            assert!(message.contains(why), "{setting}: {message}");
        }
    }

    #[test]
    fn an_answer_is_json_or_text() {
        for (answer, text, confidence) in [
            (r#"{"text":" two ","confidence":0.25}"#, "two", 0.25),
            (r#"{"text":"two"}"#, "two", 1.0),
            ("two\n", "two", 1.0),
            ("", "", 1.0),
        ] {
            let expected = Recognised { text: text.to_owned(), confidence };
            assert_eq!(read(answer.as_bytes(), "confidence", 1.0), Ok(expected), "{answer}");
        }
        let partly = read(br#"{"text":"two","stability":0.5}"#, "stability", 0.0).unwrap();
        assert_eq!(partly, Recognised { text: "two".to_owned(), confidence: 0.5 });
        assert!(read(b"\xff", "confidence", 1.0).is_err());
    }
}
