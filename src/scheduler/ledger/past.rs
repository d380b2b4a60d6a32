//! What an earlier run has done, taken over as far as it can be.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use super::super::progress::{Done, Log};
use super::super::{Job, Task};
use super::{JobState, Ledger, Left, State};

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
                Done::Masked { task, first, .. } => state.streams.get(&task).is_some_and(|s| s.front.0 == first),
                _ => true,
            };
            if begins && ledger.fits(&state, done) {
                ledger.apply(&mut state, done);
            }
        }
        drop(state);
        ledger
    }

    /// Of what an earlier run did: whether it can be, and is not there yet.
    fn fits(&self, state: &State, done: &Done) -> bool {
        let units = |job: usize| self.jobs.get(job).map(|job| job.units());
        let by_rows = |job: usize| matches!(self.tasks[self.task_of[job]], Task::Rows { .. });
        match *done {
            Done::Matrix { job, kept, zeros, .. } => {
                let fresh = state.jobs.get(job).is_some_and(|job| job.cut.is_none());
                fresh
                    && !by_rows(job)
                    && units(job).is_some_and(|units| kept <= units.weights())
                    && zeros <= self.jobs[job].shape.weights()
                    && self.check(done).is_ok()
            }
            Done::Rows { job, first, rows, before, after, .. } => {
                let Some(units) = units(job) else { return false };
                let Some(end) = first.checked_add(rows).filter(|&end| end <= units.rows) else { return false };
                let apart = |other: &Range<u64>| other.end <= first || end <= other.start;
                by_rows(job)
                    && self.jobs[job].is_whole(first * units.cols)
                    && self.jobs[job].is_whole(end * units.cols)
                    && state.jobs[job].rows.iter().all(apart)
                    && before.max(after) <= self.jobs[job].weights_of(first * units.cols, rows * units.cols).count()
                    && self.check(done).is_ok()
            }
            Done::Cut { task, ref zeros, ties, go, .. } => {
                let Some(jobs) = self.tasks.get(task).map(Task::jobs) else { return false };
                let plausible = jobs.clone().zip(zeros).all(|(job, &zeros)| zeros <= self.jobs[job].units().weights());
                zeros.len() == jobs.len()
                    && jobs.clone().all(|job| !by_rows(job))
                    && plausible
                    && go <= ties
                    && !state.streams.contains_key(&task)
            }
            Done::Masked { task, first, weights, kept, ties_left, go_left, .. } => {
                let Some(stream) = state.streams.get(&task) else { return false };
                let before = stream.front.1.unwrap_or(Left { ties: stream.cut.ties, go: stream.cut.go });
                let (number, jobs) = (stream.matrix_at(first), self.tasks[task].jobs());
                let inside = stream.ends.get(number).is_some_and(|&end| {
                    let job = &self.jobs[jobs.start + number];
                    let start = end - job.units().weights();
                    weights <= end - first && job.is_whole(first - start) && job.is_whole(first - start + weights)
                });
                inside && weights > 0 && kept <= weights && ties_left <= before.ties && go_left <= before.go
            }
        }
    }
}
