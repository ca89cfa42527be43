//! The fuzz targets without a fuzzer: the kept corpus, and some mutations of it that are the same each time.
//!
//! `fuzz/run` looks further, and keeps what it finds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use targets::Target;

/// xorshift64* (Vigna 2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        // No state of zero, and neighbouring seeds far apart.
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Often one of those at which something ends.
        match self.below(4) {
            0 => [0, 1, 0x7f, 0x80, 0xff, b'\n', b'{', b'}'][self.below(8)],
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }

    /// An input of the corpus with up to eight changes.
    fn mutation(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(input.len() + 1);
            let to = at + self.below((input.len() - at).min(32) + 1);
            match self.below(6) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.byte(),
                2 => input.insert(at, self.byte()),
                3 => drop(input.drain(at..to)),
                4 => {
                    let copy = input[at..to].to_vec();
                    let into = self.below(input.len() + 1);
                    input.splice(into..into, copy);
                }
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    input.truncate(at);
                    input.extend(&other[from..]);
                }
            }
        }
        input
    }
}

/// Tells what was found when a target panics.
struct Witness<'a> {
    target: &'a str,
    origin: String,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("fuzz target {}, {}; the input is, in hex:\n{hex}", self.target, self.origin);
        }
    }
}

/// Runs the target on its corpus, and on the mutations of so many seeds.
fn replay(target: &str, run: Target, seeds: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for (file, input) in files.iter().zip(&corpus) {
        let _witness = Witness { target, origin: file.display().to_string(), input };
        run(input);
    }
    for seed in 0..seeds {
        let input = Random::new(seed).mutation(&corpus);
        let _witness = Witness { target, origin: format!("seed {seed}"), input: &input };
        run(&input);
    }
}

#[test]
fn advert() {
    replay("advert", targets::advert::run, 20_000);
}

#[test]
fn arp() {
    replay("arp", targets::arp::run, 20_000);
}

#[test]
fn core() {
    replay("core", targets::core::run, 1000);
}

#[test]
fn keepalived() {
    replay("keepalived", targets::keepalived::run, 2000);
}

#[test]
fn metadata() {
    replay("metadata", targets::metadata::run, 2000);
}

#[test]
fn ndp() {
    replay("ndp", targets::ndp::run, 20_000);
}
