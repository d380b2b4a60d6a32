//! Ctrl-C, SIGTERM and SIGHUP: a run stops at its next chunk, and is ended where it does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::abort;
#[cfg(not(unix))]
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lopper::checkpoint::Unfinished;

use super::text;

/// How long a run may take to reach its next chunk. A driver that compiles a shader may need minutes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the process may take. Some drivers wait for their compiler then, too.
const LAST: Duration = Duration::from_secs(2);

/// Whether the run was asked to stop, and what is to be removed if it must be ended.
#[derive(Clone)]
pub struct Stop(Arc<State>);

struct State {
    asked: AtomicBool,
    checkpoint: OnceLock<Unfinished>,
    report: Option<PathBuf>,
}

impl Stop {
    /// Listens from now on. The first signal asks the run to stop, and ends it if it has not done so in time; a second
    /// one ends it at once. A report that is still at its temporary place is then removed.
    pub fn listen(report: Option<&Path>) -> Result<Self> {
        let state =
            State { asked: AtomicBool::new(false), checkpoint: OnceLock::new(), report: report.map(Path::to_owned) };
        let stop = Self(Arc::new(state));
        let seen = stop.clone();
        ctrlc::set_handler(move || {
            if seen.0.asked.swap(true, Ordering::Relaxed) {
                seen.end("stopped at once");
            }
            let late = seen.clone();
            after(PATIENCE, move || {
                late.end(&format!("did not stop within {} s and was ended", PATIENCE.as_secs()));
            });
            text::tell("stopping; once more to stop at once");
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(stop)
    }

    /// Whether the run is to stop.
    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// What is also removed when the run is ended.
    pub fn cleans_up(&self, checkpoint: Unfinished) {
        let _ = self.0.checkpoint.set(checkpoint);
    }

    /// Cleans up and ends the process, whatever its other threads do.
    fn end(&self, how: &str) {
        let abandoned = self.0.checkpoint.get().map(Unfinished::abandon);
        let placed = abandoned.as_ref().is_some_and(|abandoned| abandoned.placed);
        // A report that has its name by now is no longer there.
        let unreported = self.0.report.as_ref().is_some_and(|report| fs::remove_file(report).is_ok());
        after(LAST, || abort());
        text::tell(&match (placed, unreported) {
            (false, _) => format!("{how}; nothing was written"),
            (true, false) => format!("{how}; the pruned checkpoint was written"),
            (true, true) => format!("{how}; the pruned checkpoint was written, its report was not"),
        });
        if let Some(kept) = abandoned.and_then(|abandoned| abandoned.kept).filter(|_| !placed) {
            text::tell(&text::resumable(&kept));
        }
        leave()
    }
}

/// Ends the process with code 1, without what it would do at its end: drivers tidy up there, and crash where their threads
/// still run.
fn leave() -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(1);
    #[cfg(not(unix))]
    exit(1)
}

/// Does something later, on a thread of its own. Where there can be none, it is not done.
fn after(wait: Duration, what: impl FnOnce() + Send + 'static) {
    let _ = thread::Builder::new().spawn(move || {
        thread::sleep(wait);
        what();
    });
}
