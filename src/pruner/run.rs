//! Runs a plan: from file to file, or between a source and a sink of the caller's; makes a report.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ends::{Ends, Sink, Source};
use super::meter::OnProgress;
use super::shards::Shards;
use super::work::{Kept, OnBytes, Work};
use super::{Plan, Recipe, Report, Seconds, resume};
use crate::checkpoint::{Checkpoint, Earlier, Entry, Output, Resumable, TensorInfo, Unfinished, check_list};
use crate::fault::Faults;
use crate::gpu::Gpu;
use crate::kernels::Kernels;
use crate::scheduler::{Engine, Live};
use crate::{Error, Result};

/// How to run, as far as it does not change the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes that the run may hold in its slots, host and GPU together. See [`crate::scheduler`].
    pub memory: u64,
    /// Whether files that exist are replaced. Never the input.
    pub force: bool,
    /// What to do where an earlier run to the same output did not finish.
    pub earlier: Earlier,
}

impl Default for Options {
    /// 512 MiB, which fits a GPU of 4 GiB many times over and keeps tensors of up to 300 MB in place; no force; an earlier
    /// run's work is neither gone on from nor deleted.
    fn default() -> Self {
        Self { memory: 512 << 20, force: false, earlier: Earlier::Refuse }
    }
}

/// Prunes checkpoints on one GPU, and what else has tensors. Cheap to clone; may be used from several threads at once. It
/// and its clones keep the pipelines that a run has built for the next one.
#[derive(Debug, Clone)]
pub struct Pruner {
    gpu: Gpu,
    kernels: Kernels,
    unfinished: Unfinished,
    faults: Option<Faults>,
}

impl Pruner {
    /// A pruner on this GPU.
    pub fn new(gpu: Gpu) -> Self {
        let kernels = Kernels::new(gpu.device(), gpu.tuning());
        Self { gpu, kernels, unfinished: Unfinished::default(), faults: None }
    }

    /// The same, whose files fail on purpose.
    #[doc(hidden)]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// What runs of this pruner and its clones have made and not finished, for a program that has to end before they
    /// return: a driver may compile for minutes, and hears nothing meanwhile.
    pub fn unfinished(&self) -> Unfinished {
        self.unfinished.clone()
    }

    /// Prunes a checkpoint: a `.safetensors` file, an index file, or a folder. The output has the same layout; the recipe
    /// is in the metadata of each shard, under [`Recipe::METADATA_KEY`].
    ///
    /// A run that does not finish, be it killed, leaves what it has done in a folder `.lopper-…` beside the output, if it
    /// is worth anything: [`Options::earlier`] says whether the next run goes on from there. It does so with the same
    /// recipe on the same input only; adapter and memory may be others. What is done again is at most twice as much as
    /// [`Options::memory`] holds, and at least the row at hand where a row of [`Scope::Row`](crate::Scope::Row) is larger
    /// than a chunk; after a kill, what had not reached the disk is too. [`Unfinished::kept`] says where that folder is.
    ///
    /// Where the GPU runs out of memory, the run goes on with half of it; where a device that lopper opened is lost, it
    /// goes on with a new one. [`Report::retries`] says so.
    ///
    /// # Errors
    /// Whatever is wrong with input, recipe, output, memory or GPU. Nothing is left under a final name then, and the
    /// input is untouched.
    pub fn prune(
        &self,
        input: &Path,
        output: &Path,
        recipe: &Recipe,
        options: &Options,
        progress: &OnProgress<'_>,
    ) -> Result<Report> {
        let start = Instant::now();
        let input = Checkpoint::open(input)?;
        let plan = Plan::new(recipe, input.tensors())?;
        let resumable = Resumable { earlier: options.earlier, work: resume::work(recipe, &plan, input.tensors()) };
        let entry = Some(Entry { key: Recipe::METADATA_KEY, value: recipe.without_folders().to_toml() });
        let (output, left) = Output::begin(&input, output, options.force, Some(resumable), entry, &self.unfinished)?;
        let kept = resume::Progress::new(&output, &left);
        let shards = Shards { input: &input, output: &output, faults: self.faults.as_ref() };
        let ends = Ends { tensors: input.tensors(), source: &shards, sink: &shards };
        let (mut gpu, mut kernels) = (self.gpu.clone(), self.kernels.clone());
        let (mut memory, live) = (options.memory, Live::default());
        let sizes: Vec<u64> = input.shards().iter().map(|shard| shard.len).collect();
        let mut retries = Vec::new();
        let ended = AtomicBool::new(false);
        let report = std::thread::scope(|scope| {
            let end = End(&ended);
            let syncing = scope.spawn(|| sync_ahead(&output, UNSYNCED.min(options.memory / 2), &ended));
            let begin_with = |tensor, bytes| output.begin_with(tensor, bytes);
            let copy_rest = |pruned: &dyn Fn(usize) -> bool, on_bytes: &OnBytes<'_>| shards.copy_rest(pruned, on_bytes);
            let report = loop {
                let done = Kept { past: kept.past(), log: Some(&kept), begin_with: Some(&begin_with) };
                let (shards, live) = (&sizes[..], &live);
                let engine = Engine { gpu: &gpu, kernels: &kernels };
                let work = Work { engine, ends, plan: &plan, recipe, memory, progress, shards, live };
                let error = match work.run(&copy_rest, &done) {
                    Err(error) if retries.len() < resume::RETRIES => error,
                    report => break report,
                };
                match resume::again(&error, &gpu, memory) {
                    Some((other, less, how)) => {
                        (gpu, memory) = (other, less);
                        // Pipelines may have failed with the rest.
                        kernels = Kernels::new(gpu.device(), gpu.tuning());
                        retries.push(format!("{error}: went on {how}"));
                    }
                    None => break Err(error),
                }
            };
            drop(end);
            let synced = syncing.join().expect("syncing does not panic");
            report.and_then(|report| synced.map(|()| report))
        });
        let report = report.inspect_err(|error| {
            self.doubt(error);
            kept.keep(error);
        })?;
        let report = Report { retries, ..report };
        committed(report, start, || Ok(output.commit()?.bytes))
    }

