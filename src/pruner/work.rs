//! The work of a run, whatever its ends are: prunes what the plan says, has the rest copied beside it, reports.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ends::Ends;
use super::meter::{Meter, OnProgress};
use super::scores::{self, Scores};
use super::slabs::Slabs;
use super::tasks::{Pruned, Tasks, tasks};
use super::{Action, AdapterReport, Plan, Recipe, Report, RuleReport, Score, TensorReport, Totals};
use crate::scheduler::{
    self, DoneBytes, Engine, Job, Live, Log, Outcome, Pass, Past, Scoring, Sink, Source, Stage, Times,
};
use crate::{Error, Result};

/// Is told of which shard how many bytes were copied since it was last told; an error of it ends the copying.
pub(super) type OnBytes<'a> = dyn Fn(usize, u64) -> Result<()> + 'a;

/// Copies all but the tensors that are pruned, which the first function tells.
pub(super) type CopyRest<'a> = dyn Fn(&dyn Fn(usize) -> bool, &OnBytes<'_>) -> Result<()> + Sync + 'a;

/// What is to be done, by what, with what.
pub(super) struct Work<'a> {
    pub engine: Engine<'a>,
    pub ends: Ends<'a>,
    pub plan: &'a Plan,
    pub recipe: &'a Recipe,
    pub memory: u64,
    pub progress: &'a OnProgress<'a>,
    /// Bytes of each shard of the input, those that are copied included; one for tensors that are in no shards.
    pub shards: &'a [u64],
    pub live: &'a Live,
}

/// What is done already, and where it is kept what is done now.
#[derive(Default)]
pub(super) struct Kept<'a> {
    pub past: Past,
    pub log: Option<&'a dyn Log>,
    /// Is told of each tensor that is pruned how many of its bytes are done.
    pub begin_with: Option<&'a dyn Fn(usize, u64)>,
}

/// The first error of pruning and copying, which ends both.
#[derive(Default)]
struct Failure(OnceLock<Error>);

impl Failure {
    fn check(&self) -> Result<()> {
        if self.0.get().is_some() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn note<T>(&self, done: Result<T>) -> Option<T> {
        done.map_err(|error| drop(self.0.set(error))).ok()
    }

    fn result(self) -> Result<()> {
        self.0.into_inner().map_or(Ok(()), Err)
    }
}

/// Ends pruning and copying if one of them panics, as code of the caller's may.
struct StopOnPanic<'a>(&'a Failure);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.note(Err::<(), _>(Error::Cancelled));
        }
    }
}

/// The pruned tensors, as the scheduler's source and sink.
struct Jobs<'a> {
    ends: Ends<'a>,
    pruned: &'a [Pruned],
    jobs: &'a [Job],
    /// By rule.
    scores: &'a [Scores],
    /// Of matrices that are not as they lie: weights, and scores.
    slabs: [Slabs; 2],
    meter: &'a Meter<'a>,
    live: &'a Live,
    failure: &'a Failure,
    read: AtomicU64,
}

impl Source for Jobs<'_> {
    fn read(&self, job: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.failure.check()?;
        let (pruned, matrix) = (&self.pruned[job], &self.jobs[job]);
        let read = |at: u64, buf: &mut [u8]| self.ends.read(pruned.tensor, at, buf);
        if matrix.slab == 0 {
            read(offset, buf)?;
        } else {
            let total = matrix.shape.weights() * matrix.dtype.size() as u64;
            self.slabs[0].read(job, &pruned.arrangement, total, offset, buf, read)?;
        }
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let (pass, shard) = (self.live.pass(), self.ends.tensors[pruned.tensor].shard);
        self.meter.add(pass.unwrap_or(Pass::Count), shard, pass.map_or(0, |_| buf.len() as u64))
    }

    fn scales(&self, job: usize) -> Result<Vec<f32>> {
        let (pruned, matrix) = (&self.pruned[job], &self.jobs[job]);
        let per_input = pruned.arrangement.columns_per_input() as usize;
        let mut norms = vec![0.0; matrix.shape.cols as usize / per_input];
        self.read_scores(pruned, 0, &mut norms)?;
        Ok(norms.into_iter().flat_map(|norm| std::iter::repeat_n(norm, per_input)).collect())
    }

    fn scores(&self, job: usize, first: u64, scores: &mut [f32]) -> Result<()> {
        self.failure.check()?;
        let (pruned, matrix) = (&self.pruned[job], &self.jobs[job]);
        if matrix.slab == 0 || matrix.scoring == Scoring::GivenByUnit {
            return self.read_scores(pruned, first, scores);
        }
        let arrangement = pruned.arrangement.of_size(4);
        let bytes = bytemuck::cast_slice_mut(scores);
        self.slabs[1].read(job, &arrangement, matrix.shape.weights() * 4, first * 4, bytes, |at, buf| {
            let mut scores = vec![0.0; buf.len() / 4];
            self.read_scores(pruned, at / 4, &mut scores)?;
            buf.copy_from_slice(bytemuck::cast_slice(&scores));
            Ok(())
        })
    }
}

impl Sink for Jobs<'_> {
    fn write(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let pruned = &self.pruned[job];
        if self.jobs[job].slab == 0 {
            return self.ends.write(pruned.tensor, offset, bytes);
        }
        let first = offset / pruned.arrangement.slab_bytes();
        pruned.arrangement.scatter(first, bytes, |at, stretch| self.ends.write(pruned.tensor, at, stretch))
    }
}

