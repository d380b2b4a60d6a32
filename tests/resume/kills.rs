//! The tool, killed outright at random moments.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::common::tool::TOOL;
use super::*;

/// So often; `LOPPER_TEST_KILLS` says otherwise.
const KILLS: u64 = 8;

fn command(setup: &Setup, scope: &str) -> Command {
    let mut command = Command::new(TOOL);
    command.args(["prune", "--sparsity", "0.5", "--memory", "128KiB", "--quiet", "--resume", "--scope", scope]);
    if let Ok(adapter) = std::env::var("LOPPER_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    command.arg(&setup.input).arg("-o").arg(&setup.output).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_resumed_to_the_same_bytes() {
    let kills = std::env::var("LOPPER_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let setup = Setup::new();
    let mut random = common::Random::new(kills);
    let (mut killed, mut resumed) = (0, 0);
    for scope in ["tensor", "row", "global"] {
        let start = std::time::Instant::now();
        assert!(command(&setup, scope).status().unwrap().success());
        let whole = setup.take_output();
        // Only where the kills fall depends on the time.
        let takes = start.elapsed();
        for _ in 0..kills.div_ceil(3) {
            loop {
                let mut run = command(&setup, scope).spawn().unwrap();
                std::thread::sleep(Duration::from_secs_f64(takes.as_secs_f64() * random.unit()));
                let ended = run.try_wait().unwrap();
                run.kill().unwrap();
                run.wait().unwrap();
                if ended.is_some() || random.unit() < 0.5 {
                    break;
                }
                killed += 1;
            }
            // A run that was killed before its first line, or after its last, leaves an empty folder at most.
            let journal = left(&setup.output).is_some_and(|work| work.join("journal").exists());
            resumed += u64::from(journal);
            if !setup.output.join("config.json").exists() || journal {
                assert!(command(&setup, scope).status().unwrap().success());
            }
            for entry in fs::read_dir(&setup.output).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    assert!(!entry.join("journal").exists());
                    fs::remove_dir_all(entry).unwrap();
                }
            }
            assert!(setup.take_output() == whole, "{scope}");
        }
    }
    eprintln!("{killed} kills, {resumed} runs gone on from");
}
