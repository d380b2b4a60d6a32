//! weights ─ score ─► keys. Twin: [`crate::reference::score`].

use super::{Kernels, MatrixView, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "score",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/score.wgsl")),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::ReadWrite)],
};

impl Kernels {
    /// Records: the key of every weight into `keys`, one `u32` each, row by row without gaps.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds or `keys` is shorter than 4 bytes per weight.
    pub fn score<'a>(&self, to: &mut impl Record, view: &MatrixView<'_>, keys: impl Into<Part<'a>>) -> Result<()> {
        let keys = keys.into();
        view.check()?;
        keys.check("keys", 4 * view.weights())?;
        let (kernel, uniform, workgroups) = self.streaming(SPEC, view);
        let bindings = [uniform.as_entire_buffer_binding(), view.binding(), keys.binding()];
        kernel.dispatch(&self.device, to, &bindings, workgroups);
        Ok(())
    }
}
