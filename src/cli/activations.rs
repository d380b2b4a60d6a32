//! `lopper activations`: how the inputs and neurons of a network act over data, as files that scores are made of.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use lopper::infer::Activations;
use lopper::network::Layer;
use lopper::safetensors::{Dtype, serialize, tensor::TensorView};

use super::file::NewFile;
use super::network::NetworkArgs;
use super::table::Grid;
use super::text::{self, count, magnitude};

const HELP: &str = "\
Examples:
  Wanda's score, from a network and data that it is to work on:
    lopper activations digits.toml --data digits.safetensors --inputs train.images --norms norms.safetensors
    lopper prune mlp.safetensors -o out.safetensors --sparsity 0.5 --scope row --score wanda --activations norms.safetensors
  Half of the neurons of the first layer, those that act least:
    lopper activations digits.toml --data digits.safetensors --inputs train.images --means means.safetensors
    lopper prune mlp.safetensors -o out.safetensors --include fc1.weight --unit row --sparsity 0.5 \\
      --score activation --activations means.safetensors

Each file holds an F32 vector for each layer, under the name of its weights: --norms sqrt(mean x^2) of each input over the
vectors, --means the mean |y| of each neuron, after its activation function, --moments the mean of each input and that of its
square, [2, inputs], for `lopper shrink --compensate bias`.

Exit codes: 0 done, 1 failed, nothing was written, 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ActivationsArgs {
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Write the norm of each input here, for --score wanda
    #[arg(long, value_name = "FILE.safetensors", required_unless_present_any = ["means", "moments"])]
    pub norms: Option<PathBuf>,
    /// Write the mean of each neuron here, for --score activation
    #[arg(long, value_name = "FILE.safetensors")]
    pub means: Option<PathBuf>,
    /// Write the mean of each input and of its square here, for shrink --compensate bias
    #[arg(long, value_name = "FILE.safetensors")]
    pub moments: Option<PathBuf>,
}

pub fn run(args: &ActivationsArgs) -> Result<ExitCode> {
    let opened = args.network.open(None)?;
    let new = |path: &PathBuf| NewFile::create_tensors(path, &opened.path);
    let norms_file = args.norms.as_ref().map(new).transpose()?;
    let means_file = args.means.as_ref().map(new).transpose()?;
    let moments_file = args.moments.as_ref().map(new).transpose()?;
    let found = opened.runner.activations(&opened.dense, &opened.data.vectors)?;
    let layers = &opened.chain.layers;
    let files = [
        (norms_file, Activations::norms as fn(&_) -> _, 1),
        (means_file, Activations::means, 1),
        (moments_file, Activations::moments, 2),
    ];
    for (file, of, rows) in files {
        if let Some(file) = file {
            let bytes = tensors(layers, &found, of, rows)?;
            file.write(|to| to.write_all(&bytes))?;
        }
    }
    let mut grid =
        Grid::new(&["layer", "inputs", "median norm", "neurons", "median mean", "never act"], &[1, 2, 3, 4, 5]);
    for (layer, found) in layers.iter().zip(&found) {
        let (norms, means) = (found.norms(), found.means());
        let silent = means.iter().filter(|mean| **mean == 0.0).count() as u64;
        let (inputs, neurons) = (count(norms.len() as u64), count(means.len() as u64));
        grid.row([layer.weight.clone(), inputs, median(norms), neurons, median(means), count(silent)]);
    }
    text::print(&format!("{grid}over {} vectors\n", count(opened.data.count())))?;
    Ok(ExitCode::SUCCESS)
}

fn median(mut values: Vec<f32>) -> String {
    values.sort_by(f32::total_cmp);
    magnitude(f64::from(values[values.len() / 2]))
}

/// A safetensors file with a vector for each layer, or so many rows of one.
fn tensors(layers: &[Layer], found: &[Activations], of: fn(&Activations) -> Vec<f32>, rows: usize) -> Result<Vec<u8>> {
    let mut vectors: HashMap<&str, Vec<f32>> = HashMap::new();
    for (layer, found) in layers.iter().zip(found) {
        let values = of(found);
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(anyhow!(
                "{}: number {at} is {}: the network overflows",
                text::printable(&layer.weight),
                values[at]
            ));
        }
        if vectors.insert(&layer.weight, values).is_some() {
            let name = text::printable(&layer.weight);
            return Err(anyhow!("{name} is the weight of two layers: it can have but one vector"));
        }
    }
    let views = vectors.iter().map(|(name, values)| {
        let bytes = bytemuck::cast_slice(values);
        let shape = if rows == 1 { vec![values.len()] } else { vec![rows, values.len() / rows] };
        TensorView::new(Dtype::F32, shape, bytes).map(|view| (*name, view))
    });
    serialize(views.collect::<Result<Vec<_>, _>>()?, None).context("cannot lay the vectors out")
}
