//! weights, bits ─ apply ─► weights with zeros. Twin: [`crate::reference::apply`].

use super::{Kernels, MatrixView, mask};
use crate::Result;
use crate::gpu::dispatch::share;
use crate::gpu::{Binding, KernelSpec};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "apply",
    source: include_str!("../../shaders/apply.wgsl"),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)],
};

impl Kernels {
    /// Records: +0.0 over every weight whose bit is 0, in place. Elements between the rows stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or the mask is too small for it.
    pub fn apply(&self, pass: &mut wgpu::ComputePass<'_>, view: &MatrixView<'_>, mask: &wgpu::Buffer) -> Result<()> {
        mask::check_outputs(view, mask, None)?;
        let variant = view.variant();
        let tuning = self.tuning;
        let flag = |f: bool| f64::from(u8::from(f));
        let whole = variant.aligned && !variant.tail;
        let constants = [
            ("SIZE", variant.size.into()),
            ("WHOLE", flag(whole)),
            ("FLAT", flag(variant.flat)),
            ("WORKGROUP", tuning.workgroup.into()),
        ];
        let kernel = self.kernel(SPEC, variant, &constants);
        let words = view.binding().size.map_or(0, |bytes| bytes.get() / 4) as u32;
        let items = if whole { view.groups() } else { words };
        let share = share(items, tuning.workgroup, tuning.workgroups);
        let uniform = self.uniform(&view.words(share.span));
        let bindings = [uniform.as_entire_buffer_binding(), mask.as_entire_buffer_binding(), view.binding()];
        kernel.dispatch(&self.device, pass, &bindings, share.workgroups);
        Ok(())
    }
}
