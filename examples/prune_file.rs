//! Prunes half of a checkpoint with [`Pruner`], and checks the result from the two files alone.
//!
//! ```sh
//! cargo run --release --example prune_file                        # a small speech model that comes with lopper
//! cargo run --release --example prune_file -- in.safetensors out.safetensors
//! ```
//!
//! Where no output is named, it goes to a temporary folder that is removed at the end. Exits with 1 if anything fails.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use lopper::gpu::Gpu;
use lopper::pruner::{Action, Against, Options, Progress, Pruner, Rule, Target, verify};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/silero_vad_16k.safetensors");

fn main() -> Result<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = tempfile::tempdir()?;
    let input = paths.next().unwrap_or_else(|| MODEL.into());
    let output = paths.next().unwrap_or_else(|| folder.path().join("pruned.safetensors"));

    // The adapter whose name, backend or driver contains this, or the best there is.
    let adapter = std::env::var("LOPPER_ADAPTER").ok();
    let gpu = pollster::block_on(Gpu::open(adapter.as_deref()))?;
    println!("{} on {}", input.display(), gpu.info().name);
    prune(gpu, &input, &output)?;

    let found = verify(&input, &output, Against::Own, &|_, _| {})?;
    ensure!(found.ok(), "{} mismatches, the first: {:?}", found.mismatch_count, found.mismatches.first());
    println!("verified: {} of {} weights are zero, the others kept every bit", found.zeros, found.weights);
    Ok(())
}

fn prune(gpu: Gpu, input: &Path, output: &Path) -> Result<()> {
    // Called often, from several threads: a line is printed for each tenth. `Break` would stop the run.
    let tenths = AtomicU64::new(0);
    let progress = |progress: &Progress| {
        let now = 10 * progress.done / progress.all.max(1);
        if tenths.fetch_max(now, Ordering::Relaxed) < now {
            eprintln!("{} %", 10 * now);
        }
        ControlFlow::Continue(())
    };
    let rule = Rule::new(Target::Sparsity(0.5));
    let report = Pruner::new(gpu).prune(input, output, &rule.into(), &Options::default(), &progress)?;

    for tensor in report.tensors.iter().filter(|t| t.action == Action::Prune) {
        // Every weight up to the cut went, but for some of those that equal it.
        let (zeros, cut) = (tensor.zeros.unwrap_or(0), tensor.cut.unwrap_or(0.0));
        println!("{:<40} {zeros:>10} of {:>10} zero, cut {cut:.3e}", tensor.name, tensor.weights);
    }
    println!("{} bytes in {:.2} s", report.bytes_written, report.seconds.total);
    Ok(())
}
