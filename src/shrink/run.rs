//! Shrinks a checkpoint: scores, a choice, and one pass that writes what stays.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::compensate::{self, Biases};
use super::gather::Buffers;
use super::plan::{Content, Plan, gather};
use super::report::{self, Report, Seconds};
use super::score::{self, told};
use super::{Amount, Config, Couplings, Kind, Score};
use crate::checkpoint::{Checkpoint, Fresh, FreshDescriptor, Sources, TensorInfo, Unfinished};
use crate::shared::shared;
use crate::{Error, Result};

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much goes.
    pub amount: Amount,
    /// What goes first.
    pub score: Score,
    /// A safetensors file with the moments of inputs, from which biases are made that make up for what goes: a tensor
    /// `[2, inputs]` for each tensor that takes units, under its name; the mean of each input, and that of its square.
    pub moments: Option<PathBuf>,
    /// More files that the output may not replace, such as the network or recipe that says what hangs together.
    pub sources: Vec<PathBuf>,
    /// Replace an output that exists.
    pub force: bool,
}

impl Options {
    /// So much, by norms; no new biases, nothing replaced.
    pub fn new(amount: Amount) -> Self {
        Self { amount, score: Score::default(), moments: None, sources: Vec::new(), force: false }
    }
}

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pass {
    /// Reading for scores.
    Score,
    /// Reading for biases.
    Compensate,
    /// Writing what stays.
    Write,
    /// Syncing, and giving names.
    Commit,
}

/// Told what a run is at, bytes done of it, and bytes in all; stops it with [`ControlFlow::Break`].
pub type OnPass<'a> = &'a (dyn Fn(Pass, u64, u64) -> ControlFlow<()> + Sync);

/// The key in a smaller checkpoint's `__metadata__` under which is what was done to it.
pub const METADATA_KEY: &str = "lopper.shrink";

/// Writes a smaller checkpoint. Threads, as many as there are processors, take about 12 MiB each, besides 8 bytes for each unit
/// of each tensor; the output appears as a whole or not at all.
///
/// # Errors
/// [`Error::Shrink`] where it cannot be done as asked; those of reading and of [`Fresh`]; [`Error::Cancelled`].
pub fn shrink(
    checkpoint: &Checkpoint,
    couplings: &Couplings,
    output: &Path,
    options: &Options,
    unfinished: &Unfinished,
    progress: OnPass<'_>,
) -> Result<Report> {
    let began = Instant::now();
    let mut marks = vec![0.0];
    // What needs no scores fails at once.
    options.amount.counts(couplings)?;
    let mut sources = Sources::default();
    sources.add(checkpoint);
    for file in [options.score.file(), options.moments.as_deref()].into_iter().flatten() {
        sources.add(&Checkpoint::open(file)?);
    }
    options.sources.iter().try_for_each(|file| sources.add_file(file))?;
    sources.check_output(checkpoint, output, options.force)?;
    let config = Config::of(checkpoint)?;
    let scores = score::scores(checkpoint, couplings, &options.score, &|done, all| progress(Pass::Score, done, all))?;
    let kept = options.amount.choose(couplings, &scores)?;
    marks.push(began.elapsed().as_secs_f64());
    let biases = match &options.moments {
        Some(moments) => {
            let on_bytes = |done, all| progress(Pass::Compensate, done, all);
            compensate::biases(checkpoint, couplings, &kept, moments, &on_bytes)?
        }
        None => Biases::default(),
    };
    marks.push(began.elapsed().as_secs_f64());
    let compensated = biases.consumers.clone();
    let plan = Plan::new(couplings, &kept, checkpoint, config.as_ref(), biases)?;
    let (shards, order) = plan.shards(checkpoint, (METADATA_KEY, &report::noted(couplings, &kept)))?;
    let what = FreshDescriptor { from: checkpoint, sources, shards, others: plan.others() };
    let fresh = Fresh::create(what, output, options.force, unfinished)?;
    write(&plan, &order, checkpoint, &fresh, progress)?;
    marks.push(began.elapsed().as_secs_f64());
    if progress(Pass::Commit, 0, 0).is_break() {
        return Err(Error::Cancelled);
    }
    let committed = fresh.commit()?;
    marks.push(began.elapsed().as_secs_f64());
    let infos = checkpoint.tensors();
    Ok(Report {
        lopper: env!("CARGO_PKG_VERSION"),
        unit: couplings.kind.name(),
        per_unit: couplings.per_unit(),
        couplings_by: couplings.by.clone(),
        couplings: report::of_couplings(couplings, &kept, &scores),
        tensors: report::of_tensors(infos, &plan),
        compensated,
        tensor_bytes: [infos.iter().map(TensorInfo::bytes).sum(), plan.bytes()],
        bytes_written: committed.bytes,
        seconds: Seconds::between(&marks),
        notes: report::notes(couplings, &kept, checkpoint),
    })
}

