//! counts ─ scan ─► places. Twin: [`crate::reference::scan`].

use super::view::Variant;
use super::{Kernels, Part};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};
use crate::{Error, Result};

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
    /// [`Error::View`] where `counts` is shorter than `count + 1` words; on a software adapter also for more than 8 million counts.
    pub fn scan<'a>(&self, to: &mut impl Record, count: u32, counts: impl Into<Part<'a>>) -> Result<()> {
        let counts = counts.into();
        counts.check("counts", 4 * (u64::from(count) + 1))?;
        // Each thread goes along its stretch twice, and along the others' sums.
        let most = 256 * ((dispatch::MAX_TURNS - 256) / 2);
        if self.tuning.simd && count > most {
            let problem =
                format!("{count} counts, one for each row, slice or tile: the loops of a software adapter hold {most}");
            return Err(Error::View { what: "counts", problem });
        }
        let uniform = self.uniform(&ScanWords { count, spare0: 0, spare1: 0, spare2: 0 });
        let kernel = self.kernel(SPEC, Variant::NONE, &[]);
        kernel.dispatch(&self.device, to, &[uniform.as_entire_buffer_binding(), counts.binding()], 1);
        Ok(())
    }
}
