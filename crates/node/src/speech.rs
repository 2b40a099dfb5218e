//! Speech: `<Say>` as sound, rendered beside the async threads, bounded, and kept for the next time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use exchange::{Failure, PlayId, Speech};
use tokio::sync::{Semaphore, mpsc};
use voice::{Error, Segment, Spoken, Voice};

use crate::driver::Request;
use crate::played::Loaded;

/// Longest that one speech may take to be rendered, waiting included.
const RENDER_LIMIT: Duration = Duration::from_secs(10);
/// Speeches that are rendered at the same time.
const RENDERS_MAX: usize = 2;
/// Most samples that are kept, over all speeches: 64 MiB.
const KEPT_MAX: usize = 32 * 1024 * 1024;

/// Renders a speech and hands it on.
pub async fn speak(
    speaker: Arc<Speaker>,
    requests: mpsc::Sender<Request>,
    play: PlayId,
    speech: Speech,
) {
    let loaded = speaker.load(&speech).await;
    if let Some(remark) = loaded.remark {
        let _ = requests.send(Request::Remarked(play, remark)).await;
    }
    let _ = requests.send(Request::Loaded(play, loaded.result)).await;
}

/// The voice, how many may use it at a time, and what it said lately.
#[derive(Debug)]
pub struct Speaker {
    voice: Voice,
    renders: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

/// A speech as sound.
#[derive(Debug, Clone)]
struct Rendered {
    pcm: Arc<[i16]>,
    /// How it differs from what was asked for.
    remark: Option<Failure>,
}

impl Speaker {
    /// Prepares a voice whose data is kept in the server's folder.
    pub fn new(data: &Path) -> Self {
        Self {
            voice: Voice::new(&data.join("voice")),
            renders: Arc::new(Semaphore::new(RENDERS_MAX)),
            kept: Mutex::default(),
        }
    }

    /// Returns a speech as sound: 8 kHz mono.
    ///
    /// # Errors
    /// When it cannot be rendered, with Twilio's code.
    pub async fn words(&self, speech: &Speech) -> Result<Arc<[i16]>, Failure> {
        Ok(self.render(speech).await?.pcm)
    }

    /// Renders a speech, or finds what was rendered before.
    pub async fn load(&self, speech: &Speech) -> Loaded {
        match self.render(speech).await {
            Ok(Rendered { pcm, remark }) => Loaded { result: Ok(pcm), remark },
            Err(failure) => Loaded { result: Err(failure), remark: None },
        }
    }

    async fn render(&self, speech: &Speech) -> Result<Rendered, Failure> {
        let key = format!("{speech:?}");
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rendered) = kept().get(&key) {
            return Ok(rendered);
        }
        let until = Instant::now() + RENDER_LIMIT;
        let permit = tokio::time::timeout(RENDER_LIMIT, Arc::clone(&self.renders).acquire_owned());
        let Ok(Ok(permit)) = permit.await else { return Err(failure(&Error::TooSlow)) };
        let (voice, asked) = (self.voice.clone(), voiced(speech));
        let language = asked.language.clone();
        // A renderer that hangs keeps its permit: there are never more of them than that.
        let rendering = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            voice.speak(&asked, until)
        });
        let spoken = match tokio::time::timeout_at(until.into(), rendering).await {
            Err(_) => Err(Error::TooSlow),
            Ok(Err(panicked)) => Err(Error::Failed(panicked.to_string())),
            Ok(Ok(spoken)) => spoken,
        };
        let spoken = spoken.map_err(|error| failure(&error))?;
        let remark = remark(&spoken, &language);
        let rendered = Rendered { pcm: spoken.pcm.into(), remark };
        kept().put(key, rendered.clone());
        Ok(rendered)
    }
}

/// What was said lately, the longest unused of it given up first.
#[derive(Debug, Default)]
struct Kept {
    speeches: BTreeMap<String, (u64, Rendered)>,
    samples: usize,
    clock: u64,
}

impl Kept {
    fn get(&mut self, key: &str) -> Option<Rendered> {
        self.clock += 1;
        let (used, rendered) = self.speeches.get_mut(key)?;
        *used = self.clock;
        Some(rendered.clone())
    }

