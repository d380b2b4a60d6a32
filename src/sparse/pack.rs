//! Weights and a mask become a sparse matrix.

use super::matrix::{SparseMatrix, USAGE, check, fits};
use crate::gpu::{Gpu, Record, watch};
use crate::kernels::{Kernels, MatrixView, Part};
use crate::{Error, Format, Result};

impl SparseMatrix {
    /// Packs the weights that a mask keeps ([`crate::kernels::mask_bytes`]), and waits for it: how large the matrix will be
    /// is read back first.
    ///
    /// # Errors
    /// [`Error::View`] where the view or the mask is out of bounds, the format cannot hold such a matrix, or it is larger
    /// than the device binds; [`Error::Gpu`] where the device fails.
    pub fn pack<'a>(
        gpu: &Gpu,
        kernels: &Kernels,
        view: &MatrixView<'_>,
        mask: impl Into<Part<'a>>,
        format: Format,
    ) -> Result<Self> {
        let mask = mask.into();
        view.check()?;
        check(format, view.dtype, view.rows, view.cols)?;
        let units = units(format, view);
        let index = index(gpu.device(), format, view)?;
        let mut counted = Ok(());
        gpu.submit("counting", |encoder| {
            let pass = &mut encoder.begin_compute_pass(&Default::default());
            counted = match format {
                Format::Bitmask => kernels.bitmask_pack(pass, view, [mask, (&index).into()], None),
                Format::SlicedEll { slice } => kernels.ell_count(pass, view, slice, [mask, (&index).into()]),
            };
        })?;
        counted?;
        let all = gpu.read_words(&index, 4 * (u64::from(units) + 1))?.pop().unwrap_or(0);
        let value_words = match format {
            Format::Bitmask => words(all.into(), view),
            Format::SlicedEll { .. } => 4 * u64::from(all),
        };
        let packed = Self::empty(gpu.device(), format, view, index, value_words)?;
        let mut filled = Ok(());
        gpu.submit("packing", |encoder| {
            filled = packed.fill(kernels, &mut encoder.begin_compute_pass(&Default::default()), view, mask);
        })?;
        filled.map(|()| packed)
    }

    /// Records the same into the caller's commands, reading nothing back: `kept` is how many weights the mask keeps, which
    /// a pruning knows beforehand. If that is not what it keeps, the matrix is not to be used.
    ///
    /// # Errors
    /// As [`SparseMatrix::pack`]; and [`Error::View`] for sliced ELL, whose size depends on each slice's longest row.
    pub fn pack_counted<'a>(
        kernels: &Kernels,
        device: &wgpu::Device,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        mask: impl Into<Part<'a>>,
        (kept, format): (u64, Format),
    ) -> Result<Self> {
        let mask = mask.into();
        view.check()?;
        check(format, view.dtype, view.rows, view.cols)?;
        if kept > view.weights() {
            return Err(Error::View {
                what: "mask",
                problem: format!("it keeps {kept} of {} weights", view.weights()),
            });
        }
        if let Format::SlicedEll { .. } = format {
            let problem =
                format!("{format}: its size depends on where weights are kept, and so is read back: use pack");
            return Err(Error::View { what: "sparse format", problem });
        }
        let index = index(device, format, view)?;
        let packed = Self::empty(device, format, view, index, words(kept, view))?;
        kernels.bitmask_pack(to, view, [mask, (&packed.index).into()], None)?;
        packed.fill(kernels, to, view, mask)?;
        Ok(packed)
    }

    fn empty(
        device: &wgpu::Device,
        format: Format,
        view: &MatrixView<'_>,
        index: wgpu::Buffer,
        value_words: u64,
    ) -> Result<Self> {
        let values = buffer(device, "lopper values", value_words.max(4))?;
        let (dtype, rows, cols) = (view.dtype, view.rows, view.cols);
        Ok(Self { format, dtype, rows, cols, index, values, value_words })
    }

    fn fill(&self, kernels: &Kernels, to: &mut impl Record, view: &MatrixView<'_>, mask: Part<'_>) -> Result<()> {
        let (index, values) = ((&self.index).into(), (&self.values).into());
        match self.format {
            Format::Bitmask => kernels.bitmask_pack(to, view, [mask, index], Some(values)),
            Format::SlicedEll { slice } => kernels.ell_fill(to, view, slice, [mask, index, values]),
        }
    }
}

/// Tiles or slices.
fn units(format: Format, view: &MatrixView<'_>) -> u32 {
    match format {
        Format::Bitmask => view.rows * view.cols.div_ceil(1024),
        Format::SlicedEll { slice } => view.rows.div_ceil(slice),
    }
}

/// Words of so many weights.
fn words(weights: u64, view: &MatrixView<'_>) -> u64 {
    (weights * view.dtype.size() as u64).div_ceil(4)
}

fn index(device: &wgpu::Device, format: Format, view: &MatrixView<'_>) -> Result<wgpu::Buffer> {
    let behind = match format {
        Format::Bitmask => view.mask_words(),
        Format::SlicedEll { .. } => view.rows.into(),
    };
    buffer(device, "lopper index", u64::from(units(format, view)) + 1 + behind)
}

/// A buffer of zeros.
fn buffer(device: &wgpu::Device, label: &str, words: u64) -> Result<wgpu::Buffer> {
    let size = 4 * words;
    fits(device, size)?;
    let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage: USAGE, mapped_at_creation: false };
    watch(device, "allocating a sparse matrix", || Ok(device.create_buffer(&descriptor)))
}
