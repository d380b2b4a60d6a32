//! weights ─ row ─► bits, each row by itself. Twin: [`crate::reference::row`].

use super::{Kernels, MatrixView, mask};
use crate::gpu::{Binding, KernelSpec};
use crate::{Dtype, Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "row",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/row.wgsl")
    ),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::Read),
        (5, Binding::ReadWrite),
        (6, Binding::ReadWrite),
    ],
};

/// How many weights go in each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRule {
    /// At most the number of columns.
    pub k: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct RowsWords {
    k: u32,
    spread: u32,
    spare0: u32,
    spare1: u32,
}
super::shared_layout!(RowsWords, "Rows", [k, spread, spare0, spare1]);

/// Keys in one binade.
const fn binade(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 => 1 << 23,
        Dtype::F16 => 1 << 10,
        Dtype::BF16 => 1 << 7,
        Dtype::F8E4M3 => 1 << 3,
        Dtype::F8E5M2 => 1 << 2,
    }
}

impl Kernels {
    /// Records: the mask that prunes the `k` smallest of each row. `window` is where the search of each row begins: one
    /// about the k-th smallest of the matrix saves steps. Adds the numbers of non-zero weights before and after to
    /// `nonzero`: 64 copies of two words, to be summed.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, a buffer is too small for it, or `k` exceeds the columns.
    pub fn row(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        view: &MatrixView<'_>,
        rule: RowRule,
        window: &wgpu::Buffer,
        mask: &wgpu::Buffer,
        nonzero: &wgpu::Buffer,
    ) -> Result<()> {
        mask::check_outputs(view, mask, None)?;
        if rule.k > view.cols {
            let problem = format!("{} are to go of {} in each row", rule.k, view.cols);
            return Err(Error::View { what: "row rule", problem });
        }
        let constants = view.variant().constants([("WORKGROUP", self.tuning.row_workgroup.into())]);
        let kernel = self.kernel(SPEC, view.variant(), &constants);
        let rows = RowsWords { k: rule.k, spread: binade(view.dtype), spare0: 0, spare1: 0 };
        let (uniform, rows) = (self.uniform(&view.words(0)), self.uniform(&rows));
        let bindings = [
            uniform.as_entire_buffer_binding(),
            view.binding(),
            view.binding(),
            rows.as_entire_buffer_binding(),
            window.as_entire_buffer_binding(),
            mask.as_entire_buffer_binding(),
            nonzero.as_entire_buffer_binding(),
        ];
        kernel.dispatch(&self.device, pass, &bindings, view.rows);
        Ok(())
    }
}
