//! What is done of a run, and what came of each matrix; a piece that is done goes to the [`Log`].

mod outcome;
mod past;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::{Counted, Done, Log};
use super::{Job, Task};
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
    /// Zeros before and after, as far as they were counted: of rows, and of weights that have no cut of their own.
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
    /// Where each of its matrices ends, counted in weights.
    ends: Vec<u64>,
    /// Stretches that are masked, by where they begin: where they end, and what they leave of the quota.
    masked: BTreeMap<u64, (u64, Left)>,
    /// How far it is masked from the first weight on without a gap, and what is left of the quota there.
    front: (u64, Option<Left>),
}

/// The cut of a set of matrices: all keys below it go, and `go` of the `ties` equal to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCut {
    pub common: u32,
    pub ties: u64,
    pub go: u64,
    /// How many go in all, where that was counted.
    pub goes: Option<u64>,
}

/// What is left of a quota: ties, and those of them that still go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub ties: u64,
    pub go: u64,
}

impl<'a> Ledger<'a> {
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
        let rows = self.jobs[job].units().rows;
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
        self.state().streams.get(&task).map_or((0, None), |stream| stream.front)
    }

    /// How many units of each matrix are done.
    pub fn units_done(&self) -> Vec<u64> {
        let state = self.state();
        let mut done = vec![0; self.jobs.len()];
        for (number, task) in self.tasks.iter().enumerate() {
            let mut front = state.streams.get(&number).map_or(0, |stream| stream.front.0);
            for job in task.jobs() {
                let (units, of) = (self.jobs[job].units(), &state.jobs[job]);
                let rows: u64 = of.rows.iter().map(|rows| rows.end - rows.start).sum();
                let streamed = front.min(units.weights());
                front -= streamed;
                done[job] = if of.cut.is_some() { units.weights() } else { streamed + rows * units.cols };
            }
        }
        done
    }

    fn apply(&self, state: &mut State, done: &Done) {
        match *done {
            Done::Matrix { job, kept, zeros, key, ties, go, after } => {
                state.jobs[job].kept = kept;
                state.jobs[job].cut = Some(JobCut { zeros, key, ties, go });
                state.jobs[job].zeros = after.map_or([0; 2], |after| [zeros, after]);
            }
            Done::Rows { job, first, rows, kept, before, after } => {
                let job = &mut state.jobs[job];
                job.kept += kept;
                job.zeros = [job.zeros[0] + before, job.zeros[1] + after];
                job.rows.push(first..first + rows);
            }
            Done::Cut { task, common, ties, go, goes, ref zeros } => {
                let cut = StreamCut { common, ties, go, goes };
                let mut end = 0;
                let ends = self.tasks[task].jobs().map(|job| {
                    end += self.jobs[job].units().weights();
                    end
                });
                let (zeros, ends) = (zeros.clone(), ends.collect());
                let stream = Streamed { cut, zeros, ends, masked: BTreeMap::new(), front: (0, None) };
                state.streams.insert(task, stream);
            }
            Done::Masked { task, first, weights, kept, ties_left: ties, go_left: go, zeros } => {
                let stream = state.streams.get_mut(&task).expect("a cut comes before its masks");
                let job = &mut state.jobs[self.tasks[task].jobs().start + stream.matrix_at(first)];
                job.kept += kept;
                let [before, after] = zeros.unwrap_or_default();
                job.zeros = [job.zeros[0] + before, job.zeros[1] + after];
                stream.masked.insert(first, (first + weights, Left { ties, go }));
                while let Some(&(end, left)) = stream.masked.get(&stream.front.0) {
                    stream.front = (end, Some(left));
                }
            }
        }
    }

    /// Holds a mask, as the host counted it, against what was asked. A difference means that the GPU computed wrongly.
    fn check(&self, done: &Done) -> Result<()> {
        let asked = |job: usize| &self.tasks[self.task_of[job]];
        match *done {
            Done::Matrix { job, kept, .. } => match *asked(job) {
                Task::Matrix { k, .. } => same(k, self.jobs[job].units().weights().saturating_sub(kept)),
                _ => Ok(()),
            },
            Done::Rows { job, rows, kept, .. } => match *asked(job) {
                Task::Rows { each, .. } => {
                    let cols = self.jobs[job].units().cols;
                    same(each.goes(cols) * rows, (rows * cols).saturating_sub(kept))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Streamed {
    /// Which of its matrices weight number `at` is of.
    fn matrix_at(&self, at: u64) -> usize {
        self.ends.partition_point(|&end| end <= at)
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
    let message = format!("{have} would go where {want} must: the driver computes wrongly");
    Err(Error::Gpu { doing: CHECKING, message })
}

/// What the GPU fails at where masks are not what was asked for.
pub const CHECKING: &str = "checking the masks";
