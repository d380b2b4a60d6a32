//! [`Runner`]: submits a network's passes, batch by batch, and waits for them.

use std::time::Instant;

use wgpu::BufferUsages as Usage;

use super::Activations;
use crate::gpu::{Gpu, PATIENCE};
use crate::kernels::Kernels;
use crate::network::{Forward, Network};
use crate::{Error, Result};

/// Bytes of the widest vectors of a batch together, at most.
const BATCH: u64 = 16 << 20;

/// Vectors of a batch at most.
const MOST: u64 = 4096;

/// Runs networks on one device. Waits for its own submissions.
#[derive(Debug)]
pub struct Runner {
    gpu: Gpu,
    kernels: Kernels,
}

/// A batch in buffers.
struct Batch {
    columns: u32,
    x: wgpu::Buffer,
    y: wgpu::Buffer,
}

impl Runner {
    /// On this device.
    pub fn new(gpu: Gpu) -> Self {
        let kernels = Kernels::new(gpu.device(), gpu.tuning());
        Self { gpu, kernels }
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What the network gives for each of these vectors, one behind the other.
    ///
    /// # Errors
    /// [`Error::View`] where there are no vectors, or their numbers are no multiple of its inputs; [`Error::Gpu`] where the
    /// device fails.
    pub fn run(&self, network: &Network, vectors: &[f32]) -> Result<Vec<f32>> {
        let mut given = Vec::new();
        for (part, columns) in self.batches(network, vectors)? {
            let batch = self.batch(network.inputs(), network.outputs(), columns)?;
            let forward = self.prepare(network, &batch)?;
            self.gpu.queue().write_buffer(&batch.x, 0, bytemuck::cast_slice(part));
            self.gpu.submit("lopper forward", |encoder| forward.record(encoder))?;
            given.extend(self.read(&batch.y, network.outputs() * u64::from(columns))?);
        }
        Ok(given)
    }

    /// How each layer's inputs and outputs act over these vectors.
    ///
    /// # Errors
    /// Those of [`Runner::run`].
    pub fn activations(&self, network: &Network, vectors: &[f32]) -> Result<Vec<Activations>> {
        let mut found: Vec<Activations> =
            network.layers().iter().map(|layer| Activations::new(layer.shape())).collect();
        for (part, columns) in self.batches(network, vectors)? {
            let mut x = part.to_vec();
            for (layer, found) in network.layers().iter().zip(&mut found) {
                let alone = Network::new(vec![layer.clone()])?;
                let batch = self.batch(alone.inputs(), alone.outputs(), columns)?;
                let forward = self.prepare(&alone, &batch)?;
                self.gpu.queue().write_buffer(&batch.x, 0, bytemuck::cast_slice(&x));
                self.gpu.submit("lopper layer", |encoder| forward.record(encoder))?;
                let y = self.read(&batch.y, alone.outputs() * u64::from(columns))?;
                found.add(&x, &y);
                x = y;
            }
        }
        Ok(found)
    }

    /// Seconds that a pass over these `columns` vectors takes, from submission until it is done: the median of `times`, or
    /// of as many as a second is enough for, after one that does not count. Vectors are on the device before, and results
    /// stay there.
    ///
    /// # Errors
    /// Those of [`Runner::run`].
    pub fn seconds(&self, network: &Network, vectors: &[f32], columns: u32, times: usize) -> Result<f64> {
        let numbers = network.inputs() * u64::from(columns);
        if columns == 0 || vectors.len() as u64 != numbers {
            let problem = format!("{} numbers, {columns} vectors have {numbers}", vectors.len());
            return Err(Error::View { what: "vectors", problem });
        }
        let batch = self.batch(network.inputs(), network.outputs(), columns)?;
        let forward = self.prepare(network, &batch)?;
        self.gpu.queue().write_buffer(&batch.x, 0, bytemuck::cast_slice(vectors));
        let once = || -> Result<f64> {
            let start = Instant::now();
            self.gpu.submit("lopper forward", |encoder| forward.record(encoder))?;
            self.gpu.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) })?;
            Ok(start.elapsed().as_secs_f64())
        };
        once()?;
        let begun = Instant::now();
        let mut seconds = vec![once()?];
        while seconds.len() < times && begun.elapsed().as_secs() < 1 {
            seconds.push(once()?);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }

    /// The vectors that one pass takes.
    pub fn columns_at_most(&self, network: &Network) -> u32 {
        let widest = network.layers().iter().map(|layer| layer.shape().rows.max(layer.shape().cols)).max();
        let most = self.gpu.max_binding().min(BATCH) / (4 * widest.unwrap_or(1));
        most.clamp(1, MOST) as u32
    }

    fn batches<'a>(&self, network: &Network, vectors: &'a [f32]) -> Result<impl Iterator<Item = (&'a [f32], u32)>> {
        let inputs = network.inputs() as usize;
        if vectors.is_empty() || !vectors.len().is_multiple_of(inputs) {
            let problem = format!("{} numbers, the network takes {inputs} for each vector", vectors.len());
            return Err(Error::View { what: "vectors", problem });
        }
        let columns = self.columns_at_most(network) as usize;
        Ok(vectors.chunks(columns * inputs).map(move |part| (part, (part.len() / inputs) as u32)))
    }

    fn batch(&self, inputs: u64, outputs: u64, columns: u32) -> Result<Batch> {
        let buffer = |label, numbers: u64, usage| {
            self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: (4 * numbers * u64::from(columns)).max(16),
                usage: Usage::STORAGE | usage,
                mapped_at_creation: false,
            })
        };
        self.gpu.watch("allocating vectors", || {
            let (x, y) = (buffer("lopper x", inputs, Usage::COPY_DST), buffer("lopper y", outputs, Usage::COPY_SRC));
            Ok(Batch { columns, x, y })
        })
    }

    fn prepare(&self, network: &Network, batch: &Batch) -> Result<Forward> {
        self.gpu.watch("preparing a pass", || {
            network.prepare(self.gpu.device(), &self.kernels, batch.columns, &batch.x, &batch.y)
        })
    }

    fn read(&self, y: &wgpu::Buffer, numbers: u64) -> Result<Vec<f32>> {
        Ok(self.gpu.read_words(y, 4 * numbers)?.into_iter().map(f32::from_bits).collect())
    }
}
