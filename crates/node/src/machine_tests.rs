//! How often it is told rightly whether a person or a machine has answered: generated greetings, spoken by
//! the embedded voice, sent as a phone sends them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Answerer, Channel, Codec, Command, Detection, Event, Header, LegId, LegOptions, PACKET_MAX,
    SAMPLES, Shard, TICK, linear_to_ulaw,
};
use model::MachineDetection;
use voice::{Segment, Speech, Voice};

/// What people say who take a call.
const PEOPLE: [(&str, &str); 10] = [
    ("en-US", "Hello?"),
    ("en-US", "Yes, hello, this is Anna."),
    ("en-GB", "Good morning, Miller and sons."),
    ("en-GB", "Speaking."),
    ("de-DE", "Ja, hallo?"),
    ("de-DE", "Schmidt, guten Tag."),
    ("fr-FR", "Allô, oui?"),
    ("it-IT", "Pronto, chi parla?"),
    ("es-ES", "¿Diga?"),
    ("es-ES", "Hola, buenos días."),
];
/// What machines say.
const MACHINES: [(&str, &str); 6] = [
    (
        "en-US",
        "Hello, you have reached Anna. I cannot come to the phone right now. Please leave a message after the tone.",
    ),
    (
        "en-US",
        "The person you are calling is not available. At the tone, please record your message. When you are finished, you may hang up.",
    ),
    (
        "en-GB",
        "Thank you for calling Miller and sons. Our office is closed. Our opening hours are nine to five, Monday to Friday.",
    ),
    (
        "de-DE",
        "Guten Tag, Sie sind verbunden mit dem Anschluss von Familie Schmidt. Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
    ),
    (
        "fr-FR",
        "Bonjour, vous êtes bien sur le répondeur de la famille Martin. Merci de laisser votre message après le signal sonore.",
    ),
    (
        "es-ES",
        "Hola, ha llamado a la familia García. En este momento no podemos atenderle. Deje su mensaje después de la señal.",
    ),
];
/// Beeps: hertz and milliseconds.
const BEEPS: [(u32, u32); 4] = [(440, 500), (1_000, 250), (1_400, 400), (850, 180)];

struct Greetings {
    voice: Voice,
    _folder: tempfile::TempDir,
}

impl Greetings {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { voice: Voice::new(folder.path()), _folder: folder }
    }

    /// Speaks after so many milliseconds of silence.
    fn say(&self, (language, text): (&str, &str), woman: bool, after_ms: usize) -> Vec<i16> {
        let text = text.to_owned();
        let segments = vec![Segment::Text { text, rate: 1.0, pitch: 1.0, volume: 1.0 }];
        let speech = Speech { language: language.to_owned(), woman, segments };
        let until = Instant::now() + Duration::from_secs(60);
        let mut sound = silence(after_ms);
        sound.extend(self.voice.speak(&speech, until).unwrap().pcm);
        // How long it is silent afterwards is another's business.
        let last = sound.iter().rposition(|sample| sample.unsigned_abs() > 100);
        sound.truncate(last.map_or(0, |last| last + 1));
        sound
    }
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn beep((hertz, ms): (u32, u32)) -> Vec<i16> {
    let sample = |at: u32| {
        let turn = std::f64::consts::TAU * f64::from(hertz * at) / 8_000.0;
        (turn.sin() * 6_000.0) as i16
    };
    (0..ms * 8).map(sample).collect()
}

/// Adds the noise of a line: its root of the mean square is about `level`.
fn with_noise(mut sound: Vec<i16>, level: i32) -> Vec<i16> {
    let mut random = 1_u32;
    for sample in &mut sound {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (random >> 16) as i32 % (level * 3 + 1) - level * 3 / 2;
        *sample = sample.saturating_add(noise as i16);
    }
    sound
}

