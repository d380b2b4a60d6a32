//! What happened to each job, from what the GPU found and the host counted.

use super::results::Entry;
use super::{Job, Outcome, Task};
use crate::{Error, Result};

/// How the outcome of a job is known.
#[derive(Debug, Clone, Copy, Default)]
pub enum Found {
    #[default]
    Nothing,
    /// The job's entry in the results is its cut.
    Cut,
    /// The job's entry in the results counts non-zero weights before and after.
    Rows,
    /// The host found the cut of a matrix that was streamed.
    Streamed { zeros: u64, magnitude: f64, ties: u64, go: u64 },
    /// Rows that were streamed one by one.
    LongRows { before: u64, after: u64 },
}

impl Found {
    /// One more row that was streamed by itself: its zeros before and after.
    pub fn add_row(&mut self, before: u64, after: u64) {
        let so_far = match *self {
            Found::LongRows { before, after } => (before, after),
            _ => (0, 0),
        };
        *self = Found::LongRows { before: so_far.0 + before, after: so_far.1 + after };
    }

    /// The outcome of a job of which so many weights were kept.
    pub fn outcome(&self, job: &Job, entry: Entry<'_>, kept: u64) -> Outcome {
        let weights = job.shape.weights();
        let pruned = weights - kept;
        // Zeros are the smallest, so they go first: either all that went were zeros, or no zero was left.
        let cut = |zeros: u64, magnitude: f64, ties: u64, go: u64| {
            let any = pruned > 0;
            Outcome {
                zeros_before: zeros,
                zeros: pruned.max(zeros),
                cut: any.then_some(magnitude),
                ties: any.then_some(ties),
                ties_pruned: any.then_some(go),
            }
        };
        match *self {
            Found::Nothing => Outcome::default(),
            Found::Cut => {
                let words = entry.cut();
                cut(words.zeros.into(), job.dtype.magnitude(words.key), words.ties.into(), words.go.into())
            }
            Found::Rows => {
                let [before, after] = entry.counters().map(|nonzero| weights - nonzero);
                Outcome { zeros_before: before, zeros: after, ..Outcome::default() }
            }
            Found::Streamed { zeros, magnitude, ties, go } => cut(zeros, magnitude, ties, go),
            Found::LongRows { before, after } => Outcome { zeros_before: before, zeros: after, ..Outcome::default() },
        }
    }
}

/// Holds the masks, as the host counted them, against what was asked. A difference means that the GPU computed wrongly.
///
/// # Errors
/// [`Error::Gpu`] with both numbers.
pub fn check(jobs: &[Job], tasks: &[Task], kept: &[u64]) -> Result<()> {
    let pruned = |job: usize| jobs[job].shape.weights() - kept[job];
    for task in tasks {
        let (want, have) = match *task {
            Task::Matrix { job, k } => (k, pruned(job)),
            Task::Rows { job, k } => (k * jobs[job].shape.rows, pruned(job)),
            Task::Pool { ref jobs, k } => (k, jobs.clone().map(pruned).sum()),
            Task::UpTo { .. } => continue,
        };
        if want != have {
            let message = format!("{have} weights would go where {want} must: the driver computes wrongly");
            return Err(Error::Gpu { doing: "checking the masks", message });
        }
    }
    Ok(())
}
