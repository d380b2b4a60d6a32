//! `lopper infer`: a network on data, as it is and pruned, dense and sparse.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use lopper::Format;
use lopper::checkpoint::Checkpoint;
use lopper::infer::{accuracy, distance};
use lopper::network::{Network, Storage};
use lopper::pruner::{Draft, Options, Pruner, Recipe, Selection};

use super::network::{NetworkArgs, Opened};
use super::table::Grid;
use super::text::{self, bytes, count, percent};
use super::values::{Form, form, share};

const HELP: &str = "\
Examples:
  What sparsities do to a classifier, and to its size and speed:
    lopper infer examples/digits/digits.toml --data examples/digits/digits.safetensors --inputs test.images \\
      --sparsity 0.3,0.5,0.7,0.8
  2:4, in every form that holds it:
    lopper infer digits.toml --data digits.safetensors --inputs test.images --keep 2 --of 4 --form all
  A checkpoint that was pruned, or tuned, before; differences are from the one that the network names:
    lopper infer digits.toml --data digits.safetensors --inputs test.images --against tuned.safetensors

A network is a list of layers, each activation(W x + bias), their tensors by name:
    checkpoint = \"mlp.safetensors\"  # from this file's folder

    [[layer]]
    weight = \"fc1.weight\"           # [outputs, inputs]
    bias = \"fc1.bias\"               # if there is one
    activation = \"relu\"             # none (this unless given), relu, gelu or silu

Differences are |y - y'| / |y| over all outputs of the network as it is. Times are medians from submission to the end, of
one vector and of many at once; small networks take what a submission takes.

Exit codes: 0 done, 1 failed, 2 the command line makes no sense";

/// Passes that are timed.
const TIMES: usize = 15;

#[derive(Debug, Args)]
#[command(after_help = HELP)]
#[command(group = ArgGroup::new("variants").multiple(true).args(["sparsity", "keep", "recipe", "against"]))]
pub struct InferArgs {
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The tensor of the classes, [vectors]; found by itself where only one would do
    #[arg(long, value_name = "TENSOR")]
    pub labels: Option<String>,

    /// Prune each layer's weights to each of these shares, by magnitude
    #[arg(long, value_name = "S,S…", value_parser = share, value_delimiter = ',', help_heading = "Pruned how")]
    pub sparsity: Vec<f64>,
    /// Keep N of every --of M weights
    #[arg(long, value_name = "N", requires = "of", help_heading = "Pruned how")]
    pub keep: Option<u64>,
    /// See --keep
    #[arg(long, value_name = "M", requires = "keep", help_heading = "Pruned how")]
    pub of: Option<u32>,
    /// Prune by this recipe; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Pruned how")]
    pub recipe: Vec<PathBuf>,
    /// Run this checkpoint too, with tensors of the same names; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Pruned how")]
    pub against: Vec<PathBuf>,
    /// How pruned weights are stored: auto, dense, bitmask, ell, csr, macko, N:M such as 2:4, or blocks such as 4x4; all is every
    /// one of them that holds the weights
    #[arg(long, value_name = "FORM,FORM…", value_delimiter = ',', default_value = "auto", value_parser = form, help_heading = "Pruned how")]
    pub form: Vec<Form>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Run {
    weights: String,
    /// How each layer is stored.
    stored: Vec<String>,
    zeros: u64,
    of: u64,
    /// Vectors that are given their class, where they have one.
    right: Option<u64>,
    difference: f64,
    /// Of weights and biases.
    bytes: u64,
    seconds_one: f64,
    seconds_many: f64,
}

#[derive(serde::Serialize)]
struct Json<'a> {
    network: &'a Path,
    checkpoint: &'a Path,
    adapter: &'a str,
    vectors: u64,
    labels: bool,
    many: u32,
    runs: &'a [Run],
}