impl Jobs<'_> {
    fn read_scores(&self, pruned: &Pruned, first: u64, scores: &mut [f32]) -> Result<()> {
        let number = pruned.scored_by.expect("only matrices that are scored by a file are asked about");
        self.scores[pruned.rule].read(number, first, scores)
    }
}

impl Work<'_> {
    /// Prunes on this thread and those of the scheduler, and copies on another. The report lacks what only a commit
    /// brings. Where there are several errors, the first is returned.
    pub fn run(&self, copy_rest: &CopyRest<'_>, kept: &Kept<'_>) -> Result<Report> {
        let scores = self.recipe.rules.iter().map(Scores::open).collect::<Result<Vec<_>>>()?;
        let Tasks { pruned, jobs, tasks } = tasks(self.plan, &self.recipe.rules, &scores, self.ends.tensors)?;
        let tensors: Vec<usize> = pruned.iter().map(|pruned| pruned.tensor).collect();
        let done = scheduler::done_bytes(&jobs, &tasks, &kept.past);
        if let Some(begin_with) = kept.begin_with {
            tensors.iter().zip(&done.written).for_each(|(&tensor, &bytes)| begin_with(tensor, bytes));
        }
        let (meter, rest) = self.meter(&pruned, &done);
        let failure = Failure::default();
        let (ends, read, live, slabs) = (self.ends, AtomicU64::new(0), self.live, Default::default());
        let (of, scores, meter, failing) = (&pruned, &scores, &meter, &failure);
        let ends = Jobs { ends, pruned: of, jobs: &jobs, scores, slabs, meter, live, failure: failing, read };

        let done = std::thread::scope(|scope| {
            let _guard = StopOnPanic(&failure);
            let copying = scope.spawn(|| {
                let _guard = StopOnPanic(&failure);
                let pruned = |tensor: usize| self.plan.tensors[tensor].action == Action::Prune;
                let on_bytes = |shard, bytes| failure.check().and_then(|()| meter.add(Pass::Copy, shard, bytes));
                failure.note(live.busy.during(Stage::Copy, || copy_rest(&pruned, &on_bytes)));
            });
            let both = scheduler::Ends { source: &ends, sink: &ends, live };
            let done = scheduler::resume(self.engine, &jobs, &tasks, both, self.memory, &kept.past, kept.log);
            let done = failure.note(done);
            copying.join().unwrap_or_else(|panic| resume_unwind(panic));
            done
        });
        let bytes_read = ends.read.into_inner() + rest;
        failure.result()?;
        let outcomes = done.expect("nothing has failed");
        // The last chance: from here on no one asks.
        meter.finish()?;

        let reports = self.report_tensors(&pruned, &outcomes);
        let info = self.engine.gpu.info();
        Ok(Report {
            lopper: env!("CARGO_PKG_VERSION"),
            recipe: self.recipe.to_toml(),
            rules: self.recipe.rules.iter().map(RuleReport::from).collect(),
            adapter: Some(AdapterReport {
                name: info.name.clone(),
                backend: info.backend.clone(),
                kind: info.kind.clone(),
                driver: info.driver.clone(),
            }),
            totals: Totals::of(&reports),
            tensors: reports,
            seconds: live.busy.times().into(),
            waiting: Times::default(),
            bytes_read,
            bytes_written: 0,
            retries: Vec::new(),
        })
    }

    /// What there is to read, and what of it is done; and bytes that are copied.
    fn meter(&self, pruned: &[Pruned], done: &DoneBytes) -> (Meter<'_>, u64) {
        let mut meter = Meter::new(self.progress, &self.live.busy, self.shards.len());
        let mut rest = self.shards.to_vec();
        for (pruned, (written, counted)) in pruned.iter().zip(done.written.iter().zip(&done.counted)) {
            let tensor = &self.ends.tensors[pruned.tensor];
            let shard = tensor.shard.min(self.shards.len() - 1);
            meter.expect(Pass::Prune, shard, tensor.bytes(), *written);
            if self.recipe.rules[pruned.rule].passes(tensor.bytes(), self.memory) > 1 {
                meter.expect(Pass::Count, shard, tensor.bytes(), *counted);
            }
            rest[shard] -= tensor.bytes();
        }
        rest.iter().enumerate().for_each(|(shard, bytes)| meter.expect(Pass::Copy, shard, *bytes, 0));
        (meter, rest.iter().sum())
    }

    fn report_tensors(&self, pruned: &[Pruned], outcomes: &[Outcome]) -> Vec<TensorReport> {
        let planned = self.plan.tensors.iter().zip(self.ends.tensors);
        let mut reports: Vec<TensorReport> = planned.map(|(planned, tensor)| planned.dry_report(tensor)).collect();
        for (pruned, outcome) in pruned.iter().zip(outcomes) {
            let report = &mut reports[pruned.tensor];
            let signed = matches!(self.recipe.rules[pruned.rule].score, Score::File { signed: true, .. });
            report.zeros_before = Some(outcome.zeros_before);
            report.zeros = Some(outcome.zeros);
            report.sparsity = Some(outcome.zeros as f64 / report.weights as f64);
            report.cut = outcome.cut.map(|cut| if signed { scores::signed(cut) } else { cut });
            report.ties = outcome.ties;
            report.ties_pruned = outcome.ties_pruned;
        }
        reports
    }
}
