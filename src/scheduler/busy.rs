//! What the threads of a run are at, while it goes on: how long each stage has been busy.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What happens to a chunk, one after the other, and beside it to what is copied. Told apart as the host sees it, without
/// queries on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Reading from the source: weights, and scores that it gives.
    Read,
    /// Copying into memory that the GPU maps, and waiting for it to be mapped.
    Upload,
    /// Waiting for the GPU: kernels, and on adapters with memory of their own the copies there and back, which are recorded
    /// with the kernels.
    Gpu,
    /// Mapping masks and reading them for the first time.
    Download,
    /// Masking on the host and writing to the sink.
    Write,
    /// Copying what is not pruned: reading and writing.
    Copy,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 6] = [Stage::Read, Stage::Upload, Stage::Gpu, Stage::Download, Stage::Write, Stage::Copy];

    /// `read`, `upload`, `gpu`, `download`, `write` or `copy`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Upload => "upload",
            Stage::Gpu => "gpu",
            Stage::Download => "download",
            Stage::Write => "write",
            Stage::Copy => "copy",
        }
    }
}

/// Seconds in which each stage was busy, on whichever threads. Stages overlap.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Times {
    /// [`Stage::Read`].
    pub read: f64,
    /// [`Stage::Upload`].
    pub upload: f64,
    /// [`Stage::Gpu`].
    pub gpu: f64,
    /// [`Stage::Download`].
    pub download: f64,
    /// [`Stage::Write`].
    pub write: f64,
    /// [`Stage::Copy`].
    pub copy: f64,
}

impl Times {
    /// Those of one stage.
    pub fn of(&self, stage: Stage) -> f64 {
        match stage {
            Stage::Read => self.read,
            Stage::Upload => self.upload,
            Stage::Gpu => self.gpu,
            Stage::Download => self.download,
            Stage::Write => self.write,
            Stage::Copy => self.copy,
        }
    }

    /// A value for each stage.
    fn each(of: impl Fn(Stage) -> f64) -> Self {
        Self {
            read: of(Stage::Read),
            upload: of(Stage::Upload),
            gpu: of(Stage::Gpu),
            download: of(Stage::Download),
            write: of(Stage::Write),
            copy: of(Stage::Copy),
        }
    }

    /// What has been added since `earlier`.
    pub fn since(&self, earlier: &Times) -> Times {
        Self::each(|stage| (self.of(stage) - earlier.of(stage)).max(0.0))
    }

    /// The share of so many seconds in which each stage had nothing to do: from 0 to 1.
    pub fn waiting(&self, seconds: f64) -> Times {
        Self::each(|stage| if seconds > 0.0 { (1.0 - self.of(stage) / seconds).clamp(0.0, 1.0) } else { 0.0 })
    }

    /// The stage that holds the others up, with its seconds: of the thread that was busy for longest, the stage that took
    /// most of it. (Reading and uploading share a thread, and so do downloading and writing.) Copying goes on beside them
    /// and holds none up: it is only where nothing else goes on. None where none was busy.
    pub fn bottleneck(&self) -> Option<(Stage, f64)> {
        let threads = [&[Stage::Read, Stage::Upload][..], &[Stage::Gpu], &[Stage::Download, Stage::Write]];
        let busy = |stages: &&[Stage]| stages.iter().map(|stage| self.of(*stage)).sum::<f64>();
        let thread = threads.into_iter().max_by(|a, b| busy(a).total_cmp(&busy(b)))?;
        let stage = thread.iter().copied().max_by(|a, b| self.of(*a).total_cmp(&self.of(*b)))?;
        let stage = if self.of(stage) > 0.0 { stage } else { Stage::Copy };
        (self.of(stage) > 0.0).then(|| (stage, self.of(stage)))
    }
}

/// A clock for each stage, which runs while any thread is at it. Clones are the same clocks, so that one can be looked at
/// while the run goes on.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<[Mutex<Clock>; Stage::ALL.len()]>);

#[derive(Debug, Default)]
struct Clock {
    busy: Duration,
    /// Threads that are at it, and since when there are any.
    threads: usize,
    since: Option<Instant>,
}

