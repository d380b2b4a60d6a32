//! What the kernels of all sparse formats share.

use super::dense::check_vectors;
use super::epilogue::apart;
use super::sizes::SizesWords;
use super::view::Variant;
use super::{Epilogue, Kernels, MatrixView, Part, mask};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::reference::check_format;
use crate::{Dtype, Error, Format, Result, Shape};

/// Bindings of products that look for one number of x at a time; `.1` where it is lent.
pub(super) const STORAGE: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Read),
    (5, Binding::Read),
    (6, Binding::ReadWrite),
];
pub(super) const LENT: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Uniform),
    (5, Binding::Read),
    (6, Binding::ReadWrite),
];

/// Those of `count`, `fill` and `unpack`.
pub(super) const COUNT: &[(u32, Binding)] = &[(0, Binding::Uniform), (3, Binding::Read), (4, Binding::ReadWrite)];
pub(super) const MEASURE: &[(u32, Binding)] = &[(0, Binding::Uniform), (4, Binding::ReadWrite)];
pub(super) const FILL: &[(u32, Binding)] =
    &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::Read), (4, Binding::ReadWrite), (5, Binding::ReadWrite)];
pub(super) const UNPACK: &[(u32, Binding)] =
    &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::Read), (6, Binding::ReadWrite)];

/// A sparse matrix in two buffers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedParts<'a> {
    pub format: Format,
    pub dtype: Dtype,
    pub rows: u32,
    pub cols: u32,
    pub index: Part<'a>,
    pub values: Part<'a>,
}

impl PackedParts<'_> {
    pub(super) fn sizes(&self, first: u32, columns: u32) -> SizesWords {
        let tiles = self.cols.div_ceil(1024);
        let (stride, units) = match self.format {
            Format::Bitmask => (tiles, tiles * self.rows),
            Format::SlicedEll { slice } => (0, self.rows.div_ceil(slice)),
        };
        let (rows, cols) = (self.rows, self.cols);
        SizesWords { first, rows, cols, stride, above: 0, height: rows, columns, units }
    }

    pub(super) fn variant(&self, mode: u32) -> Variant {
        let brain = u32::from(self.dtype == Dtype::BF16);
        Variant { size: self.dtype.size() as u32, mode: mode * 2 + brain, ..Variant::NONE }
    }

    pub(super) fn constants(&self) -> Vec<(&'static str, f64)> {
        let mut all =
            vec![("SIZE", self.dtype.size() as f64), ("BRAIN", f64::from(u8::from(self.dtype == Dtype::BF16)))];
        if let Format::SlicedEll { slice } = self.format {
            all.push(("SLICE", slice.into()));
        }
        all
    }
}

impl Kernels {
    /// Checks a product of a sparse matrix.
    pub(super) fn check_product(
        &self,
        matrix: &PackedParts<'_>,
        columns: u32,
        [x, y]: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) -> Result<()> {
        check_vectors((matrix.rows, matrix.cols), columns, [x, y], epilogue)?;
        apart(y, &[("weights", matrix.index.buffer), ("weights", matrix.values.buffer)])
    }

    /// Records a dispatch that multiplies by one vector or four, lent or where they are.
    #[allow(clippy::too_many_arguments, reason = "each of them differs between formats")]
    pub(super) fn multiply(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        [storage, lent]: [KernelSpec; 2],
        (sizes, batch): (SizesWords, u32),
        [x, y]: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
        (workgroups, more): (u32, &[(&'static str, f64)]),
    ) {
        let lending = self.lend(to, &sizes, x, batch);
        let spec = if lending.is_some() { lent } else { storage };
        let slice = if let Format::SlicedEll { slice } = matrix.format { slice } else { 0 };
        let variant = matrix.variant((slice * 8 + batch) * 8 + epilogue.mode());
        let mut constants = matrix.constants();
        constants.extend(epilogue.constants());
        constants.extend(more);
        let kernel = self.kernel(spec, variant, &constants);
        let uniform = self.uniform(&sizes);
        let bindings = [
            uniform.as_entire_buffer_binding(),
            matrix.index.binding(),
            matrix.values.binding(),
            lending.as_ref().map_or(x.binding(), wgpu::Buffer::as_entire_buffer_binding),
            epilogue.binding(x),
            y.binding(),
        ];
        kernel.dispatch(&self.device, to, &bindings, workgroups);
    }

    /// Records one of the kernels that pack: `count` without values, `fill` with them; `items` are what each thread takes
    /// one of.
    pub(super) fn pack_by(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
        (view, format): (&MatrixView<'_>, Format),
        [mask, index]: [Part<'_>; 2],
        values: Option<Part<'_>>,
        items: u32,
    ) -> Result<()> {
        check_format(format, view.dtype, Shape::new(view.rows.into(), view.cols.into()))?;
        mask::check_outputs(view, mask, None)?;
        let threads = self.tuning.workgroup.min(64);
        let slice = if let Format::SlicedEll { slice } = format { slice } else { 0 };
        let mut variant = view.variant();
        let mut constants = variant.constants([("WORKGROUP", threads.into())]);
        if slice > 0 {
            constants.push(("SLICE", slice.into()));
        }
        variant.mode = slice;
        let kernel = self.kernel(spec, variant, &constants);
        let uniform = self.uniform(&view.words(0));
        let words = uniform.as_entire_buffer_binding();
        let workgroups = items.div_ceil(threads);
        match values {
            None if spec.bindings.len() == 2 => {
                kernel.dispatch(&self.device, to, &[words, index.binding()], workgroups)
            }
            None => kernel.dispatch(&self.device, to, &[words, mask.binding(), index.binding()], workgroups),
            Some(values) => {
                let bindings = [words, view.binding(), mask.binding(), index.binding(), values.binding()];
                kernel.dispatch(&self.device, to, &bindings, workgroups);
            }
        }
        Ok(())
    }

    /// Records: weights with +0.0 where nothing is kept, rows without gaps.
    pub(super) fn unpack_by(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
        matrix: &PackedParts<'_>,
        weights: Part<'_>,
    ) -> Result<()> {
        let bytes = u64::from(matrix.rows) * u64::from(matrix.cols) * matrix.dtype.size() as u64;
        weights.check("weights", bytes.next_multiple_of(4))?;
        for (name, part) in [("index", matrix.index), ("values", matrix.values)] {
            if part.buffer == weights.buffer {
                let problem = format!("they lie in the buffer of the matrix's {name}: take another");
                return Err(Error::View { what: "weights", problem });
            }
        }
        let threads = self.tuning.workgroup.min(64);
        let mut constants = matrix.constants();
        constants.retain(|constant| constant.0 != "BRAIN");
        constants.push(("WORKGROUP", threads.into()));
        let slice = if let Format::SlicedEll { slice } = matrix.format { slice } else { 0 };
        let kernel = self.kernel(spec, matrix.variant(slice), &constants);
        let uniform = self.uniform(&matrix.sizes(0, 1));
        let bindings =
            [uniform.as_entire_buffer_binding(), matrix.index.binding(), matrix.values.binding(), weights.binding()];
        kernel.dispatch(&self.device, to, &bindings, bytes.div_ceil(4 * u64::from(threads)) as u32);
        Ok(())
    }
}
