//! weights ─ histogram ─► counts. Twin: [`crate::reference::histogram`].

use super::{Kernels, MatrixView, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};
use crate::reference::{Counts, Window};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "histogram",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/histogram.wgsl")
    ),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::ReadWrite),
        (4, Binding::ReadWrite),
    ],
};

/// The same for GPUs: see `shaders/histogram_near.wgsl`.
pub(super) const NEAR: KernelSpec = KernelSpec {
    label: "histogram near",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/reach.wgsl"),
        include_str!("../../shaders/histogram_near.wgsl")
    ),
    entry: "near",
    ..SPEC
};

/// Copies of the counters; the heads (two words each) lie before the bins.
pub const COUNT_HEADS: u32 = 64;

/// Bins in all copies, where there are fewer than that.
const SPREAD: u32 = 8192;

/// Bytes of the buffer that a histogram counts into, for windows of up to `capacity` bins.
pub const fn counts_bytes(capacity: u32) -> u64 {
    4 * (all_bins(capacity) + if sums_stretches(capacity) { STRETCHES as u64 } else { 0 })
}

/// Words of heads and bins.
const fn all_bins(capacity: u32) -> u64 {
    2 * COUNT_HEADS as u64 + if capacity > SPREAD { capacity as u64 } else { SPREAD as u64 }
}

/// Stretches of 1,024 bins that GPUs sum beside the bins.
const STRETCHES: u32 = 1024;

/// Whether there may be so many bins that GPUs do, and not more than there are stretches for.
const fn sums_stretches(capacity: u32) -> bool {
    capacity > 1 << 16 && capacity <= 1024 * STRETCHES
}

/// The word of the counts where these sums start, on GPUs; 0: there are none.
pub(super) fn coarse(tuning: crate::gpu::Tuning) -> u32 {
    if tuning.simd || !sums_stretches(tuning.capacity) { 0 } else { all_bins(tuning.capacity) as u32 }
}

impl Kernels {
    /// Records: adds the keys of a view to `counts` ([`counts_bytes`]), as `window` ([`super::WINDOW_BYTES`]) says;
    /// nothing where the window says that the cut is known. The counts are zero at first; [`Kernels::threshold`] clears
    /// them. At most 2³² − 1 weights between two clears.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds.
    pub fn histogram<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        window: impl Into<Part<'a>>,
        counts: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (window, counts) = (window.into(), counts.into());
        view.check()?;
        window.check("window", super::WINDOW_BYTES)?;
        counts.check("counts", counts_bytes(self.tuning.capacity))?;
        let (kernel, uniform, workgroups) = if self.tuning.simd {
            self.streaming(SPEC, view)
        } else {
            let share = view.share(self.tuning);
            let constants = [("WORKGROUP", self.tuning.workgroup.into()), ("COARSE", coarse(self.tuning).into())];
            let kernel = self.kernel(NEAR, view.variant(), &view.variant().constants(constants));
            (kernel, self.uniform(&view.words(share.span)), share.workgroups)
        };
        let none = self.uniform(&[0_u32; 4]);
        let bindings = [
            uniform.as_entire_buffer_binding(),
            Self::quads(view.binding(), &none),
            view.binding(),
            window.binding(),
            counts.binding(),
        ];
        kernel.dispatch(&self.device, to, &bindings, workgroups);
        Ok(())
    }
}

/// Words of one copy of the bins, and how many copies there are. As in `window.wgsl`.
fn copies(bins: u32) -> (u32, u32) {
    let pitch = bins.next_multiple_of(4).max(4);
    (pitch, (SPREAD / pitch).clamp(1, COUNT_HEADS))
}

/// Bytes that a histogram of this window uses of its counts.
pub(crate) fn counted_bytes(window: Window) -> u64 {
    let (pitch, copies) = copies(window.bins);
    4 * (2 * u64::from(COUNT_HEADS) + u64::from(pitch) * u64::from(copies))
}

/// Sums the copies in a counts buffer that was read back; `weights` are those that were counted.
///
/// # Panics
/// If `words` are fewer than a histogram of this window uses; [`counts_bytes`] are always enough.
pub fn read_counts(words: &[u32], window: Window, weights: u64) -> Counts {
    let (heads, bins) = words.split_at(2 * COUNT_HEADS as usize);
    let sum = |at: usize| heads.iter().skip(at).step_by(2).map(|&n| u64::from(n)).sum();
    let (pitch, copies) = copies(window.bins);
    let mut counts = Counts { weights, nonzero: sum(1), reached: sum(0), bins: vec![0; window.bins as usize] };
    for copy in bins.chunks_exact(pitch as usize).take(copies as usize) {
        counts.bins.iter_mut().zip(copy).for_each(|(sum, &n)| *sum += u64::from(n));
    }
    counts
}