impl Busy {
    fn clock(&self, stage: Stage) -> MutexGuard<'_, Clock> {
        self.0[stage as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the stage's clock run meanwhile.
    pub(crate) fn during<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let _running = Running::new(self, stage);
        work()
    }

    /// By now, what is under way included.
    pub fn times(&self) -> Times {
        Times::each(|stage| {
            let clock = self.clock(stage);
            (clock.busy + clock.since.map_or(Duration::ZERO, |since| since.elapsed())).as_secs_f64()
        })
    }
}

/// A thread that is at a stage; it may panic.
struct Running<'a>(&'a Busy, Stage);

impl<'a> Running<'a> {
    fn new(busy: &'a Busy, stage: Stage) -> Self {
        let mut clock = busy.clock(stage);
        clock.threads += 1;
        clock.since.get_or_insert_with(Instant::now);
        Self(busy, stage)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut clock = self.0.clock(self.1);
        clock.threads -= 1;
        if clock.threads == 0
            && let Some(since) = clock.since.take()
        {
            clock.busy += since.elapsed();
        }
    }
}

/// Why bytes are read or copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pass {
    /// To find a cut. What is read here is read again.
    Count,
    /// To be pruned and written.
    Prune,
    /// To be copied as they are.
    Copy,
    /// Nothing is left to read or copy: what was written is synced and given its name.
    Commit,
}

/// What can be seen of a run from outside.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub busy: Busy,
    reading: AtomicU8,
}

const PRUNING: u8 = 0;
const COUNTING: u8 = 1;
const SAMPLING: u8 = 2;

impl Live {
    /// By the thread that reads, before it does.
    pub(super) fn begin(&self, pass: Pass) {
        self.reading.store(if pass == Pass::Count { COUNTING } else { PRUNING }, Ordering::Relaxed);
    }

    /// By the driver, before it reads a sample, while nothing else is read.
    pub(super) fn begin_sample(&self) {
        self.reading.store(SAMPLING, Ordering::Relaxed);
    }

    /// In which pass the scheduler reads at the moment; none for a sample, which brings none forward.
    pub fn pass(&self) -> Option<Pass> {
        match self.reading.load(Ordering::Relaxed) {
            PRUNING => Some(Pass::Prune),
            COUNTING => Some(Pass::Count),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_while_any_thread_is_at_it() {
        let busy = Busy::default();
        assert_eq!(busy.times(), Times::default());
        let (outer, seen) = busy.during(Stage::Gpu, || {
            let start = Instant::now();
            busy.during(Stage::Gpu, || std::thread::sleep(Duration::from_millis(2)));
            (start.elapsed().as_secs_f64(), busy.times())
        });
        // What is under way is seen, and two at once count once.
        let after = busy.times();
        assert!(seen.gpu >= 0.002 && after.gpu >= seen.gpu && after.gpu >= outer, "{seen:?} {after:?}");
        assert_eq!(after, busy.times(), "nothing runs any more");
        assert_eq!((after.read, after.since(&seen).write), (0.0, 0.0));
        let panicked = std::panic::catch_unwind(|| busy.during(Stage::Read, || panic!("on purpose")));
        assert!(panicked.is_err() && busy.times() == busy.times(), "a panic stops the clock");
    }

    #[test]
    fn the_bottleneck_is_the_busiest_threads_longest_stage() {
        assert_eq!(Times::default().bottleneck(), None);
        let times = Times { read: 0.6, upload: 0.35, gpu: 0.9, write: 0.7, copy: 1.0, ..Times::default() };
        assert_eq!(times.bottleneck(), Some((Stage::Read, 0.6)));
        assert_eq!(Times { download: 0.5, ..times }.bottleneck(), Some((Stage::Write, 0.7)));
        assert_eq!(Times { gpu: 0.96, ..times }.bottleneck(), Some((Stage::Gpu, 0.96)));
        assert_eq!(Times { copy: 0.1, ..Times::default() }.bottleneck(), Some((Stage::Copy, 0.1)));
        let waiting = times.waiting(0.7);
        assert_eq!((waiting.upload, waiting.gpu, waiting.download), (1.0 - 0.35 / 0.7, 0.0, 1.0));
        assert_eq!(times.waiting(0.0), Times::default());
    }
}
