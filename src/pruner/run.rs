//! Runs a plan: files in, through the scheduler, files out, and a report.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{
    Action, AdapterReport, Plan, Report, Rule, RuleReport, Scope, Seconds, Target, TensorReport, Totals, quota,
};
use crate::checkpoint::{Checkpoint, Output, Unfinished};
use crate::gpu::Gpu;
use crate::scheduler::{self, Job, Outcome, Sink, Source, Task};
use crate::{Error, Result};

/// How to run, as far as it does not change the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes that the run may hold in its slots, host and GPU together. See [`crate::scheduler`].
    pub memory: u64,
    /// Whether files that exist are replaced. Never the input.
    pub force: bool,
}

impl Default for Options {
    /// 512 MiB, which fits a GPU of 4 GiB many times over and keeps tensors of up to 300 MB in place; no force.
    fn default() -> Self {
        Self { memory: 512 << 20, force: false }
    }
}

/// Called with bytes done and bytes in all, often and from several threads; [`ControlFlow::Break`] stops the run.
pub type Progress<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + Sync + 'a;

/// Prunes checkpoints on one GPU.
#[derive(Debug, Clone)]
pub struct Pruner {
    gpu: Gpu,
    unfinished: Unfinished,
}

/// Bytes done, told to the caller, who may stop the run.
struct Meter<'a> {
    progress: &'a Progress<'a>,
    done: AtomicU64,
    total: u64,
}

impl Meter<'_> {
    fn add(&self, bytes: u64) -> Result<()> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match (self.progress)(done.min(self.total), self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

/// The pruned tensors of a checkpoint, as the scheduler's source and sink.
struct Files<'a> {
    input: &'a Checkpoint,
    output: &'a Output,
    /// The tensor of each job.
    tensors: &'a [usize],
    meter: &'a Meter<'a>,
    read: AtomicU64,
}

impl Source for Files<'_> {
    fn read(&self, job: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.input.read_at(self.tensors[job], offset, buf)?;
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.meter.add(buf.len() as u64)
    }
}

impl Sink for Files<'_> {
    fn write(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        self.output.write_at(self.tensors[job], offset, bytes)
    }
}

impl Pruner {
    /// A pruner on this GPU.
    pub fn new(gpu: Gpu) -> Self {
        Self { gpu, unfinished: Unfinished::default() }
    }

    /// What runs of this pruner and its clones have made and not finished, for a program that has to end before they
    /// return: a driver may compile for minutes, and hears nothing meanwhile.
    pub fn unfinished(&self) -> Unfinished {
        self.unfinished.clone()
    }

    /// Prunes a checkpoint: a `.safetensors` file, an index file, or a folder. The output has the same layout.
    ///
    /// # Errors
    /// Whatever is wrong with input, rule, output, memory or GPU. Nothing is left under a final name then, and the
    /// input is untouched.
    pub fn prune(
        &self,
        input: &Path,
        output: &Path,
        rule: &Rule,
        options: &Options,
        progress: &Progress<'_>,
    ) -> Result<Report> {
        let start = Instant::now();
        let input = Checkpoint::open(input)?;
        let plan = Plan::new(rule, input.tensors())?;
        let output = Output::create_noting(&input, output, options.force, &self.unfinished)?;
        let (tensors, jobs, tasks) = schedule(&plan, rule.scope);

        let selected: u64 = tensors.iter().map(|&t| input.tensors()[t].bytes()).sum();
        // A pool is read to be counted, and again to be masked.
        let passes = if matches!(tasks[..], [Task::Pool { .. }]) { 2 } else { 1 };
        let rest = input.total_bytes() - selected;
        let meter = Meter { progress, done: AtomicU64::new(0), total: rest + passes * selected };
        let files = Files { input: &input, output: &output, tensors: &tensors, meter: &meter, read: AtomicU64::new(0) };
        let stop = AtomicBool::new(false);
        let ended = AtomicBool::new(false);

        let (pruned, copied, synced) = std::thread::scope(|scope| {
            let syncing = scope.spawn(|| sync_ahead(&output, &ended));
            let copying = scope.spawn(|| {
                let start = Instant::now();
                let written = |tensor: usize| plan.tensors[tensor].action == Action::Prune;
                output.try_copy_rest(&written, &|bytes| match stop.load(Ordering::Relaxed) {
                    false => meter.add(bytes),
                    true => Err(Error::Cancelled),
                })?;
                Ok::<_, Error>(start.elapsed().as_secs_f64())
            });
            let pruned = scheduler::run(&self.gpu, &jobs, &tasks, &files, &files, options.memory);
            stop.store(pruned.is_err(), Ordering::Relaxed);
            let copied = copying.join().expect("copying does not panic");
            ended.store(true, Ordering::Relaxed);
            (pruned, copied, syncing.join().expect("syncing does not panic"))
        });
        let (outcomes, times) = pruned?;
        let copy = copied?;
        synced?;
        let bytes_read = files.read.into_inner() + rest;
        // The last chance: from here on no one asks.
        meter.add(0)?;
        let committing = Instant::now();
        let committed = output.commit()?;

        let reports = report_tensors(&plan, &input, &tensors, &outcomes);
        let info = self.gpu.info();
        Ok(Report {
            lopper: env!("CARGO_PKG_VERSION"),
            rule: RuleReport::from(rule),
            adapter: Some(AdapterReport {
                name: info.name.clone(),
                backend: info.backend.clone(),
                kind: info.kind.clone(),
                driver: info.driver.clone(),
            }),
            totals: Totals::of(&reports),
            tensors: reports,
            seconds: Seconds {
                read: times.read,
                gpu: times.wait,
                write: times.write,
                copy,
                commit: committing.elapsed().as_secs_f64(),
                total: start.elapsed().as_secs_f64(),
            },
            bytes_read,
            bytes_written: committed.bytes,
        })
    }
}

