//! What is done of a run, and what came of each matrix; a piece that is done goes to the [`Log`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::{Counted, Done, Log};
use super::{Job, Outcome, Task};
use crate::{Error, Result};

pub struct Ledger<'a> {
    jobs: &'a [Job],
    tasks: &'a [Task],
    /// The task of each job.
    task_of: Vec<usize>,
    log: Option<&'a dyn Log>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    jobs: Vec<JobState>,
    /// By task.
    streams: BTreeMap<usize, Streamed>,
}

/// One matrix.
#[derive(Debug, Default)]
struct JobState {
    kept: u64,
    /// Zeros before and after, as far as rows are done.
    zeros: [u64; 2],
    /// The cut, where the matrix has one of its own.
    cut: Option<JobCut>,
    /// Rows that are done.
    rows: Vec<Range<u64>>,
}

#[derive(Debug, Clone, Copy)]
struct JobCut {
    zeros: u64,
    key: u32,
    ties: u64,
    go: u64,
}

/// A task whose weights are streamed.
#[derive(Debug)]
struct Streamed {
    cut: StreamCut,
    zeros: Vec<u64>,
    /// Stretches that are masked, by where they begin: where they end, and what they leave of the quota.
    masked: BTreeMap<u64, (u64, Left)>,
}

/// The cut of a set of matrices: all keys below it go, and `go` of the `ties` equal to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCut {
    pub common: u32,
    pub ties: u64,
    pub go: u64,
}

/// What is left of a quota: ties, and those of them that still go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub ties: u64,
    pub go: u64,
}

