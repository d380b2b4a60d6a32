//! weights, scales of columns ─ scale ─► scores. Twin: [`crate::reference::scale`].

use super::{Kernels, MatrixView, Part};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};
use crate::{Error, Result};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/value.wgsl"),
    include_str!("../../shaders/product.wgsl"),
    include_str!("../../shaders/scale.wgsl")
);

pub(super) const WHOLE: KernelSpec = KernelSpec {
    label: "scale",
    source: SOURCE,
    entry: "whole",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::Read),
        (5, Binding::ReadWrite),
    ],
};

const RAGGED: KernelSpec = KernelSpec {
    label: "scale ragged",
    source: SOURCE,
    entry: "ragged",
    bindings: &[
        (0, Binding::Uniform),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::Read),
        (5, Binding::ReadWrite),
    ],
};

/// Where a view lies in its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleRule {
    /// The number of the view's first weight in the matrix, row by row.
    pub first: u64,
    /// Columns of the matrix; at least 1.
    pub period: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct ScaleWords {
    column: u32,
    period: u32,
    step: u32,
    parts: u32,
}
super::shared_layout!(ScaleWords, "Scale", [column, period, step, parts]);

impl Kernels {
    /// Records: the bits of each weight's magnitude times the scale of its column, an `f32`, into `scores`, one `u32`
    /// each, row by row without gaps. `scales` are an `f32` for each column of the matrix, finite and not negative.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, a buffer is too small, or the matrix has no columns.
    pub fn scale<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: ScaleRule,
        scales: impl Into<Part<'a>>,
        scores: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (scales, scores) = (scales.into(), scores.into());
        view.check()?;
        if rule.period == 0 {
            return Err(Error::View { what: "scale rule", problem: "a matrix of no columns".into() });
        }
        scales.check("scales", 4 * u64::from(rule.period))?;
        scores.check("scores", 4 * view.weights())?;
        let ScaleRule { first, period } = rule;
        let (column, size, workgroup) =
            ((first % u64::from(period)) as u32, view.dtype.size() as u32, self.tuning.workgroup.min(64));
        let mut variant = view.variant();
        let row_bytes = u64::from(view.cols) * u64::from(size);
        let fours = column.is_multiple_of(4) && period.is_multiple_of(4) && period >= 16;
        let whole = variant.aligned && row_bytes.is_multiple_of(16) && fours;
        // Rows that a thread takes, items in a row, and weights in an item.
        let same_columns = view.rows > 1 && view.cols.is_multiple_of(period);
        let (spec, rows, share, weights) = if whole {
            let rows = if same_columns { 4 } else { 1 };
            let each = self.tuning.workgroups.div_ceil(view.rows.div_ceil(rows));
            (WHOLE, rows, dispatch::share((row_bytes / 16) as u32, workgroup, each), 16 / size)
        } else {
            // Each of a group's weights, and perhaps once more.
            (RAGGED, 1, dispatch::share_within(view.groups(), workgroup, self.tuning.workgroups, 64), 1)
        };
        let workgroups = if whole { share.workgroups * view.rows.div_ceil(rows) } else { share.workgroups };
        let step = workgroup * weights % period;
        let words = self.uniform(&ScaleWords { column, period, step, parts: share.workgroups });
        let more = [("WORKGROUP", workgroup.into()), ("DTYPE", f64::from(view.dtype as u8)), ("ROWS", f64::from(rows))];
        let constants = variant.constants(more);
        variant.mode = u64::from(rows) << 8 | view.dtype as u64;
        let uniform = self.uniform(&view.words(share.span));
        let [scales, scores] = [scales, scores].map(Part::binding);
        let bindings =
            [uniform.as_entire_buffer_binding(), view.binding(), words.as_entire_buffer_binding(), scales, scores];
        self.kernel(spec, variant, &constants).dispatch(&self.device, to, &bindings, workgroups);
        Ok(())
    }
}
