//! What `infer` and `activations` are both given: a network, and data to run it on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lopper::checkpoint::Checkpoint;
use lopper::infer::{Data, Runner};
use lopper::network::{Chain, Network, Storage};

use super::device;

#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// The network, a TOML file: its layers in order
    pub network: PathBuf,
    /// A safetensors file with vectors that it takes
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The tensor of the vectors, [vectors, numbers]; needed where several would do
    #[arg(long, value_name = "TENSOR")]
    pub inputs: Option<String>,
    /// The checkpoint with the network's tensors, if it is another than the network names
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// The adapter to use: a part of its name, or its number in `lopper devices`
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
}

/// All of it, opened and found to fit.
pub struct Opened {
    pub chain: Chain,
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
    pub runner: Runner,
    /// The network as it is, its weights dense.
    pub dense: Network,
    pub data: Data,
}

impl NetworkArgs {
    pub fn open(&self, labels: Option<&str>) -> Result<Opened> {
        let chain = Chain::read(&self.network)?;
        let path = self.checkpoint.clone().or_else(|| chain.checkpoint.clone()).with_context(|| {
            let name = self.network.display();
            format!(
                "{name} names no checkpoint: begin it with `checkpoint = \"model.safetensors\"`, or give --checkpoint"
            )
        })?;
        let checkpoint = Checkpoint::open(&path)?;
        let data = Checkpoint::open(&self.data)?;
        let runner = Runner::new(device::open(self.adapter.as_deref())?);
        let gpu = runner.gpu();
        let (dense, _) = Network::load(gpu.device(), gpu.tuning(), &chain, &checkpoint, Storage::Dense)?;
        let data = Data::load(&data, dense.inputs(), self.inputs.as_deref(), labels)?;
        Ok(Opened { chain, path, checkpoint, runner, dense, data })
    }
}
