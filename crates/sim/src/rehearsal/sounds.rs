//! The sounds that can be heard beside the phones' tones: files, speech, music, beeps.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::ear::{self, BLOCK, Ear, Print};
use super::scenario::Scenario;

/// Most sounds that are told apart.
const SOUNDS_MAX: usize = 200;
/// Letters of a text that name it.
const NAME_MAX: usize = 40;

/// What is to be heard, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A phone.
    Phone(usize),
    /// A file, by the end of its address.
    Sound(String),
    /// Speech, by a part of its text.
    Words(String),
    /// The music that comes with the server.
    Music,
    /// Anything at all.
    Anything,
}

impl Wanted {
    /// Reads what a scenario wants.
    pub fn of(text: &str, scenario: &Scenario) -> Option<Self> {
        if let Some(index) = scenario.phones.keys().position(|name| name == text) {
            return Some(Self::Phone(index));
        }
        match text.split_once(' ') {
            Some(("sound", path)) => Some(Self::Sound(path.to_owned())),
            Some(("words", words)) => Some(Self::Words(words.to_owned())),
            None if text == "music" => Some(Self::Music),
            None if text == "anything" => Some(Self::Anything),
            _ => None,
        }
    }
}

/// What a sound is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file at this address.
    Url(String),
    /// This text, spoken.
    Words(String),
    /// The server's music.
    Music,
    /// A beep or a ringing.
    Signal(&'static str),
    /// What a phone says that has no tone.
    Phone(usize),
}

#[derive(Debug)]
struct Known {
    origin: Origin,
    print: Print,
}

/// The sounds so far.
#[derive(Debug)]
pub struct Sounds {
    known: Vec<Known>,
    names: Vec<String>,
    /// Whether each phone says a tone.
    tones: Vec<bool>,
}

impl Sounds {
    /// Knows the beeps, and of each phone its name and whether it says a tone.
    pub fn new(phones: Vec<(String, bool)>) -> Self {
        let (names, tones) = phones.into_iter().unzip();
        let mut sounds = Self { known: Vec::new(), names, tones };
        sounds.add(Origin::Signal("the beep of one who comes"), &sound::enter_beep());
        sounds.add(Origin::Signal("the beep of one who goes"), &sound::exit_beep());
        sounds.add(Origin::Signal("ringing"), &sound::ring_tone("us"));
        sounds
    }

    /// Takes up a sound, once.
    pub fn add(&mut self, origin: Origin, pcm: &[i16]) {
        let is_new = !self.known.iter().any(|known| known.origin == origin);
        if is_new && self.known.len() < SOUNDS_MAX && !pcm.is_empty() {
            self.known.push(Known { origin, print: Print::new(pcm) });
        }
    }

    /// Takes up a sound that was brought from an address, or the music.
    pub fn brought(&mut self, url: &str, pcm: &Arc<[i16]>) {
        let music = Arc::ptr_eq(pcm, &sound::music());
        self.add(if music { Origin::Music } else { Origin::Url(url.to_owned()) }, pcm);
    }

    fn is(&self, origin: &Origin, wanted: &Wanted) -> bool {
        match (origin, wanted) {
            (Origin::Url(url), Wanted::Sound(path)) => {
                url.split(['?', '#']).next().is_some_and(|url| url.ends_with(path))
            }
            (Origin::Words(text), Wanted::Words(words)) => text.contains(words.as_str()),
            (Origin::Music, Wanted::Music) => true,
            (Origin::Phone(one), Wanted::Phone(other)) => one == other,
            _ => false,
        }
    }

    /// Judges what an ear heard in a window of time.
    ///
    /// # Errors
    /// What is otherwise than it must be.
    pub fn judge(
        &self,
        ear: &Ear,
        wanted: &Wanted,
        must: bool,
        window: Range<Duration>,
    ) -> Result<(), String> {
        let blocks: Vec<(Duration, bool)> = match wanted {
            Wanted::Phone(index) if self.tones.get(*index) == Some(&true) => {
                let blocks = ear.blocks(window);
                blocks.map(|(at, block)| (at, ear::has_tone(block, *index))).collect()
            }
            Wanted::Anything => {
                let loud = |block: &[i16]| ear::rest(block, 0).is_some();
                ear.blocks(window).map(|(at, block)| (at, loud(block))).collect()
            }
            wanted => return self.judge_sound(ear, wanted, must, window),
        };
        if blocks.is_empty() {
            return Err("too little was heard to judge: check for at least 200ms".to_owned());
        }
        let wrong: Vec<Duration> =
            blocks.iter().filter(|(_, heard)| *heard != must).map(|(at, _)| *at).collect();
        let Some(first) = wrong.first() else { return Ok(()) };
        let share = if wrong.len() == blocks.len() {
            String::new()
        } else {
            format!(" in {} of {} parts of 200 ms, first", wrong.len(), blocks.len())
        };
        let word = if must { "it was not heard" } else { "it was heard" };
        Err(format!("{word}{share} at {:.1} s", first.as_secs_f64()))
    }

