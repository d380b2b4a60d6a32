//! `lopper bench`: whether sparse products pay on this adapter.

mod compare;
mod shown;
mod words;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lopper::bench::{self, Asked, Model, Pattern};
use lopper::checkpoint::Checkpoint;
use lopper::pruner::{Action, Plan, Recipe, Rule, Selection, Target};
use lopper::{Dtype, Format, Shape};

use self::words::{dtype, pattern, shape};
use super::device;
use super::file::{NewFile, json};
use super::page;
use super::progress::Bar;
use super::stop::Stop;
use super::text;
use super::values::{format, share};

pub use self::compare::{verdict, what, who};
pub use self::shown::{knobs, milliseconds};

const HELP: &str = "\
Examples:
  Whether sparse products pay on this adapter:
    lopper bench
  For a matrix of yours, and a batch:
    lopper bench --shape 4096x11008 --batch 1,8 --sparsity 0.5,0.7,0.9 --dtype bf16
  2:4, and blocks:
    lopper bench --pattern 2:4
    lopper bench --pattern 16x16 --format 16x16 --sparsity 0.5,0.8
  A model, as it is pruned; and what it would take, pruned further by magnitude:
    lopper bench --model pruned/
    lopper bench --model model.safetensors --sparsity 0.5,0.7,0.9
  For another program to read, and for later:
    lopper bench --json bench.json --html bench.html
  Two such results, of two machines or two versions:
    lopper bench --compare before.json after.json

First the adapter's roofs are measured, with kernels that do nothing but read, copy and multiply. Then each product is held
against one in f64, and timed in turn with ours of the dense matrix. Times are medians; those that are not steady have a ~,
and so have those beside which the adapter read memory faster or slower than in the rest of the run. `of its roof` is what reading,
or multiplying what is kept, would take at least, over the time it took. Where the time is up,
what was not measured is listed; Ctrl-C prints what is done.

Of a model, every matrix that `prune` would choose is a layer, multiplied with one vector unless --batch says otherwise; one of
each shape comes first. Then the layers are added up: the time of a vector through all of them, one after the other, which
nothing else of the model's work makes shorter. Embeddings and heads are no part of it, unless --include names them.

Exit codes: 0 done, 1 failed or stopped, or a result was wrong, 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct BenchArgs {
    /// Measure the linear layers of this checkpoint: each at its own shape, with its own weights
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["shape", "dtype"])]
    pub model: Option<PathBuf>,
    /// Layers of the model, by a glob; may be repeated
    #[arg(long, value_name = "GLOB", requires = "model")]
    pub include: Vec<String>,
    /// No layers of the model, by a glob; may be repeated
    #[arg(long, value_name = "GLOB", requires = "model")]
    pub exclude: Vec<String>,
    /// Measure nothing, but show two results of --json side by side
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], exclusive = false, conflicts_with_all = [
        "model", "shape", "sparsity", "batch", "format", "dtype", "pattern", "adapter", "time"
    ])]
    pub compare: Option<Vec<PathBuf>>,
    /// Outputs and inputs of a matrix [default: 4096x4096]
    #[arg(long, value_name = "RxC", value_delimiter = ',', value_parser = shape)]
    pub shape: Vec<Shape>,
    /// Shares of the weights that are gone [default: 0,0.3,0.5,0.7,0.9,0.95; of a model, as it is]
    #[arg(long, value_name = "S", value_delimiter = ',', value_parser = share)]
    pub sparsity: Vec<f64>,
    /// Vectors that are multiplied at once [default: 1,4,16,64; of a model, 1]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub batch: Vec<u32>,
    /// How sparse matrices are stored: ell, ell:ROWS, macko, bitmask, csr, N:M, or blocks RxC [default: all that hold the pattern; macko on GPUs]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = format)]
    pub format: Vec<Format>,
    /// Element type of the weights: f16, bf16 or f32
    #[arg(long, value_name = "DTYPE", default_value = "f16", value_parser = dtype)]
    pub dtype: Dtype,
    /// Which weights are gone: random ones, the smallest (magnitude), N:M, or blocks RxC [default: random; of a model, its
    /// zeros, or the smallest where --sparsity is given]
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub pattern: Option<Pattern>,
    /// The adapter to use: a part of its name, or its number in `lopper devices`
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
    /// Seconds after which no case is begun
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub time: u64,
    /// Write the results to this JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page to look at: speed-ups, roofs, break-even; one file, no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// No progress and no table
    #[arg(short, long)]
    pub quiet: bool,
}

pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    if let Some(files) = &args.compare {
        return compare::run(args, files);
    }
    let html = args.html.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let file = args.json.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let stop = Stop::listen(file.as_ref().map(NewFile::temporary))?;
    let checkpoint = args.model.as_ref().map(|path| Checkpoint::open(path)).transpose()?;
    let model = checkpoint.as_ref().map(|checkpoint| model(args, checkpoint)).transpose()?;
    let gpu = device::open(args.adapter.as_deref())?;
    let bar = Bar::new(args.quiet);
    let on_case = |what: &str, done: usize, of: usize| {
        bar.say(what, done as u64, of as u64);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let results = match &model {
        Some(model) => bench::run_model(&gpu, model, &asked(args), &on_case),
        None => bench::run(&gpu, &asked(args), &on_case),
    }?;
    drop(bar);
    if let Some(file) = file {
        file.write(json(&results)).context("the results were not written")?;
    }
    if let Some(html) = html {
        page::bench::page(&results).write(html).context("the page was not written")?;
    }
    if !args.quiet {
        text::print(&shown::shown(&results)?)?;
    }
    let wrong = results.skipped.iter().filter(|skip| skip.wrong).count();
    if wrong > 0 {
        text::tell(&format!("error: {wrong} results were wrong on this adapter"));
    }
    if results.stopped {
        text::tell("stopped; what was measured by then is above");
    }
    Ok(if wrong > 0 || results.stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The matrices that `prune` would choose by these globs.
fn model<'a>(args: &BenchArgs, checkpoint: &'a Checkpoint) -> Result<Model<'a>> {
    let selection = Selection { include: args.include.clone(), exclude: args.exclude.clone(), ..Selection::default() };
    let rule = Rule { selection, ..Rule::new(Target::Sparsity(0.0)) };
    let plan = Plan::new(&Recipe { rules: vec![rule] }, checkpoint.tensors())?;
    let chosen = plan.tensors.iter().zip(checkpoint.tensors()).enumerate();
    // Convolutions are pruned, too, but are no matrices.
    let linear = chosen.filter(|(_, (planned, info))| planned.action == Action::Prune && info.shape.len() == 2);
    Ok(Model::new(checkpoint, &linear.map(|(tensor, _)| tensor).collect::<Vec<_>>())?)
}

fn asked(args: &BenchArgs) -> Asked {
    let mut asked = Asked::default();
    let (given, one) = (args.model.is_some(), [1]);
    asked.pattern = match args.pattern {
        Some(pattern) => pattern,
        None if given && args.sparsity.is_empty() => Pattern::Given,
        None if given => Pattern::Magnitude,
        None => Pattern::Random,
    };
    let Asked { shapes, sparsities, batches, formats, dtype, time, .. } = &mut asked;
    fn replace<T: Clone>(own: &mut Vec<T>, given: &[T]) {
        if !given.is_empty() {
            *own = given.to_vec();
        }
    }
    replace(shapes, &args.shape);
    replace(sparsities, &args.sparsity);
    replace(batches, if given && args.batch.is_empty() { &one } else { &args.batch });
    replace(formats, &args.format);
    *dtype = args.dtype;
    *time = Duration::from_secs(args.time);
    asked
}
