//! What `inspect` and `sweep` cost beside one counting pass of the scheduler over the same checkpoint.
//!
//! `cargo bench --bench inspect -- CHECKPOINT`; the adapter is that of `LOPPER_ADAPTER`, or the best there is. Under
//! `cargo test`, and without a checkpoint, on a small one that it writes itself.
//!
//! The counting pass is that of scope `global`: from the first byte that is read for it to the cut, when the first byte is
//! read for masking; the run is stopped there. Before it come planning, a sample of the weights and the pipelines, which are
//! told apart. `survey` is all that inspect and sweep do before they print. In turn, so that both see the same machine.

#[allow(dead_code, reason = "each bench uses its own part")]
mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, bail};
use lopper::checkpoint::Checkpoint;
use lopper::gpu::Gpu;
use lopper::inspect::survey;
use lopper::pruner::{Options, Pass, Pruner, Rule, Scope, Selection, Sink, Target};
use lopper::safetensors::Dtype as FileDtype;
use lopper::safetensors::tensor::{TensorView, serialize_to_file};
use lopper::{BoxError, Dtype, Error};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let gpu = pollster::block_on(Gpu::open(std::env::var("LOPPER_ADAPTER").ok().as_deref()))?;
    println!("{} ({}, {})", gpu.info().name, gpu.info().backend, gpu.info().driver);
    let folder = tempfile::tempdir()?;
    let input = match args.first() {
        Some(input) => PathBuf::from(input),
        None => small(folder.path(), if measuring { 64 } else { 1 })?,
    };
    let checkpoint = Checkpoint::open(&input)?;
    let bytes = checkpoint.total_bytes() as f64;
    let rounds = if measuring { 7 } else { 1 };
    let (mut counts, mut before, mut surveys) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let (began, counted) = count(&gpu, &checkpoint)?;
        before.push(began);
        counts.push(counted);
        let start = Instant::now();
        survey(&checkpoint, &|_, _| ControlFlow::Continue(()))?;
        surveys.push(start.elapsed().as_secs_f64());
    }
    let [count, before, survey] = [counts, before, surveys].map(median);
    let line = |name: &str, [low, middle, high]: [f64; 3]| {
        println!("{name:<28} {middle:.3} s ({low:.3} .. {high:.3}), {:.2} GB/s", bytes / middle / 1e9);
    };
    println!("{}: {:.2} GB, {rounds} rounds, medians", input.display(), bytes / 1e9);
    line("counting pass", count);
    println!("what comes before it         {:.3} s ({:.3} .. {:.3})", before[1], before[0], before[2]);
    line("survey (inspect, sweep)", survey);
    println!("survey / counting pass: {:.2}", survey[1] / count[1]);
    Ok(())
}

/// Nothing is to be written.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&self, _: usize, _: u64, _: &[u8]) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Seconds before the counting pass, and of the pass.
fn count(gpu: &Gpu, checkpoint: &Checkpoint) -> Result<(f64, f64)> {
    let start = Instant::now();
    let marks = Mutex::new((None, None));
    let progress = |progress: &lopper::pruner::Progress| {
        let now = start.elapsed().as_secs_f64();
        let mut marks = marks.lock().expect("nothing panics");
        match progress.pass {
            Pass::Count if progress.pass_done > 0 => _ = marks.0.get_or_insert(now),
            Pass::Prune => _ = marks.1.get_or_insert(now),
            _ => {}
        }
        if marks.1.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // Every weight of every matrix, as survey looks at all.
    let selection = Selection { all: true, ..Selection::default() };
    let rule = Rule { scope: Scope::Global, selection, ..Rule::new(Target::Sparsity(0.5)) };
    let (pruner, options) = (Pruner::new(gpu.clone()), Options::default());
    match pruner.prune_tensors(checkpoint.tensors(), checkpoint, &Nowhere, &rule.into(), &options, &progress) {
        Err(Error::Cancelled) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("there was nothing to count"),
    }
    match *marks.lock().expect("nothing panics") {
        (Some(began), Some(ended)) => Ok((began, ended - began)),
        _ => bail!("there was nothing to count"),
    }
}

fn median(mut seconds: Vec<f64>) -> [f64; 3] {
    seconds.sort_by(f64::total_cmp);
    [seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1]]
}

/// A checkpoint of so many matrices of 2 MiB.
fn small(folder: &Path, matrices: usize) -> Result<PathBuf> {
    let weights = common::bell(Dtype::BF16, 1 << 20);
    let view = |n: usize| Ok((format!("{n}.weight"), TensorView::new(FileDtype::BF16, vec![1024, 1024], &weights)?));
    let path = folder.join("small.safetensors");
    serialize_to_file((0..matrices).map(view).collect::<Result<Vec<_>>>()?, None, &path)?;
    Ok(path)
}
