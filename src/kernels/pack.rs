//! weights, bits ─ count, scan, fill ─► a sparse matrix, in all formats. Twin: [`crate::reference::Packed`].

use super::packed::of_format;
use super::{Kernels, MatrixView, Part, bitmask, block, csr, ell, macko, mask, nm};
use crate::gpu::{KernelSpec, Record};
use crate::{Format, Result};

/// What a matrix is packed from and into. All buffers but the mask are zero before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pack<'a> {
    pub format: Format,
    pub mask: Part<'a>,
    /// Of [`unit_count`] words and one more at least for counting, and what the format puts behind them for filling.
    pub index: Part<'a>,
    /// One bit for each block, every row of blocks starting a new word; of 4 bytes for other formats.
    pub flags: Part<'a>,
}

/// How many counts a format's index begins with: of tiles, slices, rows or rows of blocks.
pub(crate) fn unit_count(format: Format, view: &MatrixView<'_>) -> u32 {
    match format {
        Format::Bitmask => view.rows * view.cols.div_ceil(1024),
        Format::SlicedEll { slice } => view.rows.div_ceil(slice),
        Format::Csr | Format::Macko => view.rows,
        Format::Nm { .. } => 0,
        Format::Block { rows, .. } => view.rows.div_ceil(rows),
    }
}

fn blocks(view: &MatrixView<'_>, (rows, cols): (u32, u32)) -> u32 {
    view.rows.div_ceil(rows) * view.cols.div_ceil(cols)
}

impl Kernels {
    /// Records: the counts with which the index begins, summed: what lies before each unit, and in all.
    pub(crate) fn pack_count(&self, to: &mut impl Record, view: &MatrixView<'_>, pack: Pack<'_>) -> Result<()> {
        mask::check_outputs(view, pack.mask, None)?;
        let units = unit_count(pack.format, view);
        match pack.format {
            Format::Bitmask => self.pack_by(to, bitmask::COUNT, view, pack, None, units),
            Format::SlicedEll { .. } => {
                self.pack_by(to, ell::COUNT, view, pack, None, view.rows);
                self.pack_by(to, ell::MEASURE, view, pack, None, units);
            }
            Format::Csr => self.pack_by(to, csr::COUNT, view, pack, None, units),
            Format::Macko => self.pack_by(to, macko::COUNT, view, pack, None, units),
            Format::Nm { .. } => return Ok(()),
            Format::Block { rows, cols } => {
                self.pack_by(to, block::COUNT, view, pack, None, blocks(view, (rows, cols)));
            }
        }
        self.scan(to, units, pack.index)
    }

    /// Records: the weights, behind [`Kernels::pack_count`] of the same.
    pub(crate) fn pack_fill(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        pack: Pack<'_>,
        values: Part<'_>,
    ) -> Result<()> {
        mask::check_outputs(view, pack.mask, None)?;
        let parts = view.cols.div_ceil(32).div_ceil(self.part(pack.format, view));
        let (spec, threads) = match pack.format {
            Format::Bitmask => (bitmask::FILL, view.rows * parts),
            Format::SlicedEll { slice } => (ell::FILL, view.rows.div_ceil(slice) * slice * parts),
            Format::Csr => (csr::FILL, view.rows * parts),
            Format::Macko => (macko::FILL, view.rows * parts),
            Format::Nm { .. } => (nm::FILL, view.mask_words() as u32),
            Format::Block { rows, cols } => (
                block::FILL,
                view.rows.div_ceil(rows) * view.cols.div_ceil(cols).div_ceil(self.part(pack.format, view)),
            ),
        };
        self.pack_by(to, spec, view, pack, Some(values), threads);
        Ok(())
    }

    /// Words of a row's mask that one thread moves: a power of two, at most a tile of bitmask. Each thread counts what its row keeps
    /// before it, so rows have no more than a few dozen parts. Of blocks, how many.
    fn part(&self, format: Format, view: &MatrixView<'_>) -> u32 {
        let words = view.cols.div_ceil(32);
        match format {
            _ if self.tuning.simd => 32,
            Format::Block { .. } => 1,
            _ => words.div_ceil(32).next_power_of_two().clamp(4, 32),
        }
    }

    /// Records one of the kernels that pack, with as many threads as it has things to do.
    fn pack_by(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
        view: &MatrixView<'_>,
        pack: Pack<'_>,
        values: Option<Part<'_>>,
        threads: u32,
    ) {
        let workgroup = self.tuning.workgroup.min(64);
        let (of_format, mode) = of_format(pack.format);
        let mut variant = view.variant();
        let mut constants = variant.constants([("WORKGROUP", workgroup.into())]);
        constants.extend(of_format);
        variant.mode = mode.into();
        let kernel = self.kernel(spec, variant, &constants);
        let uniform = self.uniform(&view.words(self.part(pack.format, view)));
        let bindings: Vec<_> = spec
            .bindings
            .iter()
            .map(|(number, _)| match number {
                0 => uniform.as_entire_buffer_binding(),
                2 => view.binding(),
                3 => pack.mask.binding(),
                4 => pack.index.binding(),
                5 => values.expect("kernels that fill are given values").binding(),
                _ => pack.flags.binding(),
            })
            .collect();
        kernel.dispatch(&self.device, to, &bindings, threads.div_ceil(workgroup));
    }
}
