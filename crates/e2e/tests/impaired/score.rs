//! Asks PESQ how good what was heard is, once for all that was heard.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use e2e::brought;
use media::{Codec, OpusOptions, Rate};
use tempfile::TempDir;

use crate::network::{Network, Said, coded_once, coded_twice, heard};
use crate::speech;

/// A way that speech takes to an ear, over a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    pub way: Way,
    pub codec: Codec,
    pub network: Network,
}

/// How speech gets there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// Through a room.
    Mixed,
    /// Through a room in which the network of another is bad, who is muted.
    Beside,
    /// Decoded and encoded again, with no room between.
    Alone,
    /// Decoded, with no room between.
    Once,
}

/// Opus as most agree on it, with its repetition of lost packets and without.
pub fn opus(fec: bool) -> Codec {
    Codec::Opus(OpusOptions { fec, ..OpusOptions::default() })
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G.722",
            Codec::Opus(OpusOptions { fec: true, .. }) => "Opus with FEC",
            Codec::Opus(_) => "Opus",
        };
        let Network { loss, burst, jitter_ms } = self.network;
        write!(f, "{:?} {codec}, {loss} % in bursts of {burst}, {jitter_ms} ms", self.way)
    }
}

/// Returns the mean opinion that PESQ has of each trial, over all voices and as many seeds.
pub fn scores(trials: &[Trial], seeds: u64) -> Vec<f64> {
    let voices = speech::voices();
    let mut jury = Jury::new();
    // Encoding is what takes time.
    let mut spoken: Vec<(Codec, Vec<Said>)> = Vec::new();
    for (number, trial) in trials.iter().enumerate() {
        let rate = trial.codec.rate();
        let judged = rate.min(Rate::Wide);
        if !spoken.iter().any(|(codec, _)| *codec == trial.codec) {
            let said = |voice: &Vec<i16>| Said::new(trial.codec, &speech::at(rate, voice));
            spoken.push((trial.codec, voices.iter().map(said).collect()));
        }
        let (_, spoken) = spoken.iter().find(|(codec, _)| *codec == trial.codec).unwrap();
        for (speaker, (voice, said)) in voices.iter().zip(spoken).enumerate() {
            let reference = speech::at(judged, voice);
            for seed in 0..seeds {
                let sound = trial.hear(said, seed * 1_000 + speaker as u64);
                jury.hear(number, judged, &reference, &speech::resampled(rate, judged, &sound));
            }
        }
    }
    jury.verdicts()
}

/// Returns the kbit/s that a codec makes of all voices.
pub fn kilobits(codec: Codec) -> f64 {
    let voices = speech::voices();
    let made =
        voices.iter().map(|voice| Said::new(codec, &speech::at(codec.rate(), voice)).kilobits());
    made.sum::<f64>() / voices.len() as f64
}

impl Trial {
    fn hear(&self, said: &Said, seed: u64) -> Vec<i16> {
        match self.way {
            Way::Mixed => heard(&[said], self.network, seed),
            Way::Beside => heard(&[&said.silence(), said], self.network, seed),
            Way::Alone => coded_twice(said, self.network, seed),
            Way::Once => coded_once(said, self.network, seed),
        }
    }
}

/// What PESQ is to judge.
pub struct Jury {
    folder: TempDir,
    /// What was said so far, and where that lies.
    said: Vec<(Vec<i16>, String)>,
    list: String,
    heard: usize,
}

impl Jury {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, said: Vec::new(), list: String::new(), heard: 0 }
    }

    /// Takes what was said and what was heard of it, as one of those that count for a number.
    pub fn hear(&mut self, number: usize, rate: Rate, said: &[i16], heard: &[i16]) {
        let file = |name: String, sound: &[i16]| {
            let octets: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let path = self.folder.path().join(name);
            std::fs::write(&path, octets).unwrap();
            path.display().to_string()
        };
        let heard = file(format!("heard-{}", self.heard), heard);
        let known = self.said.iter().find(|(known, _)| known == said);
        let reference = known.map(|(_, reference)| reference.clone()).unwrap_or_else(|| {
            let reference = file(format!("said-{}", self.said.len()), said);
            self.said.push((said.to_vec(), reference.clone()));
            reference
        });
        self.list += &format!("{number} {} {reference} {heard}\n", rate.hertz());
        self.heard += 1;
    }

    /// Asks; returns the mean opinion for each number, in their order.
    pub fn verdicts(self) -> Vec<f64> {
        let list = self.folder.path().join("list");
        std::fs::write(&list, &self.list).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/pesq_scores.py");
        let mut python = Command::new(brought("SIDETONE_TEST_PYTHON"));
        let output = python.arg(program).arg(list).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let mut all: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (number, score) = line.split_once(' ').unwrap();
            all.entry(number.parse().unwrap()).or_default().push(score.parse().unwrap());
        }
        assert_eq!(all.values().map(Vec::len).sum::<usize>(), self.heard);
        all.values().map(|scores| scores.iter().sum::<f64>() / scores.len() as f64).collect()
    }
}
