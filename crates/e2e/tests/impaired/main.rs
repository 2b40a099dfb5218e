//! How speech sounds that came over a bad network: judged by PESQ, in virtual time.
//!
//! `SIDETONE_DEEP` plays the whole matrix of losses, bursts, jitters and codecs; `--nocapture` shows it.

#![allow(clippy::unwrap_used)]

mod network;
mod overload;
mod score;
mod speech;

use media::Codec;
use network::Network;
use score::{Trial, Way, kilobits, opus, scores};

/// What is lost, in percent; in bursts of how many; and how late the rest is, in milliseconds.
const LOSSES: [f64; 6] = [0.0, 1.0, 3.0, 5.0, 10.0, 20.0];
const BURSTS: [f64; 3] = [1.0, 3.0, 8.0];
const JITTERS: [f64; 4] = [0.0, 20.0, 50.0, 100.0];
/// Least that is thought of G.711 at each of them.
const G711: [(f64, f64); 6] =
    [(0.0, 4.0), (1.0, 3.8), (3.0, 3.5), (5.0, 3.2), (10.0, 2.6), (20.0, 2.0)];
/// Most that jitter may cost, which play-out can wait for, and up to how many milliseconds it can.
const JITTER_COST_MAX: f64 = 0.2;
const JITTER_MS: f64 = 50.0;

fn mixed(codec: Codec, network: Network) -> Trial {
    Trial { way: Way::Mixed, codec, network }
}

fn lines(trials: &[Trial], scores: &[f64]) -> String {
    let lines = trials.iter().zip(scores).map(|(trial, score)| format!("{trial}: {score:.2}\n"));
    lines.collect()
}

/// Asserts that speech is thought to be at least so good, each packet being lost by itself.
#[track_caller]
fn check(codec: Codec, seeds: u64, rows: &[(f64, f64)]) {
    let trials: Vec<Trial> =
        rows.iter().map(|&(loss, _)| mixed(codec, Network::losing(loss))).collect();
    let scores = scores(&trials, seeds);
    let report = lines(&trials, &scores);
    print!("{report}");
    for (score, (loss, least)) in scores.iter().zip(rows) {
        assert!(score >= least, "{least} at {loss} %, but:\n{report}");
    }
}

/// Asserts that a room makes speech no worse than another decoder and encoder on its way would.
#[track_caller]
fn check_room(codec: Codec, losses: &[f64], cost_max: f64) {
    let through = |&loss: &f64| {
        [Way::Mixed, Way::Alone].map(|way| Trial { way, codec, network: Network::losing(loss) })
    };
    let trials: Vec<Trial> = losses.iter().flat_map(through).collect();
    let scores = scores(&trials, 1);
    let report = lines(&trials, &scores);
    print!("{report}");
    for pair in scores.chunks_exact(2) {
        assert!(pair[0] >= pair[1] - cost_max, "more than {cost_max}:\n{report}");
    }
}

#[test]
fn speech_by_ulaw_is_understood_at_every_loss() {
    check(Codec::Pcmu, 4, &G711);
}

#[test]
fn speech_by_alaw_is_as_good() {
    check(Codec::Pcma, 4, &G711);
}

#[test]
fn gaps_of_g722_are_filled_from_both_sides() {
    // From one side alone: 3.01, 2.63, 2.04, 1.56.
    check(
        Codec::G722,
        4,
        &[(0.0, 3.8), (1.0, 3.45), (3.0, 3.02), (5.0, 2.65), (10.0, 2.08), (20.0, 1.59)],
    );
}

#[test]
fn opus_repeats_what_was_lost() {
    check(
        opus(true),
        2,
        &[(0.0, 3.8), (1.0, 3.8), (3.0, 3.7), (5.0, 3.6), (10.0, 3.0), (20.0, 1.5)],
    );
}

/// Holds whichever library is built, and prints what `cargo xtask opus` puts side by side.
#[test]
fn opus_by_itself_sounds_as_well_by_either_library() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    for (fec, rows) in [
        (false, [(0.0, 3.8), (3.0, 2.8), (5.0, 2.4), (10.0, 1.8)]),
        (true, [(0.0, 4.0), (3.0, 3.8), (5.0, 3.6), (10.0, 3.0)]),
    ] {
        let trial = |&(loss, _): &(f64, f64)| Trial {
            way: Way::Once,
            codec: opus(fec),
            network: Network::losing(loss),
        };
        let trials: Vec<Trial> = rows.iter().map(trial).collect();
        let scores = scores(&trials, if deep { 4 } else { 1 });
        let report = lines(&trials, &scores);
        println!("by {}, {:.1} kbit/s:\n{report}", media::OPUS, kilobits(opus(fec)));
        for (score, (loss, least)) in scores.iter().zip(rows) {
            assert!(*score >= least, "{least} at {loss} %, but:\n{report}");
        }
    }
}

#[test]
fn a_room_costs_speech_by_opus_little() {
    check_room(opus(false), &LOSSES, 0.1);
}

#[test]
fn a_room_costs_speech_by_g722_little() {
    check_room(Codec::G722, &LOSSES, 0.25);
}

#[test]
fn one_bad_network_costs_the_others_nothing() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, opus(true), opus(false)] {
        let bad = Network { loss: 20.0, burst: 3.0, jitter_ms: 100.0 };
        let trials =
            [Network::losing(0.0), bad].map(|network| Trial { way: Way::Beside, codec, network });
        let scores = scores(&trials, 1);
        assert!(scores[1] >= scores[0] - 0.05, "{}", lines(&trials, &scores));
    }
}

#[test]
fn jitter_that_can_be_waited_for_costs_little() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let (losses, bursts, jitters): (&[f64], &[f64], &[f64]) =
        if deep { (&LOSSES, &BURSTS, &JITTERS) } else { (&[3.0], &[1.0], &[0.0, JITTER_MS]) };
    let mut codecs = vec![Codec::Pcmu, Codec::G722, opus(true)];
    if deep {
        codecs.extend([Codec::Pcma, opus(false)]);
    }
    let mut trials = Vec::new();
    for codec in codecs {
        for &loss in losses {
            for &burst in bursts {
                let networks = jitters.iter().map(|&jitter_ms| Network { loss, burst, jitter_ms });
                trials.extend(networks.map(|network| mixed(codec, network)));
            }
        }
    }
    let scores = scores(&trials, if deep { 4 } else { 1 });
    let rows = trials.chunks_exact(jitters.len()).zip(scores.chunks_exact(jitters.len()));
    println!("codec, loss and burst: a column for each jitter of {jitters:?} ms");
    let mut dear = String::new();
    for (trials, scores) in rows {
        let columns: Vec<String> = scores.iter().map(|score| format!("{score:.2}")).collect();
        println!("{}: {}", trials[0], columns.join(" "));
        for (trial, score) in trials.iter().zip(scores) {
            if trial.network.jitter_ms <= JITTER_MS && *score < scores[0] - JITTER_COST_MAX {
                dear += &lines(trials, scores);
            }
        }
    }
    assert!(dear.is_empty(), "jitter costs more than {JITTER_COST_MAX}:\n{dear}");
}
