//! What legs say, encoded before anybody calls: a second of each tone, and of silence, in each codec.
//!
//! A second is said again and again. A frame of 20 ms holds whole periods of every tone, so that a
//! decoder hears no seam; a leg costs the generator no encoding, whatever its codec.

use std::collections::BTreeMap;
use std::sync::Arc;

use media::{Codec, Encoder, PAYLOAD_MAX};

use super::plan::{Plan, Role};
use super::voice::{CLICK_ROUNDS, Tone, amplitude};

/// Packets in a phrase: a second.
const PACKETS: usize = CLICK_ROUNDS as usize;
/// Packets that an encoder has made before one is kept, so that it no longer knows of its beginning.
const WARM_UP: usize = 25;

/// A second of sound, as packets.
#[derive(Debug)]
pub struct Phrase {
    plain: Vec<Box<[u8]>>,
    /// The same with a click at its beginning.
    clicking: Vec<Box<[u8]>>,
}

impl Phrase {
    fn new(codec: Codec, tone: Option<Tone>, amplitude: i16) -> Self {
        let mut encoder = Encoder::new(codec);
        let frame = |click| match tone {
            Some(tone) => tone.frame(codec.rate(), amplitude, click),
            None => vec![0; codec.rate().samples()],
        };
        let (plain, click) = (frame(false), frame(true));
        let mut encode = |frame: &[i16]| {
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(frame, &mut payload);
            Box::from(&payload[..length])
        };
        for _ in 0..WARM_UP {
            encode(&plain);
        }
        let plainly = (0..PACKETS).map(|_| encode(&plain)).collect();
        let clicking = match tone {
            Some(_) => {
                (0..PACKETS).map(|at| encode(if at == 0 { &click } else { &plain })).collect()
            }
            None => Vec::new(),
        };
        Self { plain: plainly, clicking }
    }
}

/// How far a leg has come in its phrase.
#[derive(Debug, Clone)]
pub struct Saying {
    phrase: Arc<Phrase>,
    at: usize,
    clicks: bool,
}

impl Saying {
    /// Returns the next packet; one that begins a click where that is asked for, which whoever is silent cannot.
    pub fn next(&mut self, click: bool) -> &[u8] {
        if click && !self.phrase.clicking.is_empty() {
            (self.at, self.clicks) = (0, true);
        } else if self.at == PACKETS {
            (self.at, self.clicks) = (0, false);
        }
        let packets = if self.clicks { &self.phrase.clicking } else { &self.phrase.plain };
        self.at += 1;
        &packets[self.at - 1]
    }
}

/// All that is said in a run, once.
#[derive(Debug)]
pub struct Phrases(BTreeMap<(usize, Option<Tone>), Arc<Phrase>>);

impl Phrases {
    /// Encodes what these legs say.
    pub fn new(plan: &Plan, roles: &[Role], codecs: &[Codec]) -> Self {
        let mut phrases = BTreeMap::new();
        for role in roles {
            let tone = plan.tone(role);
            let make = || Arc::new(Phrase::new(codecs[role.codec], tone, amplitude(plan.talkers)));
            phrases.entry((role.codec, tone)).or_insert_with(make);
        }
        Self(phrases)
    }

    /// Returns what a leg says.
    pub fn of(&self, plan: &Plan, role: &Role) -> Saying {
        let phrase = Arc::clone(&self.0[&(role.codec, plan.tone(role))]);
        Saying { phrase, at: 0, clicks: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::heard::Heard;
    use crate::load::voice::{Ear, WINDOW};

    use std::time::{Duration, Instant};

    #[test]
    fn a_phrase_that_goes_round_is_its_tone_and_its_click_in_every_codec() {
        for name in node::CODECS {
            let plan = Plan { codecs: vec![(*name).to_owned()], ..Plan::default() };
            let (codecs, roles) = (plan.mixed(), plan.roles());
            let phrases = Phrases::new(&plan, &roles[..4], &codecs);
            let mut saying = phrases.of(&plan, &roles[1]);
            let mut heard = Heard::default();
            let start = Instant::now();
            for number in 0..200_u16 {
                let at = start + Duration::from_millis(20) * number.into();
                // The first click comes anywhere in a phrase.
                heard.keep(at, number, saying.next(matches!(number, 73 | 123)));
            }
            let sound = heard.sound(codecs[0]);
            let each = amplitude(plan.talkers);
            let tone = plan.tone(&roles[1]).unwrap();
            assert_eq!(Ear::new().fault(&sound.samples, WINDOW, each, &[tone]), None, "{name}");
            let clicks: Vec<usize> = (0..200).filter(|&at| sound.clicks(at)).collect();
            assert!(clicks.contains(&73) && clicks.contains(&123), "{name}: {clicks:?}");
            assert!(
                clicks.iter().all(|at| matches!(at, 73..=74 | 123..=124)),
                "{name}: {clicks:?}"
            );

            let mut silent = phrases.of(&plan, &roles[3]);
            let mut heard = Heard::default();
            for number in 0..60 {
                heard.keep(start, number, silent.next(number == 7));
            }
            let sound = heard.sound(codecs[0]);
            assert_eq!(Ear::new().fault(&sound.samples, WINDOW, each, &[]), None, "{name}");
            assert!((0..60).all(|at| !sound.clicks(at)), "{name}");
        }
    }
}