/// Returns who answers with this sound, and silence after it.
fn answerer(sound: &[i16], message_end: bool) -> Answerer {
    let address = SocketAddr::from(([127, 0, 0, 1], 9_000));
    let start = Instant::now();
    let mut shard = Shard::new(1);
    let options = LegOptions::plain(Codec::Pcmu, 0, address);
    shard.handle_command(Command::AddLeg(LegId(1), Box::new(options)), start);
    let limits = MachineDetection::default();
    let detection = Detection {
        message_end,
        timeout: limits.timeout,
        speech_threshold: limits.speech_threshold,
        speech_end_threshold: limits.speech_end_threshold,
        silence_timeout: limits.silence_timeout,
    };
    shard.handle_command(Command::Detect(LegId(1), detection), start);
    for tick in 0..2_000_u32 {
        let now = start + TICK * tick;
        let at = tick as usize * SAMPLES;
        let octets: Vec<u8> = (at..at + SAMPLES)
            .map(|at| linear_to_ulaw(sound.get(at).copied().unwrap_or(0)))
            .collect();
        let header = Header {
            marker: tick == 0,
            payload_type: 0,
            sequence: tick as u16,
            timestamp: tick * SAMPLES as u32,
            ssrc: 7,
        };
        let mut packet = [0; PACKET_MAX];
        let end = header.write(&octets, &mut packet);
        shard.handle_datagram(LegId(1), Channel::Rtp, address, &packet[..end], now);
        shard.handle_tick(now);
        while let Some(event) = shard.poll_event() {
            if let Event::Answerer(_, answerer) = event {
                return answerer;
            }
        }
    }
    panic!("nobody said who answered");
}

/// Counts what is told rightly of these, and names what is not.
#[track_caller]
fn check(what: &str, least_percent: usize, expected: Answerer, told: &[(String, Answerer)]) {
    let right = told.iter().filter(|(_, answerer)| *answerer == expected).count();
    println!("{what}: {right} of {} are told rightly", told.len());
    let wrong: Vec<_> = told.iter().filter(|(_, answerer)| *answerer != expected).collect();
    assert!(right * 100 >= told.len() * least_percent, "{what}: {wrong:?}");
}

#[test]
fn people_are_told_from_machines_by_their_greetings() {
    let greetings = Greetings::new();
    let mut people = Vec::new();
    let mut machines = Vec::new();
    for woman in [false, true] {
        for (after_ms, noise) in [(100, 0), (700, 40), (1_500, 100)] {
            let told = |list: &mut Vec<_>, greeting: (&str, &str)| {
                let sound = with_noise(greetings.say(greeting, woman, after_ms), noise);
                list.push((greeting.1.to_owned(), answerer(&sound, false)));
            };
            PEOPLE.iter().for_each(|greeting| told(&mut people, *greeting));
            MACHINES.iter().for_each(|greeting| told(&mut machines, *greeting));
        }
    }
    check("people", 95, Answerer::Human, &people);
    check("machines", 95, Answerer::MachineStart, &machines);
}

#[test]
fn the_end_of_a_machine_s_greeting_is_found() {
    let greetings = Greetings::new();
    let (mut beeps, mut silences) = (Vec::new(), Vec::new());
    for greeting in MACHINES {
        let spoken = greetings.say(greeting, false, 500);
        silences.push((greeting.1.to_owned(), answerer(&spoken, true)));
        for tone in BEEPS {
            for (gap_ms, noise) in [(0, 0), (300, 40), (900, 100)] {
                let sound = [spoken.clone(), silence(gap_ms), beep(tone), silence(300)].concat();
                let told = answerer(&with_noise(sound, noise), true);
                beeps.push((format!("{tone:?} after {gap_ms} ms: {}", greeting.1), told));
            }
        }
    }
    check("ends with a beep", 90, Answerer::MachineEndBeep, &beeps);
    check("ends with silence", 90, Answerer::MachineEndSilence, &silences);
}

#[test]
fn a_fax_and_nothing_at_all_are_told_as_what_they_are() {
    for noise in [0, 100] {
        let fax = with_noise([silence(400), beep((2_100, 2_600))].concat(), noise);
        assert_eq!(answerer(&fax, false), Answerer::Fax);
        assert_eq!(answerer(&with_noise(silence(20_000), noise), true), Answerer::Unknown);
    }
}