/// What would come of a run, where no scores are needed to know: of an amount that is a count, and of units that are all of a
/// size.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// How many units of each coupling would stay.
    pub kept: Vec<u64>,
    /// Bytes of all tensors together.
    pub tensor_bytes: u64,
}

/// What would come of a run, as far as it can be told from headers.
///
/// # Errors
/// As [`shrink`], for what is known before anything is read.
pub fn outlook(checkpoint: &Checkpoint, couplings: &Couplings, amount: &Amount) -> Result<Option<Outlook>> {
    let counts = amount.counts(couplings)?;
    let Some(kept) = counts.filter(|_| couplings.kind != Kind::Layer) else { return Ok(None) };
    // Whichever units they are, they are as large.
    let units: Vec<Vec<u64>> = kept.iter().map(|count| (0..*count).collect()).collect();
    let config = Config::of(checkpoint)?;
    let plan = Plan::new(couplings, &units, checkpoint, config.as_ref(), Biases::default())?;
    Ok(Some(Outlook { kept, tensor_bytes: plan.bytes() }))
}

/// Writes all tensors, on as many threads as there are processors; `order` has the number in the plan of each of `fresh`.
fn write(plan: &Plan, order: &[usize], checkpoint: &Checkpoint, fresh: &Fresh, progress: OnPass<'_>) -> Result<()> {
    let infos = checkpoint.tensors();
    let gathers: Vec<_> = (order.iter().map(|at| &plan.tensors[*at].content))
        .map(|content| match content {
            Content::Gather(from, ways) => Some(gather(&infos[*from], ways)),
            Content::Copy(_) | Content::Bytes(_) => None,
        })
        .collect();
    let shares = gathers.iter().enumerate();
    let shares =
        shares.flat_map(|(tensor, gather)| (0..gather.as_ref().map_or(1, |g| g.shares())).map(move |s| (tensor, s)));
    let shares: Vec<(usize, u64)> = shares.collect();
    let all = plan.bytes_read(infos);
    let done = AtomicU64::new(0);
    let tell = |bytes| told(&|done, all| progress(Pass::Write, done, all), &done, bytes, all);
    shared(shares.len() as u64, Buffers::default, |buffers, number| {
        let (tensor, share) = shares[number as usize];
        match (&plan.tensors[order[tensor]].content, &gathers[tensor]) {
            (Content::Copy(from), _) => fresh.copy(tensor, checkpoint, *from, &tell),
            (Content::Bytes(bytes), _) => fresh.write_at(tensor, 0, bytes),
            (Content::Gather(from, _), Some(gather)) => {
                let read = |at, bytes: &mut [u8]| checkpoint.read_at(*from, at, bytes);
                let write = |at, bytes: &[u8]| fresh.write_at(tensor, at, bytes);
                tell(gather.share(share, buffers, read, write)?)
            }
            (Content::Gather(..), None) => Ok(()),
        }
    })
    .map(drop)
}