pub fn run(args: &InferArgs) -> Result<ExitCode> {
    let opened = args.network.open(args.labels.as_deref())?;
    let given = opened.runner.run(&opened.dense, &opened.data.vectors)?;
    let asis =
        Loaded { weights: "as they are".into(), network: &opened.dense, zeros: zeros(&opened, &opened.checkpoint)? };
    let mut runs = vec![measure(&opened, asis, &given)?];
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    for (name, path) in variants(args, &opened, folder.path())? {
        let checkpoint = Checkpoint::open(&path)?;
        let zeros = zeros(&opened, &checkpoint)?;
        for (storage, must) in args.form.iter().flat_map(storages) {
            let gpu = opened.runner.gpu();
            let loaded = Network::load(gpu.device(), gpu.tuning(), &opened.chain, &checkpoint, storage);
            match loaded {
                Ok((network, _)) => {
                    let loaded = Loaded { weights: name.clone(), network: &network, zeros };
                    runs.push(measure(&opened, loaded, &given)?);
                }
                Err(error) if must => return Err(error).with_context(|| format!("pruned by {name}")),
                // Not every form holds every mask.
                Err(lopper::Error::View { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let (vectors, many) = (opened.data.count(), many(&opened));
    let adapter = &opened.runner.gpu().info().name;
    if args.json {
        let (network, labels) = (args.network.network.as_path(), opened.data.labels.is_some());
        text::print_json(&Json { network, checkpoint: &opened.path, adapter, vectors, labels, many, runs: &runs })?;
        return Ok(ExitCode::SUCCESS);
    }
    let many_header = format!("{} vectors", count(many.into()));
    let header = ["weights", "stored", "zeros", "right", "difference", "size", "one vector", &many_header];
    let mut grid = Grid::new(&header, &[2, 3, 4, 5, 6, 7]);
    for run in &runs {
        let mut stored: Vec<&str> = run.stored.iter().map(String::as_str).collect();
        stored.dedup();
        grid.row([
            run.weights.clone(),
            stored.join(", "),
            percent(run.zeros, run.of),
            run.right.map_or("-".into(), |right| {
                format!("{} ({:.1} %)", count(right), 100.0 * right as f64 / vectors as f64)
            }),
            if run.difference == 0.0 { "0".into() } else { format!("{:.1e}", run.difference) },
            bytes(run.bytes as f64),
            format!("{:.2} ms", 1e3 * run.seconds_one),
            format!("{:.2} ms", 1e3 * run.seconds_many),
        ]);
    }
    text::print(&format!("{grid}{} vectors on {}\n", count(vectors), text::printable(adapter)))?;
    Ok(ExitCode::SUCCESS)
}

/// Weights in one form.
struct Loaded<'a> {
    weights: String,
    network: &'a Network,
    zeros: (u64, u64),
}

/// Vectors that are timed together.
fn many(opened: &Opened) -> u32 {
    opened.runner.columns_at_most(&opened.dense).min(opened.data.count() as u32)
}

fn measure(opened: &Opened, Loaded { weights, network, zeros: (zeros, of) }: Loaded<'_>, dense: &[f32]) -> Result<Run> {
    let (runner, data) = (&opened.runner, &opened.data);
    let given = runner.run(network, &data.vectors)?;
    let right = data.labels.as_ref().map(|labels| accuracy(&given, network.outputs(), labels)).transpose()?;
    let seconds =
        |columns: u32| runner.seconds(network, &data.vectors[..columns as usize * data.width as usize], columns, TIMES);
    let stored = network
        .layers()
        .iter()
        .map(|layer| layer.sparse_matrix().map_or("dense".into(), |matrix| matrix.format().to_string()));
    Ok(Run {
        weights,
        stored: stored.collect(),
        zeros,
        of,
        right,
        difference: distance(&given, dense),
        bytes: network.layers().iter().map(lopper::network::Linear::bytes).sum(),
        seconds_one: seconds(1)?,
        seconds_many: seconds(many(opened))?,
    })
}

/// What is to be run besides the network as it is: a name, and where its checkpoint lies.
fn variants(args: &InferArgs, opened: &Opened, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let selection = || Selection {
        include: opened.chain.layers.iter().map(|layer| globset::escape(&layer.weight)).collect(),
        ..Selection::default()
    };
    let drafted = |draft: Draft| draft.rule().map(Recipe::from).map_err(anyhow::Error::msg);
    let mut recipes = Vec::new();
    for sparsity in &args.sparsity {
        let draft = Draft { selection: selection(), sparsity: Some(*sparsity), ..Draft::default() };
        recipes.push((format!("sparsity {sparsity}"), drafted(draft)?));
    }
    if let (Some(keep), Some(of)) = (args.keep, args.of) {
        let draft = Draft { selection: selection(), keep: Some(keep), of: Some(of), ..Draft::default() };
        recipes.push((format!("{keep}:{of}"), drafted(draft)?));
    }
    for path in &args.recipe {
        recipes.push((path.display().to_string(), Recipe::read(path)?));
    }
    let pruner = Pruner::new(opened.runner.gpu().clone());
    let mut variants = Vec::new();
    for (i, (name, recipe)) in recipes.into_iter().enumerate() {
        let file = if opened.path.is_dir() { format!("{i}") } else { format!("{i}.safetensors") };
        let output = folder.join(file);
        pruner
            .prune(&opened.path, &output, &recipe, &Options::default(), &|_| ControlFlow::Continue(()))
            .with_context(|| format!("cannot prune by {name}"))?;
        variants.push((name, output));
    }
    variants.extend(args.against.iter().map(|path| (path.display().to_string(), path.clone())));
    Ok(variants)
}

/// The storages that a word stands for, and whether they must hold the weights.
fn storages(form: &Form) -> Vec<(Storage, bool)> {
    if let Form::One(storage) = form {
        return vec![(*storage, true)];
    }
    let formats = [
        Format::Bitmask,
        Format::SlicedEll { slice: 8 },
        Format::Csr,
        Format::Macko,
        Format::Nm { keep: 2, of: 4 },
        Format::Block { rows: 4, cols: 4 },
    ];
    let sparse = formats.into_iter().map(|format| (Storage::Sparse(format), false));
    std::iter::once((Storage::Dense, true)).chain(sparse).collect()
}

/// Zeros among the weights of the layers, and weights in all.
fn zeros(opened: &Opened, checkpoint: &Checkpoint) -> Result<(u64, u64)> {
    let (mut zeros, mut all) = (0, 0);
    for layer in &opened.chain.layers {
        if let Some(place) = checkpoint.tensors().iter().position(|info| info.name == layer.weight) {
            let found = checkpoint.zeros(place)?;
            zeros += found.0;
            all += found.1;
        }
    }
    Ok((zeros, all))
}
