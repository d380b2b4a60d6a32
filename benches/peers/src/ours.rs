//! lopper's products.

use std::rc::Rc;

use anyhow::Result;
use lopper::gpu::Gpu;
use lopper::kernels::{Epilogue, Kernels, MatrixView, Part};
use lopper::sparse::{Format, SparseMatrix};
use lopper::wgpu::{self, BufferUsages as Usage};

use crate::data::Data;
use crate::race::Product;

/// What all of lopper's products of a race share.
pub struct Ours {
    gpu: Gpu,
    kernels: Kernels,
    data: Rc<Data>,
    x: wgpu::Buffer,
    y: wgpu::Buffer,
}

enum Matrix {
    Dense(wgpu::Buffer),
    /// By rows, as many at a time as the device binds of the weights.
    Sparse(Vec<SparseMatrix>),
}

struct Contestant {
    ours: Rc<Ours>,
    copies: Vec<Matrix>,
}

impl Ours {
    pub fn new(gpu: &Gpu, kernels: &Kernels, data: &Rc<Data>) -> Rc<Self> {
        let x = buffer(gpu, bytemuck::cast_slice(&data.x));
        let y = buffer(gpu, &vec![0xff; 4 * data.y64.len()]);
        Rc::new(Self { gpu: gpu.clone(), kernels: kernels.clone(), data: data.clone(), x, y })
    }

    fn view<'a>(&self, weights: &'a wgpu::Buffer) -> MatrixView<'a> {
        let shape = self.data.shape;
        MatrixView::dense(weights, 0, shape.dtype, shape.rows as u32, shape.cols as u32)
    }

    /// The dense product, of all weights: a mask changes neither its work nor its time.
    pub fn dense(self: &Rc<Self>, copies: usize) -> Box<dyn Product> {
        let copies = (0..copies).map(|_| Matrix::Dense(buffer(&self.gpu, &self.data.bytes))).collect();
        Box::new(Contestant { ours: self.clone(), copies })
    }

    pub fn sparse(self: &Rc<Self>, format: Format, copies: usize) -> Result<Box<dyn Product>> {
        let weights = buffer(&self.gpu, &self.data.bytes);
        let mask = buffer(&self.gpu, bytemuck::cast_slice(&self.data.mask));
        let (rows, row) = (self.data.shape.rows, self.data.shape.cols * self.data.shape.dtype.size());
        // With room for indices, and starting on 256 bytes in weights, mask and results.
        let at_once = (self.gpu.max_binding() as usize / (2 * row)).min(rows).next_multiple_of(64);
        let pack = || {
            (0..rows).step_by(at_once).map(|first| {
                let offset = (first * row) as u64;
                let view = MatrixView { offset, rows: at_once.min(rows - first) as u32, ..self.view(&weights) };
                let part = Part {
                    buffer: &mask,
                    offset: (first * self.data.shape.cols / 8) as u64,
                    size: 4 * view.mask_words(),
                };
                SparseMatrix::pack(&self.gpu, &self.kernels, &view, part, format)
            })
        };
        let copies =
            (0..copies).map(|_| Ok(Matrix::Sparse(pack().collect::<lopper::Result<_>>()?))).collect::<Result<_>>()?;
        Ok(Box::new(Contestant { ours: self.clone(), copies }))
    }
}

impl Product for Contestant {
    fn run(&mut self, round: usize) -> Result<()> {
        let Ours { gpu, kernels, data, x, y } = &*self.ours;
        let columns = data.shape.columns as u32;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        {
            let pass = &mut encoder.begin_compute_pass(&Default::default());
            match &self.copies[round % self.copies.len()] {
                Matrix::Dense(weights) => {
                    kernels.gemm(pass, &self.ours.view(weights), columns, x, y, Epilogue::default())?;
                }
                Matrix::Sparse(parts) => {
                    let mut at = 0;
                    for part in parts {
                        let bytes = 4 * part.shape().rows;
                        part.matmul(
                            kernels,
                            pass,
                            columns,
                            x,
                            Part { buffer: y, offset: at, size: bytes },
                            Epilogue::default(),
                        )?;
                        at += bytes;
                    }
                }
            }
        }
        gpu.queue().submit([encoder.finish()]);
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        self.ours.gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        let Ours { gpu, y, .. } = &*self.ours;
        let size = y.size();
        let usage = Usage::MAP_READ | Usage::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let to = gpu.device().create_buffer(&descriptor);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(y, 0, &to, 0, size);
        gpu.queue().submit([encoder.finish()]);
        to.slice(..).map_async(wgpu::MapMode::Read, |_| {});
        gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
        let mapped = to.slice(..).get_mapped_range()?;
        Ok(mapped.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

fn buffer(gpu: &Gpu, contents: &[u8]) -> wgpu::Buffer {
    let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
    let (label, size) = (Some("peers"), contents.len() as u64);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
    gpu.queue().write_buffer(&buffer, 0, contents);
    gpu.queue().submit([]);
    buffer
}
