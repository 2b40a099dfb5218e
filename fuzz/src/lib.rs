//! Fuzzing without foreign tools: what is thrown ([`Mutator`]), at what ([`TARGETS`]), and what is noticed
//! ([`run`]): a panic, an answer that takes too long, memory that grows.
//!
//! The corpus lies in `corpus/TARGET/`; every entry is replayed by each `cargo test`. A run is repeated by
//! its seed, and what it found lies in `target/fuzz/`: fixed, it joins the corpus.

mod mutate;
mod payloads;
mod runner;
mod targets;

pub use mutate::Mutator;
pub use runner::{Found, Report, Settings, run};
pub use targets::{TARGETS, Target};

use std::path::PathBuf;

/// Reads the corpus of a target, in order of its names.
///
/// # Errors
/// When the folder cannot be read.
pub fn corpus(target: &Target) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}

/// Writes an input to `target/fuzz/`, where people find it, and returns where.
pub fn keep(name: &str, input: &[u8]) -> PathBuf {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    let place = folder.join(format!("{name}-{:016x}", hasher.finish()));
    if let Err(error) =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&place, input))
    {
        eprintln!("{}: {error}", place.display());
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_corpus_is_survived() {
        for target in &TARGETS {
            let corpus = corpus(target).expect("each target has a corpus");
            assert!(!corpus.is_empty(), "{}", target.name);
            for entry in corpus {
                (target.run)(&entry);
            }
        }
    }

    #[test]
    fn a_panic_is_found_and_the_same_seed_finds_it_again() {
        const FRAGILE: Target = Target {
            name: "fragile",
            run: |octets| assert!(!octets.contains(&0xFF), "an octet of ones"),
            words: &[],
            cpu_max: std::time::Duration::from_secs(1),
        };
        let settings = Settings { executions_max: 10_000, seed: 7, ..Settings::default() };
        let found = || run(&FRAGILE, vec![b"abc".to_vec()], &settings).found.expect("found");
        let first = found();
        assert!(first.why.contains("an octet of ones"), "{}", first.why);
        assert!(first.input.contains(&0xFF));
        assert_eq!(first.input, found().input);
    }

    #[test]
    fn mutants_differ_and_stay_small() {
        let mut mutator = Mutator::new(1, &["word"]);
        let corpus = [b"one two three".to_vec(), vec![0; 40_000]];
        for _ in 0..2_000 {
            assert!(mutator.mutant(&corpus).len() <= mutate::LENGTH_MAX);
        }
        assert_ne!(mutator.mutant(&corpus), mutator.mutant(&corpus));
    }
}
