//! weights, cut ─ mask ─► bits. Twin, together with settle: [`crate::reference::mask`].

use super::{CUT_BYTES, Kernels, MatrixView, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

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
        (3, Binding::ReadWrite),
        (4, Binding::ReadWrite),
        (5, Binding::ReadWrite),
    ],
};

/// The same for weights of 32 bits on GPUs: see `shaders/staged.wgsl`.
pub(super) const NEAR: KernelSpec = KernelSpec {
    label: "mask near",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/cut.wgsl"),
        include_str!("../../shaders/staged.wgsl"),
        include_str!("../../shaders/mask.wgsl"),
        include_str!("../../shaders/mask_near.wgsl")
    ),
    entry: "near",
    ..SPEC
};

/// Bytes of the mask of a view: one bit per weight, 1 = kept, lowest bit first, every row starting a new word.
pub fn mask_bytes(view: &MatrixView<'_>) -> u64 {
    4 * view.mask_words()
}

/// Bytes of the buffer that counts ties per tile of 64 mask words.
pub fn tiles_bytes(view: &MatrixView<'_>) -> u64 {
    4 * view.mask_words().div_ceil(64)
}

/// Checks a view, and the parts of buffers that take its mask and its tie counts.
pub(super) fn check_outputs(view: &MatrixView<'_>, mask: Part<'_>, tiles: Option<Part<'_>>) -> Result<()> {
    view.check()?;
    mask.check("mask", mask_bytes(view))?;
    tiles.map_or(Ok(()), |tiles| tiles.check("tiles", tiles_bytes(view)))
}

impl Kernels {
    /// Records: the mask of a view, with ties as guessed; [`Kernels::settle`] must follow. `cut` ([`CUT_BYTES`]) is what
    /// [`Kernels::threshold`] found. `tiles` ([`tiles_bytes`]) must be zero before.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or a buffer is too small for it.
    pub fn mask<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        cut: impl Into<Part<'a>>,
        mask: impl Into<Part<'a>>,
        tiles: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (cut, mask, tiles) = (cut.into(), mask.into(), tiles.into());
        check_outputs(view, mask, Some(tiles))?;
        cut.check("cut", CUT_BYTES)?;
        let (kernel, uniform, workgroups) =
            if self.stages(view) { self.staging(NEAR, view) } else { self.streaming(SPEC, view) };
        let [cut, mask, tiles] = [cut, mask, tiles].map(Part::binding);
        let view_words = uniform.as_entire_buffer_binding();
        let none = self.uniform(&[0_u32; 4]);
        kernel.dispatch(
            &self.device,
            to,
            &[view_words, Self::quads(view.binding(), &none), view.binding(), cut, mask, tiles],
            workgroups,
        );
        Ok(())
    }
}
