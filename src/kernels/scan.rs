//! counts ─ scan ─► places. Twin: [`crate::reference::scan`].

use super::view::Variant;
use super::{Kernels, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "scan",
    source: include_str!("../../shaders/scan.wgsl"),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (1, Binding::ReadWrite)],
};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct ScanWords {
    count: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
}
super::shared_layout!(ScanWords, "Scan", [count, spare0, spare1, spare2]);

impl Kernels {
    /// Records: turns the first `count` words into the sums of those before each, and puts the sum of all behind them.
    ///
    /// # Errors
    /// [`crate::Error::View`] where `counts` is shorter than `count + 1` words.
    pub fn scan<'a>(&self, to: &mut impl Record, count: u32, counts: impl Into<Part<'a>>) -> Result<()> {
        let counts = counts.into();
        counts.check("counts", 4 * (u64::from(count) + 1))?;
        let uniform = self.uniform(&ScanWords { count, spare0: 0, spare1: 0, spare2: 0 });
        let kernel = self.kernel(SPEC, Variant::NONE, &[]);
        kernel.dispatch(&self.device, to, &[uniform.as_entire_buffer_binding(), counts.binding()], 1);
        Ok(())
    }
}
