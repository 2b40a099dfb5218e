//! Asks PESQ how good what was heard is, once for all that was heard.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use e2e::brought;
use media::{Codec, OpusOptions, Rate};

use crate::network::{Network, Said, coded_twice, heard};
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
    let folder = tempfile::tempdir().unwrap();
    let voices = speech::voices();
    let mut list = String::new();
    // Encoding is what takes time.
    let mut spoken: Vec<(Codec, Vec<Said>)> = Vec::new();
    let file = |name: &str, sound: &[i16]| {
        let octets: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path.display().to_string()
    };
    for (number, trial) in trials.iter().enumerate() {
        let rate = trial.codec.rate();
        let judged = rate.min(Rate::Wide);
        if !spoken.iter().any(|(codec, _)| *codec == trial.codec) {
            let said = |voice: &Vec<i16>| Said::new(trial.codec, &speech::at(rate, voice));
            spoken.push((trial.codec, voices.iter().map(said).collect()));
        }
        let (_, spoken) = spoken.iter().find(|(codec, _)| *codec == trial.codec).unwrap();
        for (speaker, (voice, said)) in voices.iter().zip(spoken).enumerate() {
            let reference = file(&format!("{speaker}-{judged:?}"), &speech::at(judged, voice));
            for seed in 0..seeds {
                let sound = trial.hear(said, seed * 1_000 + speaker as u64);
                let sound = speech::resampled(rate, judged, &sound);
                let degraded = file(&format!("{number}-{speaker}-{seed}"), &sound);
                list += &format!("{number} {} {reference} {degraded}\n", judged.hertz());
            }
        }
    }
    means(&judged(&file("list", &[]), &list), trials.len())
}

impl Trial {
    fn hear(&self, said: &Said, seed: u64) -> Vec<i16> {
        match self.way {
            Way::Mixed => heard(&[said], self.network, seed),
            Way::Beside => heard(&[&said.silence(), said], self.network, seed),
            Way::Alone => coded_twice(said, self.network, seed),
        }
    }
}

/// Runs the judge, which answers each line with a trial's number and the opinion.
fn judged(list: &str, text: &str) -> String {
    std::fs::write(list, text).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/pesq_scores.py");
    let output =
        Command::new(brought("SIDETONE_TEST_PYTHON")).arg(program).arg(list).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn means(answer: &str, trials: usize) -> Vec<f64> {
    let mut all: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for line in answer.lines() {
        let (number, score) = line.split_once(' ').unwrap();
        all.entry(number.parse().unwrap()).or_default().push(score.parse().unwrap());
    }
    assert_eq!(all.len(), trials, "{answer}");
    all.values().map(|scores| scores.iter().sum::<f64>() / scores.len() as f64).collect()
}
