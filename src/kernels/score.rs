//! weights ─ score ─► keys. Twin: [`crate::reference::score`].

use super::{Kernels, MatrixView};
use crate::gpu::{Binding, KernelSpec};
use crate::{Error, Result};

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
    /// [`Error::View`] where the view is out of bounds or `keys` is shorter than 4 bytes per weight.
    pub fn score(&self, pass: &mut wgpu::ComputePass<'_>, view: &MatrixView<'_>, keys: &wgpu::Buffer) -> Result<()> {
        view.check()?;
        if keys.size() < 4 * view.weights() {
            let problem = format!("{} bytes for {} weights of 4 bytes each", keys.size(), view.weights());
            return Err(Error::View { what: "keys", problem });
        }
        let (kernel, uniform, workgroups) = self.streaming(SPEC, view);
        let bindings = [uniform.as_entire_buffer_binding(), view.binding(), keys.as_entire_buffer_binding()];
        kernel.dispatch(&self.device, pass, &bindings, workgroups);
        Ok(())
    }
}
