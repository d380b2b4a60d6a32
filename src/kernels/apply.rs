//! weights, bits ─ apply ─► weights with zeros. Twin: [`crate::reference::apply`].

use super::{Kernels, MatrixView, Part, mask};
use crate::Result;
use crate::gpu::dispatch::share;
use crate::gpu::{Binding, KernelSpec, Record};

const SOURCE: &str = include_str!("../../shaders/apply.wgsl");

pub(super) const WHOLE: KernelSpec = KernelSpec {
    label: "apply",
    source: SOURCE,
    entry: "whole",
    bindings: &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)],
};

const RAGGED: KernelSpec = KernelSpec {
    label: "apply ragged",
    source: SOURCE,
    entry: "ragged",
    bindings: &[(0, Binding::Uniform), (1, Binding::Read), (3, Binding::ReadWrite)],
};

impl Kernels {
    /// Records: +0.0 over every weight whose bit is 0, in place. Elements between the rows stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or the mask is too small for it.
    pub fn apply<'a>(&self, to: &mut impl Record, view: &MatrixView<'_>, mask: impl Into<Part<'a>>) -> Result<()> {
        let mask = mask.into();
        mask::check_outputs(view, mask, None)?;
        let variant = view.variant();
        let tuning = self.tuning;
        let whole = variant.aligned && !variant.tail;
        let constants = [
            ("SIZE", variant.size.into()),
            ("FLAT", f64::from(u8::from(variant.flat))),
            ("WORKGROUP", tuning.workgroup.into()),
        ];
        let kernel = self.kernel(if whole { WHOLE } else { RAGGED }, variant, &constants);
        let words = view.binding().size.map_or(0, |bytes| bytes.get() / 4) as u32;
        let items = if whole { view.groups() } else { words };
        let share = share(items, tuning.workgroup, tuning.workgroups);
        let uniform = self.uniform(&view.words(share.span));
        let bindings = [uniform.as_entire_buffer_binding(), mask.binding(), view.binding()];
        kernel.dispatch(&self.device, to, &bindings, share.workgroups);
        Ok(())
    }
}
