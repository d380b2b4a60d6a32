//! bits with ties as guessed ─ settle ─► bits. Twin, together with mask: [`crate::reference::mask`].

use super::{Kernels, MatrixView, mask};
use crate::Result;
use crate::gpu::{Binding, KernelSpec};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/cut.wgsl"),
    include_str!("../../shaders/settle.wgsl")
);

pub(super) const FIND: KernelSpec = KernelSpec {
    label: "settle find",
    source: SOURCE,
    entry: "find",
    bindings: &[(0, Binding::Uniform), (3, Binding::ReadWrite), (5, Binding::ReadWrite), (6, Binding::ReadWrite)],
};

const BINDINGS: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::ReadWrite),
    (4, Binding::ReadWrite),
    (5, Binding::ReadWrite),
    (6, Binding::ReadWrite),
];

const SETTLE: KernelSpec = KernelSpec { label: "settle", source: SOURCE, entry: "settle", bindings: BINDINGS };

const SPLIT_BINDINGS: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::ReadWrite),
    (4, Binding::ReadWrite),
    (6, Binding::ReadWrite),
];

const SPLIT: KernelSpec =
    KernelSpec { label: "settle split", source: SOURCE, entry: "split", bindings: SPLIT_BINDINGS };

/// Bytes of the buffer in which `find` leaves the boundary for `settle`.
pub const BOUNDARY_BYTES: u64 = 16;

/// Workgroups that share the tiles between guess and truth, usually few.
const SETTLERS: u32 = 64;

impl Kernels {
    /// Records, after [`Kernels::mask`] on the same view: puts the ties right, and carries the rest of the quota over
    /// to the next chunk, in `cut`.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or a buffer is too small for it.
    pub fn settle(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        view: &MatrixView<'_>,
        cut: &wgpu::Buffer,
        mask: &wgpu::Buffer,
        tiles: &wgpu::Buffer,
        boundary: &wgpu::Buffer,
    ) -> Result<()> {
        mask::check_outputs(view, mask, Some(tiles))?;
        let uniform = self.uniform(&view.words(0));
        let [cut, mask, tiles, boundary] = [cut, mask, tiles, boundary].map(wgpu::Buffer::as_entire_buffer_binding);
        let view_words = uniform.as_entire_buffer_binding();
        let variant = view.variant();
        // `find` reads no weights, but `settle.wgsl` shares the constants.
        let find = self.kernel(FIND, variant, &variant.constants([("THREADS", 256.0)]));
        find.dispatch(&self.device, pass, &[view_words.clone(), cut.clone(), tiles.clone(), boundary.clone()], 1);

        let threads = self.tuning.workgroup.min(64);
        let settle = self.kernel(SETTLE, variant, &variant.constants([("WORKGROUP", threads.into())]));
        let (quads, words) = (view.binding(), view.binding());
        let bindings =
            [view_words.clone(), quads.clone(), words.clone(), cut.clone(), mask.clone(), tiles, boundary.clone()];
        settle.dispatch(&self.device, pass, &bindings, SETTLERS);

        let split = self.kernel(SPLIT, variant, &variant.constants([]));
        split.dispatch(&self.device, pass, &[view_words, quads, words, cut, mask, boundary], 1);
        Ok(())
    }
}