impl<'a> Ledger<'a> {
    /// What an earlier run has done is done. A piece that cannot be, or that is there twice, is done again.
    pub fn new(jobs: &'a [Job], tasks: &'a [Task], past: &[Done], log: Option<&'a dyn Log>) -> Self {
        let state = State { jobs: jobs.iter().map(|_| JobState::default()).collect(), streams: BTreeMap::new() };
        let mut task_of = vec![0; jobs.len()];
        for (number, task) in tasks.iter().enumerate() {
            task_of[task.jobs()].fill(number);
        }
        let ledger = Self { jobs, tasks, task_of, log, state: Mutex::new(state) };
        let mut state = ledger.state();
        // Stretches may have been done out of order.
        let mut past: Vec<&Done> = past.iter().collect();
        past.sort_by_key(
            |done| if let Done::Masked { task, first, .. } = done { (1, *task, *first) } else { (0, 0, 0) },
        );
        for done in past {
            // Of a stream, only what was masked from its first weight on without a gap: the quota is carried on.
            let begins = match *done {
                Done::Masked { task, first, .. } => state.streams.get(&task).is_some_and(|s| s.front(0).0 == first),
                _ => true,
            };
            if begins && ledger.fits(&state, done) {
                ledger.apply(&mut state, done);
            }
        }
        drop(state);
        ledger
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a piece that is done, if its mask is what was asked for.
    ///
    /// # Errors
    /// [`Error::Gpu`] if it is not; those of the log.
    pub fn finish(&self, done: &Done) -> Result<()> {
        self.check(done)?;
        self.apply(&mut self.state(), done);
        self.log.map_or(Ok(()), |log| log.done(done))
    }

    /// Keeps what has been counted so far, if anyone wants to go on from it.
    pub fn counted(&self, counted: impl FnOnce() -> Counted) -> Result<()> {
        self.log.map_or(Ok(()), |log| log.counted(&counted().to_bytes()))
    }

    /// Whether anyone wants to go on from what is done.
    pub fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// The rows of a matrix that are not done.
    pub fn rows_left(&self, job: usize) -> Vec<Range<u64>> {
        let mut done = self.state().jobs[job].rows.clone();
        done.sort_unstable_by_key(|rows| rows.start);
        let rows = self.jobs[job].shape.rows;
        done.push(rows..rows);
        let mut next = 0;
        let mut left = Vec::new();
        for Range { start, end } in done {
            left.push(next..start);
            next = end;
        }
        left.retain(|rows| !rows.is_empty());
        left
    }

    /// Whether all of a matrix is done that has a cut of its own.
    pub fn is_cut(&self, job: usize) -> bool {
        self.state().jobs[job].cut.is_some()
    }

    /// The cut of a task that is streamed, if it is known.
    pub fn stream(&self, task: usize) -> Option<StreamCut> {
        self.state().streams.get(&task).map(|stream| stream.cut)
    }

    /// How many of a stream's weights are masked, and what is left of the quota.
    pub fn front(&self, task: usize) -> (u64, Option<Left>) {
        self.state().streams.get(&task).map_or((0, None), |stream| stream.front(0))
    }

    /// How many weights of a matrix are done.
    pub fn weights_done(&self, job: usize) -> u64 {
        let (state, shape) = (self.state(), self.jobs[job].shape);
        if state.jobs[job].cut.is_some() {
            return shape.weights();
        }
        let rows: u64 = state.jobs[job].rows.iter().map(|rows| rows.end - rows.start).sum();
        let task = self.task_of[job];
        let before: u64 = self.tasks[task].jobs().take_while(|&j| j < job).map(|j| self.jobs[j].shape.weights()).sum();
        let front = state.streams.get(&task).map_or(0, |stream| stream.front(0).0);
        (rows * shape.cols).max(front.saturating_sub(before).min(shape.weights()))
    }

    /// Of what an earlier run did: whether it can be, and is not there yet.
    fn fits(&self, state: &State, done: &Done) -> bool {
        let shape = |job: usize| self.jobs.get(job).map(|job| job.shape);
        match *done {
            Done::Matrix { job, kept, zeros, .. } => {
                let fresh = state.jobs.get(job).is_some_and(|job| job.cut.is_none());
                fresh && shape(job).is_some_and(|s| kept.max(zeros) <= s.weights()) && self.check(done).is_ok()
            }
            Done::Rows { job, first, rows, before, after, .. } => {
                let Some(shape) = shape(job) else { return false };
                let Some(end) = first.checked_add(rows).filter(|&end| end <= shape.rows) else { return false };
                let apart = |other: &Range<u64>| other.end <= first || end <= other.start;
                state.jobs[job].rows.iter().all(apart)
                    && before.max(after) <= rows * shape.cols
                    && self.check(done).is_ok()
            }
            Done::Cut { task, ref zeros, ties, go, .. } => {
                let Some(jobs) = self.tasks.get(task).map(Task::jobs) else { return false };
                let plausible = jobs.clone().zip(zeros).all(|(job, &zeros)| zeros <= self.jobs[job].shape.weights());
                zeros.len() == jobs.len() && plausible && go <= ties && !state.streams.contains_key(&task)
            }
            Done::Masked { task, first, weights, kept, ties_left, go_left } => {
                let Some(stream) = state.streams.get(&task) else { return false };
                let before = stream.front(0).1.unwrap_or(Left { ties: stream.cut.ties, go: stream.cut.go });
                let inside = self.job_at(task, first).is_some_and(|(_, end)| weights <= end - first);
                inside && weights > 0 && kept <= weights && ties_left <= before.ties && go_left <= before.go
            }
        }
    }

    fn apply(&self, state: &mut State, done: &Done) {
        match *done {
            Done::Matrix { job, kept, zeros, key, ties, go } => {
                state.jobs[job].kept = kept;
                state.jobs[job].cut = Some(JobCut { zeros, key, ties, go });
            }
            Done::Rows { job, first, rows, kept, before, after } => {
                let job = &mut state.jobs[job];
                job.kept += kept;
                job.zeros = [job.zeros[0] + before, job.zeros[1] + after];
                job.rows.push(first..first + rows);
            }
            Done::Cut { task, common, ties, go, ref zeros } => {
                let cut = StreamCut { common, ties, go };
                state.streams.insert(task, Streamed { cut, zeros: zeros.clone(), masked: BTreeMap::new() });
            }
            Done::Masked { task, first, weights, kept, ties_left: ties, go_left: go } => {
                let (job, _) = self.job_at(task, first).expect("a stretch is one of the task's");
                state.jobs[job].kept += kept;
                let stream = state.streams.get_mut(&task).expect("a cut comes before its masks");
                stream.masked.insert(first, (first + weights, Left { ties, go }));
            }
        }
    }

    /// The matrix that a task's weight number `at` is of, and where that matrix ends.
    fn job_at(&self, task: usize, at: u64) -> Option<(usize, u64)> {
        let mut end = 0;
        let mut ends = self.tasks.get(task)?.jobs().map(|job| {
            end += self.jobs[job].shape.weights();
            (job, end)
        });
        ends.find(|&(_, end)| at < end)
    }

    /// Holds a mask, as the host counted it, against what was asked. A difference means that the GPU computed wrongly.
    fn check(&self, done: &Done) -> Result<()> {
        let asked = |job: usize| &self.tasks[self.task_of[job]];
        match *done {
            Done::Matrix { job, kept, .. } => match *asked(job) {
                Task::Matrix { k, .. } => same(k, self.jobs[job].shape.weights().saturating_sub(kept)),
                _ => Ok(()),
            },
            Done::Rows { job, rows, kept, .. } => match *asked(job) {
                Task::Rows { k, .. } => same(k * rows, (rows * self.jobs[job].shape.cols).saturating_sub(kept)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// What happened to each matrix, once all is done.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the masks of a stream are not what was asked for together.
    pub fn outcomes(&self) -> Result<Vec<Outcome>> {
        let state = self.state();
        let pruned = |job: usize| self.jobs[job].shape.weights() - state.jobs[job].kept;
        let mut outcomes = vec![Outcome::default(); self.jobs.len()];
        for (number, task) in self.tasks.iter().enumerate() {
            match *task {
                Task::Matrix { k, .. } | Task::Pool { k, .. } if !task.jobs().is_empty() => {
                    same(k, task.jobs().map(pruned).sum())?;
                }
                _ => {}
            }
            if let Some(stream) = state.streams.get(&number) {
                let mut at = 0;
                for (job, &zeros) in task.jobs().zip(&stream.zeros) {
                    let dtype = self.jobs[job].dtype;
                    let (key, exact) = dtype.floor_key(stream.cut.common);
                    let (before, end) = (stream.left(at), at + self.jobs[job].shape.weights());
                    let after = stream.left(end);
                    // Types that have no such value have no ties.
                    let (ties, go) = if exact { (before.ties - after.ties, before.go - after.go) } else { (0, 0) };
                    outcomes[job] = outcome(pruned(job), zeros, dtype.magnitude(key), ties, go);
                    at = end;
                }
                continue;
            }
            for job in task.jobs() {
                let ([zeros_before, zeros], dtype) = (state.jobs[job].zeros, self.jobs[job].dtype);
                outcomes[job] = match state.jobs[job].cut {
                    Some(cut) => outcome(pruned(job), cut.zeros, dtype.magnitude(cut.key), cut.ties, cut.go),
                    None => Outcome { zeros_before, zeros, ..Outcome::default() },
                };
            }
        }
        Ok(outcomes)
    }
}

impl Streamed {
    /// How far it is masked from weight `at` on without a gap, and what is left of the quota there.
    fn front(&self, mut at: u64) -> (u64, Option<Left>) {
        let mut left = None;
        while let Some(&(end, then)) = self.masked.get(&at) {
            (at, left) = (end, Some(then));
        }
        (at, left)
    }

    /// What is left of the quota before weight `at`, at which a stretch begins or the last one ends.
    fn left(&self, at: u64) -> Left {
        let all = Left { ties: self.cut.ties, go: self.cut.go };
        self.masked.range(..at).next_back().map_or(all, |(_, &(_, left))| left)
    }
}

fn same(want: u64, have: u64) -> Result<()> {
    if want == have {
        return Ok(());
    }
    let message = format!("{have} weights would go where {want} must: the driver computes wrongly");
    Err(Error::Gpu { doing: CHECKING, message })
}

/// What the GPU fails at where masks are not what was asked for.
pub const CHECKING: &str = "checking the masks";

/// Zeros are the smallest, so they go first: either all that went were zeros, or no zero was left.
fn outcome(pruned: u64, zeros: u64, magnitude: f64, ties: u64, go: u64) -> Outcome {
    let any = pruned > 0;
    Outcome {
        zeros_before: zeros,
        zeros: pruned.max(zeros),
        cut: any.then_some(magnitude),
        ties: any.then_some(ties),
        ties_pruned: any.then_some(go),
    }
}
