//! weights, cut ─ mask ─► bits. Twin, together with settle: [`crate::reference::mask`].

use super::{Kernels, MatrixView};
use crate::gpu::{Binding, KernelSpec};
use crate::{Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "mask",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/cut.wgsl"),
        include_str!("../../shaders/mask.wgsl")
    ),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Read),
        (4, Binding::ReadWrite),
        (5, Binding::ReadWrite),
    ],
};

/// Bytes of the mask of a view.
pub fn mask_bytes(view: &MatrixView<'_>) -> u64 {
    4 * view.mask_words()
}

/// Bytes of the buffer that counts ties per tile of 64 mask words.
pub fn tiles_bytes(view: &MatrixView<'_>) -> u64 {
    4 * view.mask_words().div_ceil(64)
}

/// Checks that a mask's and a tile buffer's sizes are enough for a view.
pub(super) fn check_outputs(view: &MatrixView<'_>, mask: &wgpu::Buffer, tiles: Option<&wgpu::Buffer>) -> Result<()> {
    view.check()?;
    let enough = |what, buffer: &wgpu::Buffer, need: u64| match buffer.size() {
        have if have < need => Err(Error::View { what, problem: format!("{have} bytes, {need} are needed") }),
        _ => Ok(()),
    };
    enough("mask", mask, mask_bytes(view))?;
    tiles.map_or(Ok(()), |tiles| enough("tiles", tiles, tiles_bytes(view)))
}

impl Kernels {
    /// Records: the mask of a view, with ties as guessed; [`Kernels::settle`] must follow. `tiles` must be zero before.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, or a buffer is too small for it.
    pub fn mask(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        view: &MatrixView<'_>,
        cut: &wgpu::Buffer,
        mask: &wgpu::Buffer,
        tiles: &wgpu::Buffer,
    ) -> Result<()> {
        check_outputs(view, mask, Some(tiles))?;
        let (kernel, uniform, workgroups) = self.streaming(SPEC, view);
        let bindings = [
            uniform.as_entire_buffer_binding(),
            view.binding(),
            view.binding(),
            cut.as_entire_buffer_binding(),
            mask.as_entire_buffer_binding(),
            tiles.as_entire_buffer_binding(),
        ];
        kernel.dispatch(&self.device, pass, &bindings, workgroups);
        Ok(())
    }
}
