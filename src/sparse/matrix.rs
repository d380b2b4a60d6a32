//! [`SparseMatrix`]: its buffers, shape and type.

use wgpu::BufferUsages as Usage;
use wgpu::util::DeviceExt;

use crate::gpu::{Gpu, Record, watch};
use crate::kernels::{Epilogue, Kernels, PackedParts, Part};
use crate::reference::{Packed, check_format};
use crate::{Dtype, Error, Format, Result, Shape};

/// A sparse matrix in two buffers of a device: where its weights are, and the weights.
#[derive(Debug, Clone)]
pub struct SparseMatrix {
    pub(super) format: Format,
    pub(super) dtype: Dtype,
    pub(super) rows: u32,
    pub(super) cols: u32,
    pub(super) index: wgpu::Buffer,
    pub(super) values: wgpu::Buffer,
    /// Words of `values` that count; wgpu has no empty buffers.
    pub(super) value_words: u64,
}

impl SparseMatrix {
    /// Copies one from the host.
    ///
    /// # Errors
    /// [`Error::View`] where its words contradict each other, or it is larger than the device binds, with both numbers.
    pub fn upload(device: &wgpu::Device, packed: &Packed) -> Result<Self> {
        packed.rows()?;
        let Packed { format, dtype, shape, ref index, ref values } = *packed;
        fits(device, 4 * index.len().max(values.len()) as u64)?;
        let buffer = |label, words: &[u32]| {
            let contents = bytemuck::cast_slice(if words.is_empty() { &[0; 4] } else { words });
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage: USAGE })
        };
        watch(device, "uploading a sparse matrix", || {
            let (rows, cols) = (shape.rows as u32, shape.cols as u32);
            let (index, values) = (buffer("lopper index", index), buffer("lopper values", values));
            Ok(Self { format, dtype, rows, cols, index, values, value_words: packed.values.len() as u64 })
        })
    }

    /// Copies it to the host, and waits for that.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device fails.
    pub fn download(&self, gpu: &Gpu) -> Result<Packed> {
        let index = gpu.read_words(&self.index, self.index.size())?;
        let mut values = gpu.read_words(&self.values, self.values.size())?;
        values.truncate(self.value_words as usize);
        let Self { format, dtype, .. } = *self;
        Ok(Packed { format, dtype, shape: self.shape(), index, values })
    }

    /// The same once more, in buffers of its own.
    pub(crate) fn copy(&self, gpu: &Gpu) -> Result<Self> {
        let (index, values) = (gpu.copy_of(&self.index)?, gpu.copy_of(&self.values)?);
        Ok(Self { index, values, ..self.clone() })
    }

    /// How it is stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Rows and columns.
    pub fn shape(&self) -> Shape {
        Shape::new(self.rows.into(), self.cols.into())
    }

    /// Bytes of all that a product reads of it.
    pub fn bytes(&self) -> u64 {
        self.index.size() + 4 * self.value_words
    }

    fn parts(&self) -> PackedParts<'_> {
        let Self { format, dtype, rows, cols, ref index, ref values, .. } = *self;
        PackedParts { format, dtype, rows, cols, index: index.into(), values: values.into() }
    }

    /// Records: `y = activation(W · x + bias)` for `columns` vectors, one behind the other in `x` (an `f32` for each column of
    /// the matrix), and so the results in `y` (an `f32` for each row). Sums are `f32`.
    ///
    /// # Errors
    /// [`Error::View`] where there are no vectors, a buffer is too small, or `y` lies in a buffer that is read.
    pub fn matmul<'a>(
        &self,
        kernels: &Kernels,
        to: &mut impl Record,
        columns: u32,
        x: impl Into<Part<'a>>,
        y: impl Into<Part<'a>>,
        epilogue: Epilogue<'a>,
    ) -> Result<()> {
        let vectors = [x.into(), y.into()];
        kernels.multiply(to, &self.parts(), columns, vectors, &epilogue)
    }

    /// Records: the weights, rows without gaps, +0.0 where nothing is kept, into a buffer of as many bytes, rounded up to 4.
    ///
    /// # Errors
    /// [`Error::View`] where it is too small.
    pub fn unpack<'a>(&self, kernels: &Kernels, to: &mut impl Record, weights: impl Into<Part<'a>>) -> Result<()> {
        kernels.unpack(to, &self.parts(), weights.into())
    }
}

pub(super) const USAGE: Usage = Usage::STORAGE.union(Usage::COPY_SRC).union(Usage::COPY_DST);

/// Checks what a buffer of the matrix takes against what the device binds.
pub(super) fn fits(device: &wgpu::Device, bytes: u64) -> Result<()> {
    let limits = device.limits();
    let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min((1 << 31) - 1);
    if bytes > most {
        let problem = format!("it takes a buffer of {bytes} bytes, the device binds {most}: split it by rows");
        return Err(Error::View { what: "sparse matrix", problem });
    }
    Ok(())
}

/// Whether a view can be packed so.
pub(super) fn check(format: Format, dtype: Dtype, rows: u32, cols: u32) -> Result<()> {
    check_format(format, dtype, Shape::new(rows.into(), cols.into()))
}
