//! The generator of inputs, and the loop of a target.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Longest input.
const MAX_BYTES: usize = 64 << 10;

/// Pieces that parsers treat in special ways.
const TOKENS: &[&str] = &[
    "\0",
    "\r\n",
    "\n\n",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "'",
    "`",
    "{",
    "}",
    "{}",
    "[",
    "]",
    "[]",
    "(",
    ")",
    "<",
    ">",
    "/",
    "//",
    "/*",
    "*/",
    "**",
    "*",
    ":",
    "::",
    ";",
    ",",
    ".",
    "..",
    "-",
    "--",
    "+",
    "=",
    "==",
    "%",
    "%2F",
    "%00",
    "%zz",
    "&",
    "?",
    "#",
    "$ref",
    "$defs",
    "|",
    "||",
    "~",
    "!",
    "@",
    "^",
    "0",
    "-0",
    "1e999",
    "-1e-999",
    "9223372036854775808",
    "18446744073709551616",
    "0x",
    "1.",
    "NaN",
    "Infinity",
    "null",
    "true",
    "false",
    "\u{feff}",
    "\u{202e}",
    "\u{10ffff}",
    "é",
    " ",
    "\t",
    "---",
    "...",
    "<<: *a",
    "&a",
    "*a",
    "!!binary",
    "google.protobuf.Any",
    "@type",
    "message",
    "oneof",
    "reserved",
    "\x7f",
    "\u{80}",
    "grpc-timeout",
    "content-length: 5",
    "transfer-encoding: chunked",
    "host: localhost",
];

/// How long a target runs.
pub fn budget() -> Duration {
    Duration::from_secs(env::var("PRISM_FUZZ_SECONDS").ok().map_or(2, |seconds| seconds.parse().expect("PRISM_FUZZ_SECONDS is a number")))
}

/// The seed of the generator.
pub fn seed() -> u64 {
    env::var("PRISM_FUZZ_SEED").ok().map_or_else(rand::random, |seed| seed.parse().expect("PRISM_FUZZ_SEED is a number"))
}

/// Makes inputs from seeds.
pub struct Inputs {
    random: StdRng,
    seeds: Vec<Vec<u8>>,
}

impl Inputs {
    pub fn new(seed: u64, seeds: &[&[u8]]) -> Self {
        assert!(!seeds.is_empty());
        Self { random: StdRng::seed_from_u64(seed), seeds: seeds.iter().map(|seed| seed.to_vec()).collect() }
    }

    /// Returns the next input: a seed with some mutations.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.pick_seed();
        for _ in 0..self.random.random_range(0..12) {
            self.mutate(&mut input);
        }
        input.truncate(MAX_BYTES);
        input
    }

    /// A random number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound)
    }

    fn pick_seed(&mut self) -> Vec<u8> {
        let place = self.below(self.seeds.len());
        self.seeds[place].clone()
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let span = self.below(input.len() - at + 1).min(1 << self.below(12));
        match self.below(9) {
            0 => input.insert(at, self.random.random()),
            1 => drop(input.drain(at..at + span)),
            2 if at < input.len() => input[at] ^= 1 << self.below(8),
            3 if at < input.len() => input[at] = self.random.random(),
            4 => {
                // A piece of the input again, sometimes many times: lists and nesting.
                let piece = input[at..at + span].repeat(1 << self.below(8));
                input.splice(at..at, piece.into_iter().take(MAX_BYTES));
            }
            5 => {
                let other = self.pick_seed();
                let from = self.below(other.len() + 1);
                input.splice(at..at + span, other[from..].iter().copied());
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())].repeat(if self.below(10) == 0 { 1 << self.below(10) } else { 1 });
                input.splice(at..at, token.bytes());
            }
        }
        input.truncate(MAX_BYTES);
    }
}

/// Gives inputs to a target until the time is over. If it panics, the input and the seed are printed.
pub fn run(name: &str, seeds: &[&[u8]], mut target: impl FnMut(&mut Inputs, &[u8])) {
    let seed = seed();
    let (mut inputs, end, mut count) = (Inputs::new(seed, seeds), Instant::now() + budget(), 0_u64);
    while Instant::now() < end {
        let input = inputs.next();
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| target(&mut inputs, &input)));
        let took = began.elapsed();
        let shown = || String::from_utf8_lossy(&input).escape_debug().to_string();
        if let Err(panic) = result {
            eprintln!("{name}: PRISM_FUZZ_SEED={seed}, input {count}: {}", shown());
            std::panic::resume_unwind(panic);
        }
        assert!(took < Duration::from_secs(20), "{name}: PRISM_FUZZ_SEED={seed}, input {count} took {took:?}: {}", shown());
        count += 1;
    }
    println!("{name}: {count} inputs with PRISM_FUZZ_SEED={seed}");
    assert!(count > 0);
}

/// [`run`] for a target that takes text.
pub fn run_text(name: &str, seeds: &[&str], mut target: impl FnMut(&str)) {
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    run(name, &seeds, |_, input| target(&String::from_utf8_lossy(input)));
}