/// Bytes of a shard that may be written but not on disk.
const UNSYNCED: u64 = 64 << 20;

/// Sends what is written to the disk while the run goes on.
fn sync_ahead(output: &Output, ended: &AtomicBool) -> Result<()> {
    while !ended.load(Ordering::Relaxed) {
        if !output.sync_ahead(UNSYNCED)? {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// The tensors to prune, as jobs in file order, and what is to be done with them.
fn schedule(plan: &Plan, scope: Scope) -> (Vec<usize>, Vec<Job>, Vec<Task>) {
    let (mut tensors, mut jobs, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    let mut pool = None;
    for (t, planned) in plan.tensors.iter().enumerate() {
        let (Some(dtype), Some(target)) = (planned.dtype, planned.target) else { continue };
        let (job, shape) = (jobs.len(), planned.shape);
        tensors.push(t);
        jobs.push(Job { dtype, shape });
        match (scope, target) {
            (_, Target::Threshold(magnitude)) => tasks.push(Task::UpTo { job, magnitude }),
            (Scope::Global, _) => pool = Some(target),
            (Scope::Tensor, _) => tasks.push(Task::Matrix { job, k: goes(target, shape.weights()) }),
            (Scope::Row, _) => tasks.push(Task::Rows { job, k: goes(target, shape.cols) }),
        }
    }
    if let Some(target) = pool {
        let total = jobs.iter().map(|job| job.shape.weights()).sum();
        tasks.push(Task::Pool { jobs: 0..jobs.len(), k: goes(target, total) });
    }
    (tensors, jobs, tasks)
}

/// How many of `n` weights go.
fn goes(target: Target, n: u64) -> u64 {
    match target {
        Target::Sparsity(s) => quota(s, n),
        Target::Keep(keep) => n.saturating_sub(keep),
        Target::Threshold(_) => unreachable!("a threshold is no count"),
    }
}

fn report_tensors(plan: &Plan, input: &Checkpoint, tensors: &[usize], outcomes: &[Outcome]) -> Vec<TensorReport> {
    let mut reports: Vec<TensorReport> =
        plan.tensors.iter().zip(input.tensors()).map(|(planned, tensor)| planned.dry_report(tensor)).collect();
    for (&t, outcome) in tensors.iter().zip(outcomes) {
        let report = &mut reports[t];
        report.zeros_before = Some(outcome.zeros_before);
        report.zeros = Some(outcome.zeros);
        report.sparsity = Some(outcome.zeros as f64 / report.weights as f64);
        report.cut = outcome.cut;
        report.ties = outcome.ties;
        report.ties_pruned = outcome.ties_pruned;
    }
    reports
}
