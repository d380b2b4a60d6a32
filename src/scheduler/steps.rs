//! Tasks, cut to what the slots can hold.

use super::budget::{Budget, Chunk, Span};
use super::ledger::Ledger;
use super::{Each, Job, Task};
use crate::Ties;
use crate::gpu::dispatch;

/// A task, or a part of it, cut to what the slots can hold.
pub enum Step {
    /// Chunks that stay in their slots until they are masked.
    Resident { span: Span, goal: Goal, chunks: Vec<Chunk> },
    /// Chunks of whole rows, each by itself.
    Rows { job: usize, each: Each, chunks: Vec<Chunk> },
    /// Spans under one cut, read once to count and once to mask.
    Stream(Stream),
}

/// Spans under one cut.
pub struct Stream {
    pub spans: Vec<Span>,
    pub goal: Goal,
    pub of: Of,
}

/// What is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A task.
    Task(usize),
    /// A row of a matrix, of which so many units go.
    Row { row: u64, k: u64 },
}

/// Which units go: so many of the smallest, or all up to a magnitude.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    Count(u64, Ties),
    UpTo(f64),
}

/// Cuts what is not done of a task to what the slots can hold.
pub fn steps(jobs: &[Job], budget: Budget, tasks: &[Task], task: usize, ledger: &Ledger<'_>) -> Vec<Step> {
    let matrix = |job: usize, goal| {
        if ledger.is_cut(job) {
            return vec![];
        }
        let span = Span::whole(job, &jobs[job]);
        let chunks: Vec<Chunk> = budget.chunks(span, &jobs[job]).collect();
        // Counters on the GPU have 32 bits.
        let resident = budget.resident(chunks.len()) && span.units < 1 << 31;
        vec![if resident && ledger.stream(task).is_none() {
            Step::Resident { span, goal, chunks }
        } else {
            Step::Stream(Stream { spans: vec![span], goal, of: Of::Task(task) })
        }]
    };
    match tasks[task] {
        Task::Matrix { job, k } => matrix(job, Goal::Count(k, Ties::Exact)),
        Task::UpTo { job, magnitude } => matrix(job, Goal::UpTo(magnitude)),
        Task::Rows { job, each } => {
            let (units, mut steps) = (jobs[job].units(), Vec::new());
            for rows in ledger.rows_left(job) {
                let span = Span { job, first: rows.start * units.cols, units: (rows.end - rows.start) * units.cols };
                // The longest rows are not for one workgroup; groups are taken one by one.
                let too_long = units.cols > dispatch::MAX_ROW.into() && !matches!(each, Each::Group { .. });
                if let Some(chunks) = budget.row_chunks(span, &jobs[job]).filter(|_| !too_long) {
                    let chunks: Vec<Chunk> = chunks.collect();
                    let parts = chunks.chunks(budget.part());
                    steps.extend(parts.map(|part| Step::Rows { job, each, chunks: part.to_vec() }));
                } else {
                    // The budget has room for a row of groups.
                    let k = each.goes(units.cols);
                    steps.extend(rows.map(|row| {
                        let span = Span { job, first: row * units.cols, units: units.cols };
                        let goal = Goal::Count(k, Ties::Exact);
                        Step::Stream(Stream { spans: vec![span], goal, of: Of::Row { row, k } })
                    }));
                }
            }
            steps
        }
        Task::Pool { jobs: ref pool, k, ties } => {
            let spans = pool.clone().map(|job| Span::whole(job, &jobs[job])).collect();
            vec![Step::Stream(Stream { spans, goal: Goal::Count(k, ties), of: Of::Task(task) })]
        }
    }
}
