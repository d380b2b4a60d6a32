//! [`Network`] and [`Forward`]: a chain of layers, and a pass through it.

use super::Linear;
use crate::gpu::{Dispatch, watch};
use crate::kernels::{Kernels, Part};
use crate::{Error, Result};

/// Layers, each of which takes what the one before it gives.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Linear>,
}

/// A pass through a network, for certain buffers, ready to be recorded any number of times.
#[derive(Debug)]
pub struct Forward {
    dispatches: Vec<Dispatch>,
}

impl Network {
    /// A chain of layers.
    ///
    /// # Errors
    /// [`Error::View`] where there is none, or one takes another number of inputs than the one before it gives.
    pub fn new(layers: Vec<Linear>) -> Result<Self> {
        let bad = |problem| Err(Error::View { what: "network", problem });
        if layers.is_empty() {
            return bad("it has no layers".into());
        }
        for (i, two) in layers.windows(2).enumerate() {
            let (gives, takes) = (two[0].shape().rows, two[1].shape().cols);
            if gives != takes {
                return bad(format!("layer {} gives {gives} numbers, layer {} takes {takes}", i + 1, i + 2));
            }
        }
        Ok(Self { layers })
    }

    /// Its layers.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// Numbers that it takes for each vector.
    pub fn inputs(&self) -> u64 {
        self.layers[0].shape().cols
    }

    /// Numbers that it gives for each vector.
    pub fn outputs(&self) -> u64 {
        self.layers[self.layers.len() - 1].shape().rows
    }

    /// Prepares a pass for `columns` vectors, one behind the other in `x`, and so the results in `y`; with buffers of its
    /// own between the layers, two at most.
    ///
    /// # Errors
    /// [`Error::View`] where there are no vectors, a buffer is too small, or `y` lies in the buffer of `x`;
    /// [`Error::Gpu`] where memory runs out.
    pub fn prepare<'a>(
        &self,
        device: &wgpu::Device,
        kernels: &Kernels,
        columns: u32,
        x: impl Into<Part<'a>>,
        y: impl Into<Part<'a>>,
    ) -> Result<Forward> {
        let (x, y) = (x.into(), y.into());
        let between = &self.layers[..self.layers.len() - 1];
        let widest = between.iter().map(|layer| layer.shape().rows).max().unwrap_or(0);
        let size = 4 * widest * u64::from(columns);
        let most = device.limits().max_storage_buffer_binding_size;
        if size > most {
            let problem = format!("{columns} vectors take {size} bytes between layers, the device binds {most}");
            return Err(Error::View { what: "network", problem });
        }
        if x.buffer == y.buffer {
            return Err(Error::View { what: "y", problem: "it lies in the buffer of x: take another".into() });
        }
        let descriptor = wgpu::BufferDescriptor {
            label: Some("lopper between layers"),
            size: size.max(16),
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        };
        let count = between.len().min(2);
        let scratch: Vec<wgpu::Buffer> = watch(device, "allocating between layers", || {
            Ok((0..count).map(|_| device.create_buffer(&descriptor)).collect())
        })?;
        let mut dispatches = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let from = if i == 0 { x } else { (&scratch[(i - 1) % 2]).into() };
            let to = if i == between.len() { y } else { (&scratch[i % 2]).into() };
            layer.record(kernels, &mut dispatches, columns, from, to)?;
        }
        Ok(Forward { dispatches })
    }
}

impl Forward {
    /// Records it in a compute pass of its own.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("lopper forward"), timestamp_writes: None };
        self.record_in(&mut encoder.begin_compute_pass(&descriptor));
    }

    /// Records it in an open compute pass. Pipeline and bind group 0 are others afterwards.
    pub fn record_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            dispatch.replay(pass);
        }
    }
}
