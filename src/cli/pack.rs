//! `lopper pack` and `lopper unpack`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::packed::{self, PackOptions, Packed, Packing, TensorPacked, TensorUnpacked, Unpacked};
use lopper::pruner::Selection;

use super::progress::Bar;
use super::stop::Stop;
use super::table::{Grid, groups};
use super::term::{Paint, paint};
use super::text::{self, bytes, count, percent};

const PACK_HELP: &str = "\
Examples:
  A pruned model in the layout that compressed-tensors reads (up to 0.14.0), and back, byte for byte:
    lopper pack pruned/ -o packed/
    lopper unpack packed/ -o pruned-again/
  One that was pruned with --keep 2 --of 4:
    lopper pack pruned/ -o packed/ --format sparse-24-bitmask
  For lopper's own products, which load it as it is (SparseMatrix::load):
    lopper pack pruned.safetensors -o packed.safetensors --format tiled-bitmask
  Prune and pack at once:
    lopper prune llama/ -o packed/ --sparsity 0.5 --pack sparse-bitmask

Which tensors: those that the recipe in the metadata prunes, else those that lopper prunes by default; of these, those that get
smaller. In a folder with a config.json, compressed-tensors' layouts add their section to it.

Exit codes: 0 done, 1 failed or stopped (nothing was written), 2 the command line makes no sense";

const UNPACK_HELP: &str = "\
Examples:
  lopper unpack packed/ -o dense/
  lopper unpack packed.safetensors -o dense.safetensors --json | jq '.tensors[].kept'

Reads sparse-bitmask and sparse-24-bitmask files of compressed-tensors, in either way of naming, and lopper's own. Each weight is
put into the shard where its values are. config.json loses the section about packing; what lopper has packed becomes what it was.

Exit codes: 0 done, 1 failed or stopped (nothing was written), 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = PACK_HELP)]
pub struct PackArgs {
    /// A pruned checkpoint: a .safetensors file, a folder or an index
    pub input: PathBuf,
    /// Where the packed checkpoint goes; never over the input
    #[arg(short, long)]
    pub output: PathBuf,
    /// The layout: sparse-bitmask, sparse-24-bitmask or tiled-bitmask
    #[arg(long, default_value_t)]
    pub format: Packing,
    /// Only tensors that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not tensors that match, whatever else holds; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Every float tensor, of any name
    #[arg(long, conflicts_with = "include")]
    pub all: bool,
    /// Take -0.0, which torch's pruning leaves behind, for +0.0, which takes no room
    #[arg(long)]
    pub positive_zeros: bool,
    /// Pack tensors that take more room packed than dense, too
    #[arg(long)]
    pub force_growth: bool,
    /// Replace an output that exists
    #[arg(long)]
    pub force: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = UNPACK_HELP)]
pub struct UnpackArgs {
    /// A packed checkpoint: a .safetensors file, a folder or an index
    pub input: PathBuf,
    /// Where the dense checkpoint goes; never over the input
    #[arg(short, long)]
    pub output: PathBuf,
    /// Replace an output that exists
    #[arg(long)]
    pub force: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn pack(args: &PackArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.input)?;
    let PackArgs { include, exclude, all, .. } = args;
    let selection = Selection { include: include.clone(), exclude: exclude.clone(), all: *all, ..Default::default() };
    let options = PackOptions {
        packing: args.format,
        selection: (selection != Selection::default()).then_some(selection),
        positive_zeros: args.positive_zeros,
        force_growth: args.force_growth,
        force: args.force,
    };
    let found = watched(args.json, |unfinished, progress| {
        packed::pack(&checkpoint, &args.output, &options, unfinished, progress)
    })?;
    match args.json {
        true => text::print_json(&found)?,
        false => text::print(&shown(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub fn unpack(args: &UnpackArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.input)?;
    let found = watched(args.json, |unfinished, progress| {
        packed::unpack(&checkpoint, &args.output, args.force, unfinished, progress)
    })?;
    match args.json {
        true => text::print_json(&found)?,
        false => text::print(&unpacked(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Works with a bar, and so that Ctrl-C leaves nothing behind.
fn watched<T>(quiet: bool, work: impl FnOnce(&Unfinished, lopper::OnBytes<'_>) -> lopper::Result<T>) -> Result<T> {
    let (stop, unfinished, bar) = (Stop::listen(None)?, Unfinished::default(), Bar::new(quiet));
    stop.cleans_up(unfinished.clone());
    let done = work(&unfinished, &|done, all| {
        bar.set(done, all);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    Ok(done?)
}

/// What was packed, what was not and why, and the sizes.
pub fn shown(found: &Packed) -> String {
    let mut grid = Grid::new(&["packed", "n", "dtype", "weights", "stored", "before", "after"], &[1, 3, 4, 5, 6]);
    for (name, members) in groups(&found.tensors, |t| &t.name, |t| &t.dtype) {
        let sum = |of: fn(&TensorPacked) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let (weights, before, after) = (sum(|t| t.weights), sum(|t| t.bytes_before), sum(|t| t.bytes));
        let (number, dtype, stored) = (members.len().to_string(), members[0].dtype.clone(), sum(|t| t.kept));
        let sizes = [bytes(before as f64), bytes(after as f64)];
        grid.short_row([name, number, dtype, count(weights), percent(stored, weights)].into_iter().chain(sizes));
    }
    let mut left = Grid::new(&["left as it is", "n", "why"], &[1]);
    for (name, members) in groups(&found.left, |t| &t.name, |_| ()) {
        left.short_row([name, members.len().to_string(), members[0].why.clone()]);
    }
    let mut text = format!("{grid}{left}");
    let negative: u64 = found.tensors.iter().map(|t| t.negative_zeros).sum();
    if negative > 0 {
        text += &format!(
            "note: {} of the weights are -0.0; --positive-zeros takes them for +0.0, and stores none\n",
            count(negative)
        );
    }
    let (before, after) = (bytes(found.bytes_before as f64), bytes(found.bytes as f64));
    let (number, packing, share) = (found.tensors.len(), found.packing, percent(found.bytes, found.bytes_before));
    let totals = format!("{number} tensors packed as {packing}; {before} became {after} ({share})");
    text + &format!("{}\n", paint(Paint::Bold, &totals))
}

fn unpacked(found: &Unpacked) -> String {
    let mut grid = Grid::new(&["unpacked", "n", "from", "dtype", "weights", "stored"], &[1, 4, 5]);
    for (name, members) in groups(&found.tensors, |t| &t.name, |t| (t.packing, &t.dtype)) {
        let sum = |of: fn(&TensorUnpacked) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let (weights, stored, number) = (sum(|t| t.weights), sum(|t| t.kept), members.len().to_string());
        let (from, dtype) = (members[0].packing.to_string(), members[0].dtype.clone());
        grid.short_row([name, number, from, dtype, count(weights), percent(stored, weights)]);
    }
    let (before, after) = (bytes(found.bytes_before as f64), bytes(found.bytes as f64));
    let totals = format!("{} tensors unpacked; {before} became {after}", found.tensors.len());
    format!("{grid}{}\n", paint(Paint::Bold, &totals))
}
