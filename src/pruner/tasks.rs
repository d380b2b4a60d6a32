//! From a plan to jobs and tasks for the scheduler.

use super::arrange::{Arrangement, Axes, Rows};
use super::scores::Scores;
use super::{Plan, PlannedTensor, Rule, Scope, Score, Target, Unit};
use crate::checkpoint::{self, TensorInfo};
use crate::scheduler::{Each, Job, Scoring, Task};
use crate::{Dtype, Norm, Result, Shape, Ties};

/// Jobs and tasks for the scheduler.
pub(super) struct Tasks {
    /// What each job is made of.
    pub pruned: Vec<Pruned>,
    /// The matrices.
    pub jobs: Vec<Job>,
    /// What is to be done with them.
    pub tasks: Vec<Task>,
}

/// A tensor that is pruned.
pub(super) struct Pruned {
    /// Which one.
    pub tensor: usize,
    /// Its rule.
    pub rule: usize,
    pub arrangement: Arrangement,
    /// The tensor of the rule's file that scores it.
    pub scored_by: Option<usize>,
}

/// # Errors
/// Those of [`Scores::find`].
pub(super) fn tasks(plan: &Plan, rules: &[Rule], scores: &[Scores], infos: &[TensorInfo]) -> Result<Tasks> {
    let mut laid = Tasks { pruned: Vec::new(), jobs: Vec::new(), tasks: Vec::new() };
    let all = || plan.tensors.iter().zip(infos).enumerate();
    let pooled = |rule: usize, target| rules[rule].scope == Scope::Global && !matches!(target, Target::Threshold(_));
    for (tensor, (planned, info)) in all() {
        let (Some(rule), Some(target)) = (planned.rule, planned.target) else { continue };
        if !pooled(rule, target) {
            let job = laid.add((tensor, planned, info), rule, rules, scores)?;
            let task = task(&rules[rule], target, job, &laid.jobs[job]);
            laid.tasks.push(task);
        }
    }
    for (number, rule) in rules.iter().enumerate() {
        let first = laid.jobs.len();
        let mut target = None;
        for (tensor, (planned, info)) in all() {
            if planned.rule == Some(number) && planned.target.is_some_and(|target| pooled(number, target)) {
                laid.add((tensor, planned, info), number, rules, scores)?;
                target = planned.target;
            }
        }
        if let Some(target) = target {
            let jobs = first..laid.jobs.len();
            let total = laid.jobs[first..].iter().map(|job| job.units().weights()).sum();
            let (k, ties) = rank(rule, target, total);
            laid.tasks.push(Task::Pool { jobs, k, ties });
        }
    }
    Ok(laid)
}

impl Tasks {
    fn add(
        &mut self,
        (tensor, planned, info): (usize, &PlannedTensor, &TensorInfo),
        number: usize,
        rules: &[Rule],
        scores: &[Scores],
    ) -> Result<usize> {
        let rule = &rules[number];
        let dtype = planned.dtype.expect("what is pruned has a type");
        let (arrangement, mut job) = matrix(rule, dtype, &info.shape);
        let inputs = Axes::new(&info.shape, rule.layout).inputs;
        let found = scores[number].find(info, job.units().weights(), inputs)?;
        job.scoring = match (&rule.score, found) {
            (_, Some((_, scoring))) => scoring,
            (Score::Random { seed }, _) => Scoring::Random { seed: seed_of(*seed, &info.name) },
            _ => Scoring::Magnitude,
        };
        self.jobs.push(job);
        self.pruned.push(Pruned { tensor, rule: number, arrangement, scored_by: found.map(|(number, _)| number) });
        Ok(self.jobs.len() - 1)
    }
}

/// The matrix of a tensor, as a rule sees it.
fn matrix(rule: &Rule, dtype: Dtype, shape: &[u64]) -> (Arrangement, Job) {
    let rows = match (rule.unit, rule.scope) {
        (Unit::Column, _) => Rows::Inputs,
        (_, Scope::Group(_)) => Rows::OutputsOfKernel,
        _ => Rows::Outputs,
    };
    let arrangement = Arrangement::new(shape, rule.layout, rows, dtype.size() as u64);
    let shape = arrangement.shape();
    let unit = match rule.unit {
        Unit::Weight => Shape::new(1, 1),
        Unit::Kernel => Shape::new(1, arrangement.columns_per_input()),
        Unit::Row | Unit::Column => Shape::new(1, shape.cols),
        Unit::Block { rows, cols } => Shape::new(rows.into(), cols.into()),
    };
    let norm = if rule.unit == Unit::Weight { Norm::L1 } else { rule.norm };
    let slab = match arrangement.is_as_stored() {
        true => 0,
        false => arrangement.slab_bytes() / (shape.cols * dtype.size() as u64),
    };
    (arrangement, Job { unit, norm, slab, ..Job::new(dtype, shape) })
}

fn task(rule: &Rule, target: Target, job: usize, matrix: &Job) -> Task {
    let units = matrix.units();
    match (rule.scope, target) {
        (_, Target::Threshold(magnitude)) => Task::UpTo { job, magnitude },
        (Scope::Group(of), Target::Keep(keep)) => Task::Rows { job, each: Each::Group { keep: keep as u32, of } },
        (Scope::Row, _) => Task::Rows { job, each: Each::Smallest { k: rank(rule, target, units.cols).0 } },
        _ => match rank(rule, target, units.weights()) {
            (k, Ties::Exact) => Task::Matrix { job, k },
            (k, ties) => Task::Pool { jobs: job..job + 1, k, ties },
        },
    }
}

/// The rank of the cut among `n` that compete, and what happens to ties at it.
fn rank(rule: &Rule, target: Target, n: u64) -> (u64, Ties) {
    match target {
        Target::Sparsity(sparsity) => rule.compat.cut(sparsity, n),
        Target::Keep(keep) => (n.saturating_sub(keep), Ties::Exact),
        Target::Threshold(_) => unreachable!("a threshold is no count, and is dealt with before"),
    }
}

/// The seed of a tensor's numbers.
pub(super) fn seed_of(seed: u64, name: &str) -> u64 {
    let digest = checkpoint::digest(format!("{seed} {name}").as_bytes());
    u64::from_str_radix(&digest[..16], 16).expect("a digest is hexadecimal")
}