    /// A sound has pauses: half of what is no silence must be it.
    fn judge_sound(
        &self,
        ear: &Ear,
        wanted: &Wanted,
        must: bool,
        window: Range<Duration>,
    ) -> Result<(), String> {
        let candidates: Vec<&Known> =
            self.known.iter().filter(|known| self.is(&known.origin, wanted)).collect();
        let mut near = vec![None; candidates.len()];
        let (mut loud, mut found, mut first) = (0, 0, None);
        for (at, block) in ear.blocks(window) {
            let Some(rest) = ear::rest(block, self.names.len()) else {
                near = near.iter().map(|near: &Option<usize>| near.map(|at| at + BLOCK)).collect();
                continue;
            };
            loud += 1;
            let mut here = false;
            for (candidate, near) in candidates.iter().zip(&mut near) {
                let place = candidate.print.find(&rest, *near);
                here |= place.is_some();
                *near = place.or(*near).map(|place| place + BLOCK);
            }
            found += usize::from(here);
            first = first.or(here.then_some(at));
        }
        match (must, first) {
            (true, None) if candidates.is_empty() => {
                Err("no such sound was played to anybody".to_owned())
            }
            (true, None) => Err("it was not heard".to_owned()),
            (true, Some(_)) if found * 2 < loud => {
                Err(format!("it was heard in {found} of {loud} parts of 200 ms that had sound"))
            }
            (false, Some(at)) => Err(format!("it was heard at {:.1} s", at.as_secs_f64())),
            (true, Some(_)) | (false, None) => Ok(()),
        }
    }

    /// Says what an ear heard when: what there was to hear each time that it changed.
    pub fn timeline(&self, ear: &Ear) -> Vec<(Duration, String)> {
        let mut lines = Vec::new();
        let mut last: Vec<String> = Vec::new();
        let mut playing: Option<(usize, usize)> = None;
        let whole = Duration::ZERO..Duration::MAX;
        for (at, block) in ear.blocks(whole) {
            let tone = |index: &usize| self.tones[*index] && ear::has_tone(block, *index);
            let mut here: Vec<String> =
                (0..self.names.len()).filter(tone).map(|index| self.names[index].clone()).collect();
            if let Some(rest) = ear::rest(block, self.names.len()) {
                playing = self.playing(&rest, playing);
                here.push(match playing {
                    Some((sound, _)) => self.name(&self.known[sound].origin),
                    None => "something".to_owned(),
                });
                playing = playing.map(|(sound, place)| (sound, place + BLOCK));
            } else {
                playing = playing.map(|(sound, place)| (sound, place + BLOCK));
            }
            if here != last {
                lines.push((at, here.join(" and ")));
                last = here;
            }
        }
        settle(lines)
    }

    fn playing(&self, rest: &[f32], last: Option<(usize, usize)>) -> Option<(usize, usize)> {
        if let Some((sound, place)) = last
            && let Some(place) = self.known[sound].print.find(rest, Some(place))
        {
            return Some((sound, place));
        }
        let found = |(sound, known): (usize, &Known)| Some((sound, known.print.find(rest, None)?));
        self.known.iter().enumerate().find_map(found)
    }

    fn name(&self, origin: &Origin) -> String {
        match origin {
            Origin::Url(url) => url.split(['?', '#']).next().unwrap_or(url).to_owned(),
            Origin::Words(text) => {
                let short: String = text.chars().take(NAME_MAX).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("“{short}{more}”")
            }
            Origin::Music => "music".to_owned(),
            Origin::Signal(name) => (*name).to_owned(),
            Origin::Phone(index) => self.names[*index].clone(),
        }
    }
}

/// Leaves out what lasted one block alone, in which two sounds meet; beeps are as short.
fn settle(lines: Vec<(Duration, String)>) -> Vec<(Duration, String)> {
    let mut settled: Vec<(Duration, String)> = Vec::new();
    let one = Duration::from_millis(200);
    for (index, (at, what)) in lines.iter().enumerate() {
        let next = lines.get(index + 1).map(|(at, _)| *at);
        let passing = next.is_some_and(|next| next <= *at + one) && !what.contains("beep");
        if !passing && settled.last().is_none_or(|(_, last)| last != what) {
            settled.push((*at, what.clone()));
        }
    }
    settled
}