    fn put(&mut self, key: String, rendered: Rendered) {
        self.clock += 1;
        // The key counts as well: it is as long as the text.
        self.samples += rendered.pcm.len() + key.len();
        if let Some((_, before)) = self.speeches.insert(key.clone(), (self.clock, rendered)) {
            self.samples -= before.pcm.len() + key.len();
        }
        while self.samples > KEPT_MAX
            && let Some(oldest) = self.speeches.iter().min_by_key(|(_, (used, _))| *used)
        {
            let key = oldest.0.clone();
            if let Some((_, gone)) = self.speeches.remove(&key) {
                self.samples -= gone.pcm.len() + key.len();
            }
        }
    }
}

/// Says in the voice's words what TwiML asked for.
fn voiced(speech: &Speech) -> voice::Speech {
    let speaker = twiml::speaker(&speech.voice, &speech.language)
        .or_else(|| twiml::speaker("", &speech.language))
        .expect("the default voice speaks every language");
    let segments = speech.segments.iter().map(|segment| match segment {
        twiml::Segment::Break(length) => Segment::Break(*length),
        twiml::Segment::Text { text, rate, pitch, volume } => {
            let (rate, pitch, volume) = (*rate, *pitch, *volume);
            Segment::Text { text: text.clone(), rate, pitch, volume }
        }
    });
    voice::Speech { language: speaker.language, woman: speaker.woman, segments: segments.collect() }
}

fn remark(spoken: &Spoken, language: &str) -> Option<Failure> {
    let first = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let own = first(spoken.language);
    let near = own == first(language) || own == "nb" && ["no", "nn"].contains(&&*first(language));
    if spoken.cut {
        let most = voice::CHARACTERS_MAX;
        let message = format!("the text is longer than {most} characters, or than it may sound");
        return Some(Failure { code: 13_521, message });
    }
    (!near).then(|| Failure {
        code: 13_511,
        message: format!("no voice here speaks {language}; {} is spoken", spoken.language),
    })
}

fn failure(error: &Error) -> Failure {
    let code = if matches!(error, Error::Data { .. }) { 12_400 } else { 13_520 };
    Failure { code, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(samples: usize) -> Rendered {
        Rendered { pcm: vec![0; samples].into(), remark: None }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_longest_unused_goes_first() {
        let mut kept = Kept::default();
        for name in ["a", "b", "c"] {
            kept.put(name.to_owned(), rendered(KEPT_MAX / 3 - 10));
        }
        assert!(kept.get("a").is_some());
        kept.put("d".to_owned(), rendered(KEPT_MAX / 3 - 10));
        let left: Vec<_> = kept.speeches.keys().map(String::as_str).collect();
        assert_eq!(left, ["a", "c", "d"]);
        kept.put("e".to_owned(), rendered(KEPT_MAX + 1));
        assert!(kept.speeches.is_empty());
        assert_eq!(kept.samples, 0);
    }

    #[test]
    fn twilios_names_become_a_language_and_a_speaker() {
        let speech = |voice: &str, language: &str| {
            let plain = Speech::plain("Hello".to_owned());
            voiced(&Speech { voice: voice.to_owned(), language: language.to_owned(), ..plain })
        };
        assert_eq!(speech("Polly.Hans", "").language, "de-DE");
        assert_eq!(speech("nobody", "fr-FR").language, "fr-FR");
        assert!(speech("alice", "en-GB").woman);
    }

    #[tokio::test]
    async fn a_language_without_a_voice_is_remarked_on_and_the_next_time_nothing_is_rendered() {
        let folder = tempfile::tempdir().unwrap();
        let speaker = Speaker::new(folder.path());
        let mut speech = Speech::plain("Hello".to_owned());
        let rendered = speaker.render(&speech).await;
        if cfg!(not(feature = "voice-espeak")) {
            assert_eq!(rendered.unwrap_err().code, 13_520);
            return;
        }
        assert_eq!(rendered.unwrap().remark, None);
        speech.language = "zh-CN".to_owned();
        let first = speaker.render(&speech).await.unwrap();
        assert_eq!(first.remark.as_ref().map(|remark| remark.code), Some(13_511));
        let second = speaker.render(&speech).await.unwrap();
        assert!(Arc::ptr_eq(&first.pcm, &second.pcm));
    }
}
