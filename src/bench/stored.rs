//! A matrix on the device in one of its forms, and its product.

use wgpu::util::DeviceExt;

use super::roofs::past_caches;
use crate::gpu::{Dispatch, Gpu};
use crate::kernels::{Epilogue, Kernels, MatrixView, Part};
use crate::reference::Matrix;
use crate::sparse::{Format, SparseMatrix};
use crate::{Dtype, Result, Shape};

/// Copies of a matrix at most; small ones stay in caches nevertheless.
const COPIES: u64 = 128;

/// As often as it takes to pass the caches.
pub enum Stored {
    Dense(Vec<wgpu::Buffer>),
    /// The same, multiplied with one vector after the other: of these two the faster is what others are compared with.
    ByVector(Vec<wgpu::Buffer>),
    Sparse(Vec<SparseMatrix>),
}

fn copies(gpu: &Gpu, bytes: u64) -> u64 {
    past_caches(gpu).div_ceil(bytes.max(1)).clamp(1, COPIES)
}

/// A buffer with these contents.
pub fn buffer(gpu: &Gpu, label: &'static str, contents: &[u8]) -> Result<wgpu::Buffer> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let label = Some(label);
    let made = || Ok(gpu.device().create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage }));
    gpu.watch("allocating buffers", made)
}

/// The copies of a dense matrix.
pub fn dense(gpu: &Gpu, matrix: Matrix<'_>) -> Result<Vec<wgpu::Buffer>> {
    let mut contents = matrix.bytes.to_vec();
    contents.resize(contents.len().next_multiple_of(16), 0);
    let mut buffers = vec![buffer(gpu, "bench weights", &contents)?];
    for _ in 1..copies(gpu, contents.len() as u64) {
        buffers.push(gpu.copy_of(&buffers[0])?);
    }
    Ok(buffers)
}

impl Stored {
    /// The copies of a sparse one, packed on the device from one of the dense ones, whose weights are those of `matrix`.
    pub fn sparse(
        gpu: &Gpu,
        kernels: &Kernels,
        dense: &wgpu::Buffer,
        matrix: Matrix<'_>,
        mask: &[u32],
        format: Format,
    ) -> Result<Self> {
        let Shape { rows, cols } = matrix.shape;
        let view = MatrixView::dense(dense, 0, matrix.dtype, rows as u32, cols as u32);
        let mask = buffer(gpu, "bench mask", bytemuck::cast_slice(mask))?;
        let mut matrices = vec![SparseMatrix::pack(gpu, kernels, &view, &mask, format)?];
        for _ in 1..copies(gpu, matrices[0].bytes()) {
            matrices.push(matrices[0].copy(gpu)?);
        }
        Ok(Stored::Sparse(matrices))
    }

    /// The dispatches of a product with `batch` vectors, on each copy of the matrix.
    pub fn record(
        &self,
        kernels: &Kernels,
        (shape, dtype): (Shape, Dtype),
        batch: u32,
        x: &wgpu::Buffer,
        y: &wgpu::Buffer,
    ) -> Result<Vec<Vec<Dispatch>>> {
        let plain = Epilogue::default;
        let view = |buffer| MatrixView::dense(buffer, 0, dtype, shape.rows as u32, shape.cols as u32);
        let mut copies = Vec::new();
        match self {
            Stored::Dense(buffers) => {
                for buffer in buffers {
                    let mut dispatches = Vec::new();
                    kernels.gemm(&mut dispatches, &view(buffer), batch, x, y, plain())?;
                    copies.push(dispatches);
                }
            }
            Stored::ByVector(buffers) => {
                let part = |buffer, vector: u32, length: u64| Part {
                    buffer,
                    offset: 4 * u64::from(vector) * length,
                    size: 4 * length,
                };
                for buffer in buffers {
                    let mut dispatches = Vec::new();
                    for vector in 0..batch {
                        let (x, y) = (part(x, vector, shape.cols), part(y, vector, shape.rows));
                        kernels.gemv(&mut dispatches, &view(buffer), x, y, plain())?;
                    }
                    copies.push(dispatches);
                }
            }
            Stored::Sparse(matrices) => {
                for matrix in matrices {
                    let mut dispatches = Vec::new();
                    matrix.matmul(kernels, &mut dispatches, batch, x, y, plain())?;
                    copies.push(dispatches);
                }
            }
        }
        Ok(copies)
    }

    /// Whether it is the matrix as it is.
    pub fn is_dense(&self) -> bool {
        !matches!(self, Stored::Sparse(_))
    }
}
