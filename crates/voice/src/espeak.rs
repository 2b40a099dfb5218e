//! The embedded synthesiser, a port of eSpeak NG: of the server, this file alone names it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use espeak_ng::{EspeakNg, Parameter};
use sound::{RATE, Resampler};

use crate::{CHARACTERS_MAX, Error, LENGTH_MAX, Segment, Speech, Spoken, level};

/// Where below the given folder this version's data lies.
const FOLDER: &str = "espeak-ng-0.2.0";
/// What the language is called by its tag and by the synthesiser. The first whose tag is the whole or the
/// beginning of what is asked for is taken.
pub(crate) const LANGUAGES: &[(&str, &str)] = &[
    ("en-us", "en-us"),
    ("en", "en-gb"),
    ("es-es", "es"),
    ("es", "es-419"),
    ("pt-br", "pt-br"),
    ("pt", "pt"),
    ("fr-be", "fr-be"),
    ("fr-ch", "fr-ch"),
    ("fr", "fr-fr"),
    ("bg", "bg"),
    ("ca", "ca"),
    ("cs", "cs"),
    ("cy", "cy"),
    ("da", "da"),
    ("de", "de"),
    ("el", "el"),
    ("et", "et"),
    ("eu", "eu"),
    ("fi", "fi"),
    ("hr", "hr"),
    ("hu", "hu"),
    ("is", "is"),
    ("it", "it"),
    ("lt", "lt"),
    ("lv", "lv"),
    ("nb", "nb"),
    ("nl", "nl"),
    ("nn", "nb"),
    ("no", "nb"),
    ("pl", "pl"),
    ("ro", "ro"),
    ("sk", "sk"),
    ("sl", "sl"),
    ("sr", "sr"),
    ("sv", "sv"),
    ("tr", "tr"),
    ("uk", "uk"),
];
/// What is spoken where no voice is near.
const FALLBACK: &str = "en-us";
/// A woman's voice: a variant of the synthesiser's one speaker.
const WOMAN: &str = "+f2";
/// Words in a minute where nothing is asked for, and the bounds of what the synthesiser does.
const WORDS: f32 = 175.0;
const WORDS_BOUNDS: (f32, f32) = (80.0, 450.0);
/// Between two texts that follow each other with no break.
const GAP: Duration = Duration::from_millis(60);

/// Renders a speech.
pub(crate) fn speak(folder: &Path, speech: &Speech, until: Instant) -> Result<Spoken, Error> {
    let data = data(folder)?;
    let language = nearest(&speech.language);
    let mut spoken = Spoken { pcm: Vec::new(), language, cut: false };
    let mut voices = Vec::new();
    let mut left = CHARACTERS_MAX;
    for (index, segment) in speech.segments.iter().enumerate() {
        if spoken.pcm.len() >= samples(LENGTH_MAX) {
            spoken.cut = true;
            break;
        }
        match segment {
            Segment::Break(length) => silence(&mut spoken.pcm, *length),
            Segment::Text { text, rate, pitch, volume } => {
                let followed = matches!(speech.segments.get(index + 1), Some(Segment::Text { .. }));
                let text = plain(text, &mut left, &mut spoken.cut);
                if text.is_empty() {
                    continue;
                }
                let name = format!("{language}{}", if speech.woman { WOMAN } else { "" });
                let mut engine = EspeakNg::with_data_dir(&name, &data).map_err(failed)?;
                let (slowest, fastest) = WORDS_BOUNDS;
                let words = (WORDS * rate).clamp(slowest, fastest);
                engine.set_parameter(Parameter::Rate, words as i32);
                engine.set_parameter(Parameter::Pitch, height(*pitch));
                engine.set_no_final_pause(followed);
                let start = spoken.pcm.len();
                render(&engine, &text, until, &mut spoken)?;
                voices.push((start..spoken.pcm.len(), *volume));
                if followed {
                    silence(&mut spoken.pcm, GAP);
                }
            }
        }
    }
    if voices.iter().all(|(range, _)| range.is_empty()) {
        return Err(Error::Silent);
    }
    let gain = level::gain(voices.iter().map(|(range, _)| &spoken.pcm[range.clone()]));
    for (range, volume) in voices {
        for sample in &mut spoken.pcm[range] {
            *sample = level::turned(*sample, gain * f64::from(volume));
        }
    }
    Ok(spoken)
}

