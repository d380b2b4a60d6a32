//! weights, bits ─ count, fill ─► sliced ELL; sliced ELL, x ─ ell ─► y. Twin: [`crate::reference::Packed`].

use super::packed::{self, PackedParts};
use super::{Epilogue, Kernels, MatrixView, Part};
use crate::gpu::{KernelSpec, Record};
use crate::{Format, Result};

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "ell count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/ell_pack.wgsl")),
    entry: "count",
    bindings: packed::COUNT,
};

const MEASURE: KernelSpec = KernelSpec { label: "ell measure", entry: "measure", bindings: packed::MEASURE, ..COUNT };

const FILL: KernelSpec = KernelSpec { label: "ell fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "ell",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/ell.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "ell of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/ell.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "ell unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/ell_find.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};

impl Kernels {
    /// Records: the head of a matrix in sliced ELL: 16 bytes before each slice, and in all; weights of each row. `index`
    /// has `slices + 1 + rows` words.
    pub(crate) fn ell_count(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        slice: u32,
        [mask, index]: [Part<'_>; 2],
    ) -> Result<()> {
        let slices = view.rows.div_ceil(slice);
        index.check("index", 4 * (u64::from(slices) + 1 + u64::from(view.rows)))?;
        let what = (view, Format::SlicedEll { slice });
        self.pack_by(to, COUNT, what, [mask, index], None, view.rows)?;
        self.pack_by(to, MEASURE, what, [mask, index], None, slices)?;
        self.scan(to, slices, index)
    }

    /// Records: the slots, behind [`Kernels::ell_count`] with the same arguments.
    pub(crate) fn ell_fill(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        slice: u32,
        [mask, index, data]: [Part<'_>; 3],
    ) -> Result<()> {
        let quads_per_step = 1 + view.dtype.size() as u64 / 2;
        let threads = (data.size / 16 / quads_per_step) as u32;
        self.pack_by(to, FILL, (view, Format::SlicedEll { slice }), [mask, index], Some(data), threads)
    }

    /// Records: `y = activation(W · x + bias)` for a matrix in sliced ELL and `columns` vectors, four at a time.
    pub(crate) fn ell(
        &self,
        to: &mut impl Record,
        (matrix, slice): (&PackedParts<'_>, u32),
        columns: u32,
        vectors: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) -> Result<()> {
        self.check_product(matrix, columns, vectors, epilogue)?;
        let threads = if self.tuning.simd { slice } else { self.tuning.lanes.next_multiple_of(slice) };
        let mut first = 0;
        while first < columns {
            let batch = if columns - first > 1 { 4 } else { 1 };
            let sizes = matrix.sizes(first, columns);
            let more = [("WORKGROUP", threads.into()), ("BATCH", batch.into())];
            let specs = [STORAGE, LENT];
            self.multiply(to, matrix, specs, (sizes, batch), vectors, epilogue, (sizes.units, &more));
            first += batch;
        }
        Ok(())
    }

    /// Records: the weights of a matrix in sliced ELL.
    pub(crate) fn ell_unpack(&self, to: &mut impl Record, matrix: &PackedParts<'_>, weights: Part<'_>) -> Result<()> {
        self.unpack_by(to, UNPACK, matrix, weights)
    }
}