    /// Prunes tensors that may be anywhere: reads them from `source`, and writes all of them, those too that no rule
    /// selects, to `sink`. Both know a tensor by its number in `tensors`. The bytes are those that
    /// [`Pruner::prune`] writes for a checkpoint with the same tensors in the same order.
    ///
    /// Takes [`Options::memory`] and 1 MiB; the other options mean nothing here. [`Source`] and [`Sink`] say which thread
    /// asks them what, and in which order. If source, sink or `progress` panic, the run ends, and the panic goes
    /// on in the caller.
    ///
    /// Stopping: [`ControlFlow::Break`](std::ops::ControlFlow::Break) from `progress` ends the run with [`Error::Cancelled`](crate::Error::Cancelled)
    /// once the reads and writes that are under way have returned; `progress` may be called again meanwhile. The sink
    /// is not told to commit then, nor after an error.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) for a list that cannot be; [`Error::Source`](crate::Error::Source),
    /// [`Error::Sink`](crate::Error::Sink) and [`Error::Commit`](crate::Error::Commit) with the caller's own error, the
    /// first if there are several; whatever is wrong with recipe, memory or GPU.
    pub fn prune_tensors(
        &self,
        tensors: &[TensorInfo],
        source: &dyn Source,
        sink: &dyn Sink,
        recipe: &Recipe,
        options: &Options,
        progress: &OnProgress<'_>,
    ) -> Result<Report> {
        let start = Instant::now();
        let bytes = check_list(tensors)?;
        let plan = Plan::new(recipe, tensors)?;
        let ends = Ends { tensors, source, sink };
        let engine = Engine { gpu: &self.gpu, kernels: &self.kernels };
        let (memory, plan, shards, live) = (options.memory, &plan, &[bytes][..], &Live::default());
        let work = Work { engine, ends, plan, recipe, memory, progress, shards, live };
        let report = work.run(&|pruned, on_bytes| ends.pass_through(pruned, on_bytes), &Kept::default());
        let report = report.inspect_err(|error| self.doubt(error))?;
        committed(report, start, || ends.commit().map(|()| bytes))
    }
}

impl Pruner {
    /// Pipelines that were built while the GPU failed may have failed too.
    fn doubt(&self, error: &Error) {
        if matches!(error, Error::Gpu { .. } | Error::GpuMemory { .. }) {
            self.kernels.forget();
        }
    }
}

/// The last step, which gives the bytes written, completes the report.
fn committed(mut report: Report, start: Instant, commit: impl FnOnce() -> Result<u64>) -> Result<Report> {
    let committing = Instant::now();
    report.bytes_written = commit()?;
    report.seconds.commit = committing.elapsed().as_secs_f64();
    report.seconds.total = start.elapsed().as_secs_f64();
    let Seconds { stages, commit, total } = report.seconds;
    report.waiting = stages.waiting(total - commit);
    Ok(report)
}

/// Bytes that may be written but not on disk.
const UNSYNCED: u64 = 64 << 20;

/// How long what is done may wait to be written down, where little is written.
const RARELY: Duration = Duration::from_secs(1);

/// Sends what is written to the disk while the run goes on, and writes down what is done.
fn sync_ahead(output: &Output, least: u64, ended: &AtomicBool) -> Result<()> {
    let mut last = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        if output.sync_ahead(least)? {
            last = Instant::now();
        } else if last.elapsed() >= RARELY {
            output.settle()?;
            last = Instant::now();
        } else {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Ends the syncing when it goes, be it in a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
