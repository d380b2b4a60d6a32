//! Streams the weights of many matrices through one GPU: from a [`Source`], through the kernels, to a [`Sink`].
//!
//! ```text
//!           loads                filled               submitted                    free
//! driver ─────────► reader ─────────────► driver ───────────────► finishers (2) ─────────► reader
//!           source ─► slot        kernels on slots        wait, mask on the host ─► sink
//!
//! a slot, direct:  [ weights: mapped while the host fills and reads it ] [ mask, mapped to be read ] [ ties per tile ]
//! a slot, staged:  [ host copy ] [ upload ] ─► [ weights on the GPU ] [ mask ] ─► [ mask readback ] [ ties per tile ]
//! ```
//!
//! Guarantees:
//!
//! - **Exact.** As many weights go as asked, to the weight; which ones depends on the weights alone, not on adapter,
//!   chunk size or memory. The kept weights of every mask are counted on the host before anything is reported: a driver
//!   that computes wrongly ends the run.
//! - **Bounded.** All memory is `slots × chunk` and a constant: the slots, host copies, staging, and scores and keys where
//!   weights do not compete by their own bits included, take at most the budget, whatever the matrix, the file or the
//!   model. Besides it there are histograms (8 MiB for each
//!   element type, and a few times that on the host while a pool's cut is found), 1 MiB of buffers for reading and
//!   writing, and in a pool 512 bytes per matrix for what was counted. A matrix of any size works: one that fits three
//!   quarters of the budget's slots is read once (but a row of units, or one that groups lie in, must fit a chunk); a larger one, and a pool of matrices under one cut, is read once to
//!   count and once to mask. (Weights of 32 bits, or a sample that misled, may take another count.)
//! - **No deadlock.** The reader takes slots in the order in which the driver consumes loads; the driver never
//!   holds all slots; finishers return slots without waiting for either.
//! - **Resumable**, within the crate. Tasks are done in parts, at most half a ring of chunks each but for matrices that
//!   are resident, and every part that is written goes to a log (`progress.rs`); a run that is given the log of an
//!   earlier one does the rest.
//!
//! What it refuses to do: write in place, guess at a failed read, or go on after any thread has failed. The first error
//! stops all threads, and is the one returned. A panic of the source or the sink stops them too, and goes on in the
//! caller.
//!
//! Masks are read back (1/8 byte per weight), not weights; the host still has the chunk and masks it on its way out. On
//! software and integrated adapters kernels read the very memory the file was read into.

mod budget;
mod busy;
mod count;
mod driver;
mod finish;
#[doc(hidden)]
pub mod fuzzing;
mod job;
mod keep;
mod ledger;
mod part;
mod pool;
mod progress;
mod results;
mod ring;
mod sample;
mod score;
mod select;
mod slot;
mod steps;
mod stream;
mod write;

pub use budget::Budget;
pub(crate) use busy::Live;
pub use busy::{Busy, Pass, Stage, Times};
pub use job::{Job, Scoring};
pub(crate) use ledger::CHECKING;
use progress::Counted;
pub(crate) use progress::{Done, Log, Past};

use std::ops::Range;

use ledger::Ledger;

use crate::gpu::Gpu;
use crate::kernels::Kernels;
use crate::{Error, Result, Ties};

/// Where weights come from.
pub trait Source: Sync {
    /// Fills `buf` with bytes of matrix `job`, from byte `offset` on. Called by one thread at a time, ranges in file
    /// order but for samples and second passes.
    ///
    /// # Errors
    /// Any error ends the run and is what the run returns.
    fn read(&self, job: usize, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// The scale of each column of a matrix that is [`Scoring::Scaled`]: finite, and not negative.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn scales(&self, job: usize) -> Result<Vec<f32>> {
        Err(no_scores(job))
    }

    /// Fills `scores` from number `first` on: one for each weight of a matrix that is [`Scoring::Given`], or for each
    /// unit ([`Scoring::GivenByUnit`]). Finite, and not negative.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn scores(&self, job: usize, first: u64, scores: &mut [f32]) -> Result<()> {
        let _ = (first, scores);
        Err(no_scores(job))
    }
}

fn no_scores(job: usize) -> Error {
    Error::Rule(format!("matrix {job} is scored by more than its weights, which its source does not have"))
}

