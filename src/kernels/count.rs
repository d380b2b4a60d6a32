//! weights, bits ─ count ─► how many are not zero, how many are kept. Twin: [`crate::reference::count`].

use super::view::Variant;
use super::{Kernels, MatrixView, NONZERO_BYTES, Part, mask};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

const SOURCE: &str = concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/count.wgsl"));

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "count",
    source: SOURCE,
    entry: "count",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::ReadWrite),
        (4, Binding::Read),
    ],
};

const DRAIN: KernelSpec = KernelSpec {
    label: "count drain",
    source: SOURCE,
    entry: "drain",
    bindings: &[(3, Binding::ReadWrite), (5, Binding::ReadWrite)],
};

impl Kernels {
    /// Records: the numbers of weights that are not ±0 and of bits that are set in the mask, into the two words of
    /// `sums`. `counters` ([`NONZERO_BYTES`]) are zero before and after.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or a buffer is too small for it.
    pub fn count<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        mask: impl Into<Part<'a>>,
        counters: impl Into<Part<'a>>,
        sums: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (mask, counters) = (mask.into(), counters.into());
        mask::check_outputs(view, mask, None)?;
        let (kernel, uniform, workgroups) = self.streaming(COUNT, view);
        let view_words = uniform.as_entire_buffer_binding();
        let none = self.uniform(&[0_u32; 4]);
        let bindings =
            [view_words, Self::quads(view.binding(), &none), view.binding(), counters.binding(), mask.binding()];
        counters.check("counters", NONZERO_BYTES)?;
        kernel.dispatch(&self.device, to, &bindings, workgroups);
        self.drain(to, counters, sums)
    }

    /// Records: sums 64 copies of two counters into the two words of `sums`, and clears them.
    ///
    /// # Errors
    /// [`crate::Error::View`] where a buffer is too small.
    pub fn drain<'a>(
        &self,
        to: &mut impl Record,
        counters: impl Into<Part<'a>>,
        sums: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (counters, sums) = (counters.into(), sums.into());
        counters.check("counters", NONZERO_BYTES)?;
        sums.check("sums", 8)?;
        let kernel = self.kernel(DRAIN, Variant::NONE, &[("SIZE", 4.0)]);
        kernel.dispatch(&self.device, to, &[counters.binding(), sums.binding()], 1);
        Ok(())
    }
}
