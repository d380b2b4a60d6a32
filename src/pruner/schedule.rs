//! From a plan to jobs and tasks for the scheduler.

use super::{Compat, Layout, Plan, Recipe, Rule, Scope, Score, Target, Unit};
use crate::scheduler::{Job, Task};
use crate::{Error, Result};

/// Jobs and tasks for the scheduler.
pub(super) struct Schedule {
    /// The tensor of each job.
    pub tensors: Vec<usize>,
    /// The tensors to prune, in the order of the list.
    pub jobs: Vec<Job>,
    /// What is to be done with them.
    pub tasks: Vec<Task>,
    /// How often what is pruned is read, as far as it is known beforehand.
    pub passes: u64,
}

pub(super) fn schedule(plan: &Plan, recipe: &Recipe) -> Result<Schedule> {
    let [rule] = &recipe.rules[..] else {
        return Err(Error::Rule("recipes of several rules are planned, but cannot be run yet".into()));
    };
    if !plain(rule) {
        return Err(Error::Rule("this rule is planned, but cannot be run yet".into()));
    }
    let (mut tensors, mut jobs, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    let mut pool = None;
    for (t, planned) in plan.tensors.iter().enumerate() {
        let (Some(dtype), Some(target)) = (planned.dtype, planned.target) else { continue };
        let (job, shape) = (jobs.len(), planned.shape);
        tensors.push(t);
        jobs.push(Job { dtype, shape });
        match (rule.scope, target) {
            (_, Target::Threshold(magnitude)) => tasks.push(Task::UpTo { job, magnitude }),
            (Scope::Global, _) => pool = Some(target),
            (Scope::Tensor, _) => tasks.push(Task::Matrix { job, k: goes(target, shape.weights()) }),
            (Scope::Group(_), _) => unreachable!("refused above"),
            (Scope::Row, _) => tasks.push(Task::Rows { job, k: goes(target, shape.cols) }),
        }
    }
    if let Some(target) = pool {
        let total = jobs.iter().map(|job| job.shape.weights()).sum();
        tasks.push(Task::Pool { jobs: 0..jobs.len(), k: goes(target, total) });
    }
    // A pool is read to be counted, and again to be masked.
    let passes = if pool.is_some() { 2 } else { 1 };
    Ok(Schedule { tensors, jobs, tasks, passes })
}

/// What this scheduler does so far.
fn plain(rule: &Rule) -> bool {
    rule.unit == Unit::Weight
        && rule.score == Score::Magnitude
        && rule.layout == Layout::OutIn
        && matches!(rule.compat, Compat::Lopper | Compat::Torch)
        && !matches!(rule.scope, Scope::Group(_))
}

fn goes(target: Target, n: u64) -> u64 {
    target.goes(n).expect("a threshold is no count, and is dealt with before")
}
