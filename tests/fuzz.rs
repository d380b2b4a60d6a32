//! The fuzz targets of `fuzz/` without libFuzzer: their corpus, and seeded mutations of it.
//!
//! `LOPPER_FUZZ=N cargo test --release --test fuzz` makes N mutations for each target instead of a few thousand, and
//! `LOPPER_FUZZ_SEED` others than usual.

#[path = "../fuzz/options.rs"]
mod options;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A small generator (xorshift): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Pieces that turn one valid input into another, or nearly.
const PIECES: [&[u8]; 28] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"0",
    b"1",
    b"9",
    b"-",
    b".0",
    b"e999",
    b"null",
    b"\\ud800",
    b"\\u0000",
    b"__metadata__",
    b"18446744073709551615",
    b"..",
    b"/",
    b"*",
    b"\n",
    b"\xff",
    b"=",
    b"[[rule]]\n",
    b"'",
    b"#",
    b"inf",
];

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied()).for_each(drop),
            4 => bytes.splice(at..end, PIECES[random.below(PIECES.len())].iter().copied()).for_each(drop),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(40)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied()).for_each(drop);
            }
        }
    }
    bytes
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn fuzz(target: &str, usual: u64, body: impl Fn(&[u8]), mend: impl Fn(&mut Vec<u8>)) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{folder} is empty");
    let run = |bytes: &[u8], what: &dyn Fn() -> String| {
        if catch_unwind(AssertUnwindSafe(|| body(bytes))).is_err() {
            panic!("{target}: {} fails: {:?}", what(), String::from_utf8_lossy(bytes));
        }
    };
    for (path, bytes) in paths.iter().zip(&seeds) {
        run(bytes, &|| path.display().to_string());
    }
    let mut random = Random(number("LOPPER_FUZZ_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for n in 0..number("LOPPER_FUZZ", usual) {
        let mut bytes = mutate(&seeds, &mut random);
        if random.below(8) > 0 {
            mend(&mut bytes);
        }
        run(&bytes, &|| format!("mutation {n}"));
    }
}

/// What all targets together may take at a time. Beyond it the process ends: an input that asks for gigabytes is found.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, 1 << 30);

#[test]
#[cfg(feature = "containers")]
fn container() {
    fuzz("container", 6_000, lopper::fuzzing::container, |_| {});
}

#[test]
fn header() {
    // Most keep a length that is their header's: it ends where the last `}` or space does.
    let mend = |bytes: &mut Vec<u8>| {
        if let Some(end) = bytes.iter().rposition(|byte| b"} \n".contains(byte)).filter(|end| *end >= 8) {
            bytes.splice(..8, (end as u64 - 7).to_le_bytes()).for_each(drop);
        }
    };
    fuzz("header", 20_000, lopper::fuzzing::header, mend);
}

#[test]
fn index() {
    fuzz("index", 20_000, lopper::fuzzing::index, |_| {});
}

#[test]
fn options() {
    fuzz("options", 10_000, options::options, |_| {});
}

#[test]
fn planner() {
    fuzz("planner", 20_000, lopper::fuzzing::planner, |_| {});
}

#[test]
fn recipe() {
    fuzz("recipe", 20_000, lopper::fuzzing::recipe, |_| {});
}

#[test]
fn packed() {
    // Most keep a length that is their header's: up to the brace that closes the first one, and spaces.
    let mend = |bytes: &mut Vec<u8>| {
        let mut depth = 0;
        let closes = |byte: &u8| {
            depth += i32::from(*byte == b'{') - i32::from(*byte == b'}');
            depth == 0
        };
        if let Some(end) = bytes.get(8..).and_then(|rest| rest.iter().position(closes)) {
            let spaces = bytes[9 + end..].iter().take_while(|byte| **byte == b' ').count();
            bytes.splice(..8, ((end + 1 + spaces) as u64).to_le_bytes()).for_each(drop);
        }
    };
    // Fewer: what is accepted is written to the disk, and synced.
    fuzz("packed", 1_000, lopper::fuzzing::packed, mend);
}