/// Appends one text, clause by clause, as long as there is time and room.
fn render(engine: &EspeakNg, text: &str, until: Instant, spoken: &mut Spoken) -> Result<(), Error> {
    let Some(mut resampler) = Resampler::new(engine.sample_rate()) else {
        return Err(Error::Failed(format!("its rate is {} Hz", engine.sample_rate())));
    };
    let (mut late, mut full) = (false, false);
    let mut block = Vec::new();
    let rendered = engine.synth_streaming(text, |clause, _| {
        block.clear();
        block.extend(clause.iter().map(|&sample| f32::from(sample) / 32_768.0));
        resampler.push(&block, &mut spoken.pcm);
        late = Instant::now() >= until;
        full = spoken.pcm.len() > samples(LENGTH_MAX);
        late || full
    });
    if late {
        return Err(Error::TooSlow);
    }
    rendered.map_err(failed)?;
    resampler.finish(&mut spoken.pcm);
    if full {
        spoken.pcm.truncate(samples(LENGTH_MAX));
        spoken.cut = true;
    }
    Ok(())
}

/// Takes out what the synthesiser reads as orders and not as words, and what is over the limit.
fn plain(text: &str, left: &mut usize, cut: &mut bool) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        if *left == 0 {
            *cut = true;
            break;
        }
        *left -= 1;
        plain.push(if letter.is_control() { ' ' } else { letter });
    }
    plain.trim().to_owned()
}

/// Turns a factor into the synthesiser's scale, which doubles every 50 steps from 1 at 50.
fn height(pitch: f32) -> i32 {
    (50.0 + 50.0 * pitch.max(0.01).log2()).clamp(0.0, 100.0) as i32
}

/// Returns the synthesiser's name of the nearest language.
fn nearest(tag: &str) -> &'static str {
    let tag = tag.to_ascii_lowercase().replace('_', "-");
    let is_near =
        |own: &str| tag.strip_prefix(own).is_some_and(|r| r.is_empty() || r.starts_with('-'));
    let found = LANGUAGES.iter().find(|(own, _)| is_near(own));
    found.map_or(FALLBACK, |(_, name)| *name)
}

fn samples(length: Duration) -> usize {
    (length.as_millis() as usize).saturating_mul(RATE as usize / 1_000)
}

fn silence(pcm: &mut Vec<i16>, length: Duration) {
    pcm.resize(pcm.len() + samples(length.min(LENGTH_MAX)), 0);
}

fn failed(error: espeak_ng::Error) -> Error {
    Error::Failed(error.to_string())
}

/// Returns where the data lies; it is laid there, whole or not at all, if it does not yet.
fn data(folder: &Path) -> Result<PathBuf, Error> {
    let data = folder.join(FOLDER);
    if data.is_dir() {
        return Ok(data);
    }
    let told = |error| Error::Data { folder: folder.display().to_string(), error };
    // Each renderer lays its own; who comes second finds the place taken.
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let beside = folder.join(format!("{FOLDER}.{}-{number}.part", std::process::id()));
    std::fs::create_dir_all(&beside).map_err(told)?;
    let laid = espeak_ng::install_bundled_languages(&beside, espeak_ng::BUNDLED_LANGUAGES)
        .and_then(|()| std::fs::rename(&beside, &data));
    if let Err(error) = laid {
        let _ = std::fs::remove_dir_all(&beside);
        if !data.is_dir() {
            return Err(told(error));
        }
    }
    Ok(data)
}
