use super::*;

const SENTENCE: &str = "Hello, please hold the line. We will be with you soon.";

/// Speaks within a minute, in a folder that all tests share.
fn speak(language: &str, woman: bool, segments: Vec<Segment>) -> Result<Spoken, Error> {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let speech = Speech { language: language.to_owned(), woman, segments };
    Voice::new(folder.path()).speak(&speech, Instant::now() + Duration::from_secs(60))
}

fn text(text: &str) -> Segment {
    Segment::Text { text: text.to_owned(), rate: 1.0, pitch: 1.0, volume: 1.0 }
}

fn says(segment: Segment) -> Vec<i16> {
    speak("en-US", false, vec![segment]).unwrap().pcm
}

/// The level of what is no pause, in dBFS.
fn level(pcm: &[i16]) -> f64 {
    let power = |frame: &[i16]| frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 160.0;
    let active: Vec<f64> = pcm.chunks_exact(160).map(power).filter(|&p| p > 1e4).collect();
    10.0 * (active.iter().sum::<f64>() / active.len() as f64 / 32_768_f64.powi(2)).log10()
}

/// How long someone speaks, in seconds, pauses left out.
fn seconds(pcm: &[i16]) -> f64 {
    let loud = |frame: &&[i16]| frame.iter().any(|s| s.unsigned_abs() > 300);
    pcm.chunks_exact(160).filter(loud).count() as f64 * 0.02
}

#[test]
fn a_sentence_takes_as_long_as_it_takes_to_say() {
    let spoken = seconds(&says(text(SENTENCE)));
    assert!((2.0..5.0).contains(&spoken), "{spoken} s");
}

#[test]
fn everyone_speaks_at_the_same_level() {
    for (language, woman) in [("en-US", false), ("en-GB", true), ("de-DE", false), ("it-IT", true)]
    {
        let pcm = speak(language, woman, vec![text(SENTENCE)]).unwrap().pcm;
        let level = level(&pcm);
        assert!((level + 20.0).abs() < 1.0, "{language}: {level} dBFS");
        assert!(pcm.iter().all(|s| s.unsigned_abs() < 32_760), "{language} clips");
    }
}

#[test]
fn half_the_rate_takes_about_twice_as_long() {
    let slow = Segment::Text { text: SENTENCE.to_owned(), rate: 0.5, pitch: 1.0, volume: 1.0 };
    let ratio = seconds(&says(slow)) / seconds(&says(text(SENTENCE)));
    assert!((1.6..2.6).contains(&ratio), "{ratio}");
}

#[test]
fn volume_is_heard_beside_what_has_none() {
    let soft = Segment::Text { text: SENTENCE.to_owned(), rate: 1.0, pitch: 1.0, volume: 0.25 };
    let difference = level(&says(text(SENTENCE))) - level(&says(soft));
    assert!((9.0..13.0).contains(&difference), "{difference} dB");
}

#[test]
fn pitch_and_speaker_change_the_sound_and_not_the_length() {
    let plain = says(text(SENTENCE));
    let high = Segment::Text { text: SENTENCE.to_owned(), rate: 1.0, pitch: 1.5, volume: 1.0 };
    let woman = speak("en-US", true, vec![text(SENTENCE)]).unwrap().pcm;
    for other in [says(high), woman] {
        assert!(other.len().abs_diff(plain.len()) < 2_000);
        assert_ne!(other, plain);
    }
}

#[test]
fn a_break_is_silent_and_as_long_as_it_says() {
    let pause = Segment::Break(Duration::from_millis(1_500));
    let pcm = speak("en", false, vec![text("One"), pause, text("two")]).unwrap().pcm;
    let longest = pcm.split(|&sample| sample != 0).map(<[i16]>::len).max().unwrap();
    assert!(longest >= 12_000, "{longest}");
    assert!(longest < 20_000, "{longest}");
}

#[test]
fn each_language_has_a_voice_and_an_unknown_one_is_spoken_in_english() {
    let mut heard = Vec::new();
    for (tag, _) in espeak::LANGUAGES {
        let spoken = speak(tag, false, vec![text("Casa, 12 radio.")]).unwrap();
        assert!(seconds(&spoken.pcm) > 0.5, "{tag}");
        heard.push(spoken.pcm);
    }
    heard.sort();
    heard.dedup();
    assert!(heard.len() > 25, "{} voices differ", heard.len());
    for (tag, name) in [
        ("en-AU", "en-gb"),
        ("pt_BR", "pt-br"),
        ("de-AT", "de"),
        ("no-NO", "nb"),
        ("zh-CN", "en-us"),
    ] {
        assert_eq!(speak(tag, false, vec![text("radio")]).unwrap().language, name, "{tag}");
    }
}

#[test]
fn what_cannot_be_spoken_is_told_apart() {
    for silent in ["", " \u{1}\u{7f} ", "\u{1}"] {
        assert!(matches!(speak("en", false, vec![text(silent)]), Err(Error::Silent)), "{silent:?}");
    }
    let speech = Speech { language: "en".to_owned(), woman: false, segments: vec![text(SENTENCE)] };
    let folder = tempfile::tempdir().unwrap();
    let late = Voice::new(folder.path()).speak(&speech, Instant::now());
    assert!(matches!(late, Err(Error::TooSlow)));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let nowhere = Voice::new(&file).speak(&speech, Instant::now());
    assert!(matches!(nowhere, Err(Error::Data { .. })));
}

#[test]
fn what_is_too_long_is_cut() {
    let spoken = speak("en", false, vec![text(&"one ".repeat(2_000)), text("two")]).unwrap();
    assert!(spoken.cut);
    assert!(seconds(&spoken.pcm) < 600.0);
    let pause = Segment::Break(Duration::from_secs(10));
    let pauses = [text("one")].into_iter().chain(vec![pause; 500]).chain([text("two")]);
    let spoken = speak("en", false, pauses.collect()).unwrap();
    assert!(spoken.cut);
    assert!(spoken.pcm.len() <= 8_000 * (LENGTH_MAX.as_secs() as usize + 10));
}

#[test]
fn odd_texts_neither_panic_nor_take_long() {
    for odd in
        ["😀漢字ﷺ", "[[h@'loU]]", "1e308 -0 9", "<a&b>", "\u{202e}\u{fffd}", "A.B.C.", "\u{e000}"]
    {
        let _ = speak("en", false, vec![text(&odd.repeat(20))]);
    }
    let digits = speak("en", false, vec![text(&"9".repeat(400))]);
    assert!(digits.is_ok() || matches!(digits, Err(Error::Silent)));
}
