//! Weights and a mask become a sparse matrix.

use super::matrix::{SparseMatrix, USAGE, check, fits};
use crate::gpu::{Gpu, Record, watch};
use crate::kernels::{Kernels, MatrixView, Pack, Part, unit_count};
use crate::reference::too_many;
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
        binds(gpu.device(), view)?;
        let units = u64::from(unit_count(format, view));
        let mut total = 0;
        if units > 0 {
            // What lies behind the counts once packed: copied masks, lengths.
            let counts = buffer(gpu.device(), "lopper counts", units + 1 + behind(format, view, 0))?;
            let flags = flags(gpu.device(), format, view)?;
            let pack = Pack { format, mask, index: (&counts).into(), flags: (&flags).into() };
            let mut counted = Ok(());
            gpu.submit("counting", |encoder| {
                counted = kernels.pack_count(&mut encoder.begin_compute_pass(&Default::default()), view, pack);
            })?;
            counted?;
            total = gpu.read_words(&counts, 4 * (units + 1))?.pop().unwrap_or(0).into();
        }
        let mut packed = Err(Error::Cancelled);
        gpu.submit("packing", |encoder| {
            let pass = &mut encoder.begin_compute_pass(&Default::default());
            packed = Self::record(kernels, gpu.device(), pass, view, mask, (total, format));
        })?;
        let packed = packed?;
        if let Format::Nm { keep, of } = format {
            match gpu.read_words(&packed.index, 4)?[0] {
                0 => {}
                groups => return Err(too_many(groups, (keep, of))),
            }
        }
        Ok(packed)
    }

    /// Records the same into the caller's commands, reading nothing back: `kept` is how many weights the mask keeps, which
    /// a pruning knows beforehand; for blocks, how many of them; for N:M it does not matter. If that is not what it keeps, or
    /// a group keeps too many, the matrix is not to be used.
    ///
    /// # Errors
    /// As [`SparseMatrix::pack`]; and [`Error::View`] for sliced ELL and MACKO, whose sizes depend on where weights are kept.
    pub fn pack_counted<'a>(
        kernels: &Kernels,
        device: &wgpu::Device,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        mask: impl Into<Part<'a>>,
        (kept, format): (u64, Format),
    ) -> Result<Self> {
        view.check()?;
        check(format, view.dtype, view.rows, view.cols)?;
        binds(device, view)?;
        if kept > view.weights() {
            return Err(Error::View {
                what: "mask",
                problem: format!("it keeps {kept} of {} weights", view.weights()),
            });
        }
        if let Format::SlicedEll { .. } | Format::Macko = format {
            let problem =
                format!("{format}: its size depends on where weights are kept, and so is read back: use pack");
            return Err(Error::View { what: "sparse format", problem });
        }
        Self::record(kernels, device, to, view, mask.into(), (kept, format))
    }

    /// Records all of it; `total` is what the format counts: weights, blocks, 16 bytes of sliced ELL, or steps of MACKO.
    fn record(
        kernels: &Kernels,
        device: &wgpu::Device,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        mask: Part<'_>,
        (total, format): (u64, Format),
    ) -> Result<Self> {
        let (dtype, rows, cols) = (view.dtype, view.rows, view.cols);
        let value_words = value_words(format, view, total);
        let units = u64::from(unit_count(format, view));
        let index = buffer(device, "lopper index", units + 1 + behind(format, view, total))?;
        let values = buffer(device, "lopper values", value_words.max(4))?;
        let flags = flags(device, format, view)?;
        let pack = Pack { format, mask, index: (&index).into(), flags: (&flags).into() };
        kernels.pack_count(to, view, pack)?;
        kernels.pack_fill(to, view, pack, (&values).into())?;
        Ok(Self { format, dtype, rows, cols, index, values, value_words })
    }
}

/// Checks that the device binds all weights at once.
fn binds(device: &wgpu::Device, view: &MatrixView<'_>) -> Result<()> {
    let (bytes, most) = (view.binding_bytes(), device.limits().max_storage_buffer_binding_size);
    if bytes > most {
        let problem = format!("its weights take a binding of {bytes} bytes, the device binds {most}: split it by rows");
        return Err(Error::View { what: "matrix view", problem });
    }
    Ok(())
}

/// Words of the index behind the counts and their sum.
fn behind(format: Format, view: &MatrixView<'_>, total: u64) -> u64 {
    match format {
        Format::Bitmask | Format::Nm { .. } => view.mask_words(),
        Format::SlicedEll { .. } => view.rows.into(),
        Format::Macko => total,
        Format::Csr | Format::Block { .. } => total.div_ceil(2),
    }
}

fn value_words(format: Format, view: &MatrixView<'_>, total: u64) -> u64 {
    let weights = match format {
        Format::SlicedEll { .. } => return 4 * total,
        Format::Bitmask | Format::Csr => total,
        Format::Macko => 8 * total,
        Format::Nm { keep, of } => u64::from(view.rows) * u64::from(view.cols / of * keep + view.cols % of),
        Format::Block { rows, cols } => total * u64::from(rows * cols),
    };
    (weights * view.dtype.size() as u64).div_ceil(4)
}

/// One bit for each block.
fn flags(device: &wgpu::Device, format: Format, view: &MatrixView<'_>) -> Result<wgpu::Buffer> {
    let words = match format {
        Format::Block { rows, cols } => view.rows.div_ceil(rows) * view.cols.div_ceil(cols).div_ceil(32),
        _ => 1,
    };
    buffer(device, "lopper flags", words.into())
}

/// A buffer of zeros.
fn buffer(device: &wgpu::Device, label: &str, words: u64) -> Result<wgpu::Buffer> {
    let size = 4 * words;
    fits(device, size)?;
    let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage: USAGE, mapped_at_creation: false };
    watch(device, "allocating a sparse matrix", || Ok(device.create_buffer(&descriptor)))
}
