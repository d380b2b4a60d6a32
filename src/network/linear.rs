//! [`Linear`]: one layer.

use wgpu::BufferUsages as Usage;
use wgpu::util::DeviceExt;

use crate::gpu::{Record, watch};
use crate::kernels::{Epilogue, Kernels, MatrixView, Part};
use crate::reference::Matrix;
use crate::sparse::SparseMatrix;
use crate::{Activation, Dtype, Error, Result, Shape};

/// A layer `activation(W · x + bias)` with its weights, dense or sparse, in buffers of its own.
#[derive(Debug, Clone)]
pub struct Linear {
    weights: Weights,
    bias: Option<wgpu::Buffer>,
    activation: Activation,
}

#[derive(Debug, Clone)]
enum Weights {
    Dense { buffer: wgpu::Buffer, dtype: Dtype, rows: u32, cols: u32 },
    Sparse(SparseMatrix),
}

impl Linear {
    /// With dense weights, copied from the host, rows without gaps.
    ///
    /// # Errors
    /// [`Error::View`] where there are no weights, more than a view holds, another number of bytes than the shape asks for,
    /// or a bias for another number of rows.
    pub fn dense(
        device: &wgpu::Device,
        matrix: Matrix<'_>,
        bias: Option<&[f32]>,
        activation: Activation,
    ) -> Result<Self> {
        let Matrix { dtype, shape, stride, bytes } = matrix;
        let bad = |problem| Err(Error::View { what: "linear layer", problem });
        let need = u128::from(shape.rows) * u128::from(shape.cols) * dtype.size() as u128;
        if stride as u64 != shape.cols || need != bytes.len() as u128 || need == 0 {
            return bad(format!("{} bytes in rows of {stride} for {shape} weights of {dtype}: {need}", bytes.len()));
        }
        let (Ok(rows), Ok(cols)) = (u32::try_from(shape.rows), u32::try_from(shape.cols)) else {
            return bad(format!("{shape}: fewer than 2^32 rows and columns fit"));
        };
        let mut contents = bytes.to_vec();
        contents.resize(contents.len().next_multiple_of(16), 0);
        let buffer = upload(device, "lopper weights", &contents)?;
        MatrixView::dense(&buffer, 0, dtype, rows, cols).check()?;
        Self::new(device, Weights::Dense { buffer, dtype, rows, cols }, bias, activation)
    }

    /// With sparse weights.
    ///
    /// # Errors
    /// [`Error::View`] where the bias is for another number of rows.
    pub fn sparse(
        device: &wgpu::Device,
        matrix: SparseMatrix,
        bias: Option<&[f32]>,
        activation: Activation,
    ) -> Result<Self> {
        Self::new(device, Weights::Sparse(matrix), bias, activation)
    }

    fn new(device: &wgpu::Device, weights: Weights, bias: Option<&[f32]>, activation: Activation) -> Result<Self> {
        let mut linear = Self { weights, bias: None, activation };
        if let Some(bias) = bias {
            if bias.len() as u64 != linear.shape().rows {
                let problem = format!("{} numbers for {} rows", bias.len(), linear.shape().rows);
                return Err(Error::View { what: "bias", problem });
            }
            linear.bias = Some(upload(device, "lopper bias", bytemuck::cast_slice(bias))?);
        }
        Ok(linear)
    }

    /// Outputs and inputs.
    pub fn shape(&self) -> Shape {
        match &self.weights {
            Weights::Dense { rows, cols, .. } => Shape::new(u64::from(*rows), u64::from(*cols)),
            Weights::Sparse(matrix) => matrix.shape(),
        }
    }

    /// Its weights, if they are sparse.
    pub fn sparse_matrix(&self) -> Option<&SparseMatrix> {
        if let Weights::Sparse(matrix) = &self.weights { Some(matrix) } else { None }
    }

    /// Bytes that a product reads of weights and bias.
    pub fn bytes(&self) -> u64 {
        let bias = self.bias.as_ref().map_or(0, wgpu::Buffer::size);
        bias + match &self.weights {
            Weights::Dense { dtype, .. } => self.shape().weights() * dtype.size() as u64,
            Weights::Sparse(matrix) => matrix.bytes(),
        }
    }

    /// Records the layer for `columns` vectors, one behind the other in `x`, and so the results in `y`.
    ///
    /// # Errors
    /// [`Error::View`] as [`Kernels::gemm`] and [`SparseMatrix::matmul`].
    pub fn record<'a>(
        &'a self,
        kernels: &Kernels,
        to: &mut impl Record,
        columns: u32,
        x: impl Into<Part<'a>>,
        y: impl Into<Part<'a>>,
    ) -> Result<()> {
        let epilogue = Epilogue { bias: self.bias.as_ref().map(Part::from), activation: self.activation };
        match &self.weights {
            Weights::Dense { buffer, dtype, rows, cols } => {
                let view = MatrixView::dense(buffer, 0, *dtype, *rows, *cols);
                kernels.gemm(to, &view, columns, x, y, epilogue)
            }
            Weights::Sparse(matrix) => matrix.matmul(kernels, to, columns, x, y, epilogue),
        }
    }
}

fn upload(device: &wgpu::Device, label: &str, contents: &[u8]) -> Result<wgpu::Buffer> {
    let most = device.limits().max_buffer_size;
    if contents.len() as u64 > most {
        let problem = format!("{} bytes, the device holds buffers of {most}", contents.len());
        return Err(Error::View { what: "linear layer", problem });
    }
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    watch(device, "uploading a layer", || {
        Ok(device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage }))
    })
}
