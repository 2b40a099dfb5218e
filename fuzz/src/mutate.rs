//! Mutants: entries of the corpus, changed a little or much.

/// Longest mutant: beyond the largest datagram and the largest document.
pub(crate) const LENGTH_MAX: usize = 70_000;
/// Numbers at which things break, as text.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1",
    "255",
    "65535",
    "65536",
    "2147483647",
    "4294967295",
    "18446744073709551616",
    "1e308",
];
/// And as octets.
const OCTETS: [u8; 8] = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, b'\n', b' '];

/// Makes mutants, the same ones for the same seed.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    words: &'static [&'static str],
}

impl Mutator {
    /// Makes a mutator that knows some words of the language.
    pub fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, words }
    }

    /// Returns a number below `below`, or 0.
    fn draw(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) as usize % below.max(1)
    }

    /// Returns a mutant of one of the entries.
    pub fn mutant(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = self.entry(corpus).to_vec();
        // Most mutants are close to what they come from: those get far.
        for _ in 0..1 + self.draw(4) * self.draw(4) {
            self.change(&mut octets, corpus);
        }
        octets.truncate(LENGTH_MAX);
        octets
    }

    fn entry<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a [u8] {
        let at = self.draw(corpus.len());
        corpus.get(at).map_or(&[], Vec::as_slice)
    }

    fn change(&mut self, octets: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.draw(octets.len() + 1);
        let end = (at + 1 + self.draw(16)).min(octets.len());
        match self.draw(12) {
            0 => self.set(octets, at, |octet, random| octet ^ 1 << (random % 8)),
            1 => self.set(octets, at, |_, random| OCTETS[random % OCTETS.len()]),
            2 => self.set(octets, at, |octet, random| octet.wrapping_add(random as u8)),
            3 => drop(octets.drain(at..end)),
            4 => {
                let copy = octets[at..end].to_vec();
                let times = 1 + self.draw(4) * self.draw(64);
                insert(octets, at, &copy.repeat(times));
            }
            5 => {
                let other = self.entry(corpus);
                let from = self.draw(other.len());
                let length = self.draw(64);
                insert(octets, at, &other[from..(from + length).min(other.len())]);
            }
            6 => octets.truncate(at),
            7 => {
                let word = self.words.get(self.draw(self.words.len())).copied().unwrap_or_default();
                insert(octets, at, word.as_bytes());
            }
            8 => self.number(octets, at),
            9 => self.line(octets, at),
            10 => octets[at..end].fill(0xFF),
            _ => octets[at..end].fill(0),
        }
    }

    fn set(&mut self, octets: &mut [u8], at: usize, change: impl Fn(u8, usize) -> u8) {
        let random = self.draw(1 << 16);
        if let Some(octet) = octets.get_mut(at) {
            *octet = change(*octet, random);
        }
    }

    /// Puts an odd number in the place of the next one.
    fn number(&mut self, octets: &mut Vec<u8>, at: usize) {
        let is_digit = |octet: &u8| octet.is_ascii_digit();
        let Some(start) = octets[at..].iter().position(is_digit) else { return };
        let start = at + start;
        let length = octets[start..].iter().take_while(|octet| is_digit(octet)).count();
        octets.drain(start..start + length);
        insert(octets, start, NUMBERS[self.draw(NUMBERS.len())].as_bytes());
    }

    /// Repeats a line, or moves it to another place.
    fn line(&mut self, octets: &mut Vec<u8>, at: usize) {
        let is_end = |octet: &u8| *octet == b'\n';
        let start = octets[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
        let end = octets[at..].iter().position(is_end).map_or(octets.len(), |end| at + end + 1);
        let line = octets[start..end].to_vec();
        if self.draw(2) == 0 {
            octets.drain(start..end);
        }
        let to = self.draw(octets.len() + 1);
        let to = octets[..to].iter().rposition(is_end).map_or(0, |end| end + 1);
        let times = if self.draw(8) == 0 { 200 } else { 1 };
        insert(octets, to, &line.repeat(times));
    }
}

fn insert(octets: &mut Vec<u8>, at: usize, new: &[u8]) {
    if octets.len() + new.len() <= LENGTH_MAX {
        octets.splice(at..at, new.iter().copied());
    }
}
