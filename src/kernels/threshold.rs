//! counts ─ threshold ─► cut. Twin: [`crate::reference::threshold`].

use super::bracket::{WINDOW_BYTES, WindowWords};
use super::histogram::{coarse, counts_bytes};
use super::view::Variant;
use super::{Kernels, Part};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::reference::{Cut, Quota, Window};
use crate::{Dtype, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "threshold",
    source: concat!(
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/cut.wgsl"),
        include_str!("../../shaders/threshold.wgsl")
    ),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (1, Binding::ReadWrite), (2, Binding::ReadWrite), (3, Binding::ReadWrite)],
};

/// The same for GPUs: see `shaders/threshold_near.wgsl`.
pub(super) const NEAR: KernelSpec = KernelSpec {
    label: "threshold near",
    source: concat!(
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/cut.wgsl"),
        include_str!("../../shaders/threshold.wgsl"),
        include_str!("../../shaders/threshold_near.wgsl")
    ),
    entry: "near",
    ..SPEC
};

const CLEAR: KernelSpec =
    KernelSpec { label: "threshold clear", entry: "clear", bindings: &[(2, Binding::ReadWrite)], ..NEAR };

/// Workgroups that clear.
const CLEARERS: u32 = 512;

/// Bins that it has stretches for.
const NEAR_BINS: u32 = 1 << 20;

/// Bytes of the buffer that holds a cut.
pub const CUT_BYTES: u64 = size_of::<CutWords>() as u64;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct QuotaWords {
    weights: u32,
    k: u32,
    spare0: u32,
    spare1: u32,
}
super::shared_layout!(QuotaWords, "Quota", [weights, k, spare0, spare1]);

/// A cut as shaders see it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct CutWords {
    pub key: u32,
    pub ties: u32,
    pub go: u32,
    pub zeros: u32,
    go_left: [u32; 2],
    ties_left: [u32; 2],
    weights_left: [u32; 2],
    guess: u32,
    pub pruned: u32,
}
super::shared_layout!(CutWords, "Cut", [key, ties, go, zeros, go_left, ties_left, weights_left, guess, pruned]);

impl CutWords {
    /// Ties in the chunks not yet masked, and how many of them still go.
    pub(crate) fn left(&self) -> (u64, u64) {
        let number = |[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32;
        (number(self.ties_left), number(self.go_left))
    }
}

/// The words of a cut that the host found, for a set of `weights` weights that are masked chunk by chunk.
pub(crate) fn cut_words(cut: Cut, weights: u64) -> CutWords {
    let pair = |n: u64| [n as u32, (n >> 32) as u32];
    let share = cut.go as f64 / cut.ties.max(1) as f64;
    let guess = share * weights as f64 / f64::from(crate::reference::TILE_WEIGHTS);
    CutWords {
        key: cut.key,
        ties: u32::try_from(cut.ties).unwrap_or(u32::MAX),
        go: u32::try_from(cut.go).unwrap_or(u32::MAX),
        zeros: u32::try_from(cut.zeros).unwrap_or(u32::MAX),
        go_left: pair(cut.go),
        ties_left: pair(cut.ties),
        weights_left: pair(weights),
        // A guess past the end of any chunk: `mask.wgsl` multiplies it by 64.
        guess: guess.min(f64::from(u32::MAX / 64)) as u32,
        pruned: 0,
    }
}

/// The words of a window, to be written into its buffer.
pub fn window_words(window: Window) -> [u32; 4] {
    bytemuck::cast(WindowWords { low: window.low, shift: window.shift, bins: window.bins, done: 0 })
}

/// Rounds of histogram and threshold after which the cut is known, whatever the weights, if the first window may have
/// missed it: that one, and as many as halve the remaining keys down to one, `capacity` at a time.
pub fn rounds(dtype: Dtype, capacity: u32) -> u32 {
    let key_bits = 8 * dtype.size() as u32 - 1;
    1 + key_bits.div_ceil(capacity.max(2).ilog2())
}

/// What a threshold is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdRule {
    /// Element type.
    pub dtype: Dtype,
    /// Weights of all views that were counted together, at most 2³² − 1.
    pub weights: u32,
    /// How many of them go.
    pub quota: Quota,
}

impl Kernels {
    /// Records: one step from `counts` to the cut. Writes `cut` ([`CUT_BYTES`]) and marks `window` done when it is
    /// found, else moves the window; clears the counts. Nothing happens once it is done: record it [`rounds`] times. A
    /// window that is done must be written anew before the next run; for [`Quota::UpTo`], one round does, the window is
    /// one bin of one key, and it stays as it is.
    ///
    /// # Errors
    /// [`crate::Error::View`] where a buffer is too small.
    pub fn threshold<'a>(
        &self,
        to: &mut impl Record,
        rule: ThresholdRule,
        window: impl Into<Part<'a>>,
        counts: impl Into<Part<'a>>,
        cut: impl Into<Part<'a>>,
    ) -> Result<()> {
        let quota = self.quota_words(rule.weights, rule.quota);
        let parts = [window.into(), counts.into(), cut.into()];
        self.threshold_by(to, rule.dtype, quota.as_entire_buffer_binding(), parts)
    }

    pub(super) fn quota_words(&self, weights: u32, quota: Quota) -> wgpu::Buffer {
        let k = match quota {
            Quota::Count(k) => u32::try_from(k).unwrap_or(weights).min(weights),
            Quota::UpTo(_) => u32::MAX,
        };
        self.uniform(&QuotaWords { weights, k, spare0: 0, spare1: 0 })
    }

    /// Records: the same with a quota that may lie in a buffer; `parts` are window, counts and cut.
    pub(super) fn threshold_by(
        &self,
        to: &mut impl Record,
        dtype: Dtype,
        quota: wgpu::BufferBinding<'_>,
        parts: [Part<'_>; 3],
    ) -> Result<()> {
        let [window, counts, cut] = parts;
        window.check("window", WINDOW_BYTES)?;
        counts.check("counts", counts_bytes(self.tuning.capacity))?;
        cut.check("cut", CUT_BYTES)?;
        let variant = Variant { size: dtype.size() as u32, ..Variant::NONE };
        let near = !self.tuning.simd && self.tuning.capacity <= NEAR_BINS;
        let mut constants = vec![
            ("THREADS", 256.0),
            ("CAPACITY", self.tuning.capacity.into()),
            ("LIMIT", f64::from(dtype.max_key()) + 1.0),
        ];
        if near {
            let words = counts_bytes(self.tuning.capacity) / 4;
            constants.extend([("COARSE", coarse(self.tuning).into()), ("WORDS", words as f64)]);
        }
        let kernel = self.kernel(if near { NEAR } else { SPEC }, variant, &constants);
        let [window, counts, cut] = parts.map(Part::binding);
        kernel.dispatch(&self.device, to, &[quota, window, counts.clone(), cut], 1);
        if near && coarse(self.tuning) > 0 {
            self.kernel(CLEAR, variant, &constants).dispatch(&self.device, to, &[counts], CLEARERS);
        }
        Ok(())
    }
}
