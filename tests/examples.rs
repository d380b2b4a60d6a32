//! Runs the examples as a user does, and looks at what they print.
//!
//! `cargo test` builds them; `cargo test --test examples` alone does not. They run on the adapter that
//! `LOPPER_ADAPTER` names, or on the best there is, and are skipped only where `LOPPER_TEST_NO_GPU` is set.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs an example, asserts that it succeeds, and returns what it printed.
#[track_caller]
fn prints(example: &str, args: &[&str]) -> String {
    let mut command = Command::new(binary(example));
    if let Some(adapter) = adapter() {
        command.env("LOPPER_ADAPTER", adapter);
    }
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(0), "{example}\n{out}\n{err}");
    out
}

/// Where cargo put an example: beside the folder of this very test.
fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let file = format!("examples/{example}{}", std::env::consts::EXE_SUFFIX);
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join(file);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`, or all of `cargo test`", path.display());
    path
}

/// The adapter under test, by words of its name and backend: examples do not number adapters as lopper does.
fn adapter() -> Option<String> {
    let asked = std::env::var("LOPPER_ADAPTER").ok()?;
    let Ok(index) = asked.parse::<usize>() else { return Some(asked) };
    let adapters = pollster::block_on(lopper::gpu::adapters());
    Some(format!("{} {}", adapters[index].name, adapters[index].backend))
}

/// Whether examples may run. Only the switch says no.
fn gpu() -> bool {
    let allowed = std::env::var_os("LOPPER_TEST_NO_GPU").is_none();
    if !allowed {
        eprintln!("skipped: LOPPER_TEST_NO_GPU is set");
    }
    allowed
}

/// The numbers in the line of a table that starts with these words.
#[track_caller]
fn numbers<const N: usize>(table: &str, line: &str) -> [f64; N] {
    let found = table.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("no {line:?} in:\n{table}"));
    let numbers: Vec<f64> = found.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{line:?} has other columns in:\n{table}"))
}

#[test]
fn own_device_prunes_gradually_and_exactly_while_it_trains() {
    if !gpu() {
        return;
    }
    let out = prints("own_device", &[]);
    let weights: f64 = 64. * 128. + 128. * 64. + 64. * 10.;
    let zeros = (0.8 * weights).round();
    let [_, dense, none, of, _] = numbers(&out, "not at all");
    assert!(dense > 95., "{out}");
    assert_eq!((none, of), (0., weights), "{out}");
    let [_, at_once, gone, of, _] = numbers(&out, "at once");
    assert_eq!((gone, of), (zeros, weights), "{out}");
    let [_, gradual, gone, of, sparsity] = numbers(&out, "gradually");
    assert_eq!((gone, of), (zeros, weights), "{out}");
    assert!((sparsity - 80.).abs() < 0.003, "{out}");
    assert!(gradual > 95. && gradual > at_once, "{out}");
}

#[test]
fn two_threads_prune_at_once() {
    if gpu() {
        let out = prints("two_threads", &[]);
        for line in
            ["one device scope row", "one device scope tensor", "own device scope row", "own device scope tensor"]
        {
            let [share] = numbers(&out, line);
            assert!((share - 0.8).abs() < 0.001, "{out}");
        }
    }
}

#[test]
fn an_executor_is_never_blocked() {
    if gpu() {
        let out = prints("headless_async", &[]);
        for sparsity in ["0.25", "0.5", "0.75"] {
            assert!(out.contains(&format!("asked {sparsity}, got {sparsity}")), "{out}");
        }
        assert!(out.contains("without waiting once"), "{out}");
    }
}

#[test]
fn a_file_is_pruned_and_verified() {
    if gpu() {
        let out = prints("prune_file", &[]);
        assert!(out.contains("lstm_cell.weight_hh") && out.contains("32768 of      65536 zero"), "{out}");
        assert!(out.contains("verified: 154112 of 309633 weights are zero"), "{out}");
    }
}
