//! bits with ties as guessed ─ settle ─► bits. Twin, together with mask: [`crate::reference::mask`].

use super::{CUT_BYTES, Kernels, MatrixView, Part, mask};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record, dispatch};

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

const SPLIT: KernelSpec = KernelSpec { label: "settle split", source: SOURCE, entry: "split", bindings: BINDINGS };

const PARTS_SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/cut.wgsl"),
    include_str!("../../shaders/settle.wgsl"),
    include_str!("../../shaders/settle_parts.wgsl")
);

/// The same for GPUs: see `shaders/settle_parts.wgsl`.
pub(super) const SUM_PARTS: KernelSpec = KernelSpec {
    label: "settle sum parts",
    source: PARTS_SOURCE,
    entry: "sum_parts",
    bindings: &[(0, Binding::Uniform), (5, Binding::ReadWrite), (6, Binding::ReadWrite)],
};

const FIND_PART: KernelSpec =
    KernelSpec { label: "settle find part", source: PARTS_SOURCE, entry: "find_part", ..FIND };

const SETTLE_ALL: KernelSpec = KernelSpec { label: "settle all", source: PARTS_SOURCE, entry: "settle_all", ..SETTLE };

/// Stretches of tiles whose ties are summed apart.
const PARTS: u32 = 256;

/// Bytes of the buffer that [`Kernels::settle`] takes for its own notes; its contents do not matter.
pub const BOUNDARY_BYTES: u64 = 16 + 4 * PARTS as u64;

/// Workgroups that share the tiles between guess and truth, usually few.
const SETTLERS: u32 = 64;

/// The same on GPUs, where they also leave all tiles zero.
const ALL_SETTLERS: u32 = 1024;

impl Kernels {
    /// Records, after [`Kernels::mask`] on the same view: puts the ties right, carries the rest of the quota over to the
    /// next view, in `cut`, and leaves `tiles` zero. `boundary` takes [`BOUNDARY_BYTES`].
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or a buffer is too small for it.
    pub fn settle<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        cut: impl Into<Part<'a>>,
        mask: impl Into<Part<'a>>,
        tiles: impl Into<Part<'a>>,
        boundary: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (cut, mask, tiles, boundary) = (cut.into(), mask.into(), tiles.into(), boundary.into());
        mask::check_outputs(view, mask, Some(tiles))?;
        cut.check("cut", CUT_BYTES)?;
        boundary.check("boundary", BOUNDARY_BYTES)?;
        let uniform = self.uniform(&view.words(0));
        let [cut, mask, tiles, boundary] = [cut, mask, tiles, boundary].map(Part::binding);
        let view_words = uniform.as_entire_buffer_binding();
        let variant = view.variant();
        let none = self.uniform(&[0_u32; 4]);
        if !self.tuning.simd {
            let [sum, find, settle] =
                [SUM_PARTS, FIND_PART, SETTLE_ALL].map(|spec| self.kernel(spec, variant, &variant.constants([])));
            sum.dispatch(&self.device, to, &[view_words.clone(), tiles.clone(), boundary.clone()], PARTS);
            let found = [view_words.clone(), cut.clone(), tiles.clone(), boundary.clone()];
            find.dispatch(&self.device, to, &found, 1);
            let bindings = [view_words, Self::quads(view.binding(), &none), view.binding(), cut, mask, tiles, boundary];
            settle.dispatch(&self.device, to, &bindings, ALL_SETTLERS);
            return Ok(());
        }
        // `find` reads no weights, but `settle.wgsl` shares the constants.
        let find = self.kernel(FIND, variant, &variant.constants([("THREADS", 256.0)]));
        find.dispatch(&self.device, to, &[view_words.clone(), cut.clone(), tiles.clone(), boundary.clone()], 1);

        let threads = self.tuning.workgroup.min(64);
        let settle = self.kernel(SETTLE, variant, &variant.constants([("WORKGROUP", threads.into())]));
        let bindings = [view_words, Self::quads(view.binding(), &none), view.binding(), cut, mask, tiles, boundary];
        // Each tile takes a turn, and its words. No thread may go around loops too often, however many tiles there are.
        let turns = view.mask_words().div_ceil(64) * (1 + 64_u64.div_ceil(threads.into()));
        let settlers = SETTLERS.max(turns.div_ceil(dispatch::MAX_TURNS.into()) as u32);
        settle.dispatch(&self.device, to, &bindings, settlers);
        let split = self.kernel(SPLIT, variant, &variant.constants([]));
        split.dispatch(&self.device, to, &bindings, 1);
        Ok(())
    }
}
