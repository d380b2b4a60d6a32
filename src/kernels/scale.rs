//! weights, scales of columns ─ scale ─► scores. Twin: [`crate::reference::scale`].

use super::{Kernels, MatrixView, Part};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::{Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "scale",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/value.wgsl"),
        include_str!("../../shaders/scale.wgsl")
    ),
    entry: "main",
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
    spare0: u32,
    spare1: u32,
}
super::shared_layout!(ScaleWords, "Scale", [column, period, spare0, spare1]);

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
        let column = (rule.first % u64::from(rule.period)) as u32;
        let words = self.uniform(&ScaleWords { column, period: rule.period, spare0: 0, spare1: 0 });
        let mut variant = view.variant();
        let more = [("WORKGROUP", self.tuning.workgroup.into()), ("DTYPE", f64::from(view.dtype as u8))];
        let constants = variant.constants(more);
        variant.mode = view.dtype as u64;
        let share = view.share(self.tuning);
        let uniform = self.uniform(&view.words(share.span));
        let [scales, scores] = [scales, scores].map(Part::binding);
        let bindings =
            [uniform.as_entire_buffer_binding(), view.binding(), words.as_entire_buffer_binding(), scales, scores];
        self.kernel(SPEC, variant, &constants).dispatch(&self.device, to, &bindings, share.workgroups);
        Ok(())
    }
}