/// Where pruned weights go.
pub trait Sink: Sync {
    /// Takes bytes of matrix `job`, from byte `offset` on. Called from two threads at once; every byte comes exactly
    /// once.
    ///
    /// # Errors
    /// Any error ends the run and is what the run returns.
    fn write(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<()>;
}

/// Which units compete, and how many of them go.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// The `k` smallest of one matrix.
    Matrix {
        /// Which job.
        job: usize,
        /// How many go.
        k: u64,
    },
    /// Some of each row of units of one matrix, by itself.
    Rows {
        /// Which job.
        job: usize,
        /// How many go.
        each: Each,
    },
    /// Every unit of one matrix of at most this magnitude; NaN stays.
    UpTo {
        /// Which job.
        job: usize,
        /// The magnitude.
        magnitude: f64,
    },
    /// The `k` smallest of all these matrices together, compared by value; ties go in the order of the jobs.
    Pool {
        /// Which jobs.
        jobs: Range<usize>,
        /// The rank of the cut, counted from 1; 0: none goes.
        k: u64,
        /// What happens to ties at it.
        ties: Ties,
    },
}

/// How many of a row go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// The smallest of the row.
    Smallest {
        /// How many.
        k: u64,
    },
    /// All but the `keep` largest of each `of` in sequence, from the first on; a shorter rest stays.
    Group {
        /// How many stay.
        keep: u32,
        /// Of so many.
        of: u32,
    },
}

impl Each {
    /// How many of a row of `units` go.
    pub(crate) fn goes(self, units: u64) -> u64 {
        match self {
            Each::Smallest { k } => k,
            Each::Group { keep, of } => units / u64::from(of) * u64::from(of - keep),
        }
    }
}

/// What happened to one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcome {
    /// ±0 before.
    pub zeros_before: u64,
    /// ±0 after.
    pub zeros: u64,
    /// The largest magnitude that went; none for rows, which have a cut each, and where nothing went.
    pub cut: Option<f64>,
    /// Weights of that magnitude; none for rows.
    pub ties: Option<u64>,
    /// Those of them that went; none for rows.
    pub ties_pruned: Option<u64>,
}

/// Runs tasks in order. Each job belongs to exactly one task.
///
/// # Errors
/// Those of source and sink; [`Error::Memory`] for a budget too small; [`Error::Gpu`] where the device
/// fails, or masks do not hold what they must.
pub fn run(
    gpu: &Gpu,
    jobs: &[Job],
    tasks: &[Task],
    source: &dyn Source,
    sink: &dyn Sink,
    memory: u64,
) -> Result<(Vec<Outcome>, Times)> {
    let live = Live::default();
    let kernels = Kernels::new(gpu.device(), gpu.tuning());
    let engine = Engine { gpu, kernels: &kernels };
    let outcomes = resume(engine, jobs, tasks, Ends { source, sink, live: &live }, memory, &Past::default(), None)?;
    Ok((outcomes, live.busy.times()))
}

/// A device, and the pipelines on it, which outlive a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine<'a> {
    pub gpu: &'a Gpu,
    pub kernels: &'a Kernels,
}

/// Both ends of a run, and what can be seen of it.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub source: &'a dyn Source,
    pub sink: &'a dyn Sink,
    pub live: &'a Live,
}

/// What an earlier run has done, in bytes.
pub(crate) struct DoneBytes {
    /// For each job, those that are written.
    pub written: Vec<u64>,
    /// For each job, those that need not be counted again, which are read in a pass of their own.
    pub counted: Vec<u64>,
}

pub(crate) fn done_bytes(jobs: &[Job], tasks: &[Task], past: &Past) -> DoneBytes {
    let ledger = Ledger::new(jobs, tasks, &past.done, None);
    let written: Vec<u64> = jobs.iter().zip(ledger.units_done()).map(|(job, units)| job.bytes_of(units)).collect();
    let mut all_counted = vec![0; jobs.len()];
    for (number, task) in tasks.iter().enumerate().filter(|(_, task)| matches!(task, Task::Pool { .. })) {
        let pool = &jobs[task.jobs()];
        let counted = || Some(Counted::from_bytes(past.counted.as_deref()?, number, pool)?.weights);
        let mut left = if ledger.stream(number).is_some() { u64::MAX } else { counted().unwrap_or(0) };
        for number in task.jobs() {
            let units = left.min(jobs[number].units().weights());
            left -= units;
            all_counted[number] = jobs[number].bytes_of(units);
        }
    }
    DoneBytes { written, counted: all_counted }
}

/// [`run`], but for what an earlier run has done; what this one does goes to the log.
pub(crate) fn resume(
    engine: Engine<'_>,
    jobs: &[Job],
    tasks: &[Task],
    ends: Ends<'_>,
    memory: u64,
    past: &Past,
    log: Option<&dyn Log>,
) -> Result<Vec<Outcome>> {
    let budget = Budget::for_tasks(jobs, tasks, memory, engine.gpu.maps_storage(), engine.gpu.max_binding())?;
    let ledger = Ledger::new(jobs, tasks, &past.done, log);
    driver::run(engine, jobs, tasks, ends, budget, &ledger, past.counted.as_deref())
}
