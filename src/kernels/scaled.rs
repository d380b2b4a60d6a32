//! weights, scales of columns ─ row ─► bits, each row by itself, by scores that are made where they are compared and never lie
//! in memory. Twin: [`crate::reference::row`] of the scores of [`crate::reference::scale`].

use super::bracket::SampleWords;
use super::row::{APART, LANES, RowRule, check_k};
use super::sizes::SizesWords;
use super::specs::source;
use super::view::Variant;
use super::{Kernels, MatrixView, Part, mask};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};
use crate::{Dtype, Result};

const STORAGE: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Uniform),
    (4, Binding::ReadWrite),
    (5, Binding::ReadWrite),
    (6, Binding::ReadWrite),
    (7, Binding::Read),
    (8, Binding::Read),
];

pub(super) const ROW: KernelSpec = KernelSpec {
    label: "row scaled",
    source: source!(
        "weights",
        "value",
        "product",
        "scales_storage",
        "scaled",
        "window",
        "cut",
        "row_rule",
        "row",
        "row_scaled"
    ),
    entry: "scaled_rows",
    bindings: STORAGE,
};

/// Of these, only the rows whose keys are in doubt.
const EXACT: KernelSpec = KernelSpec { label: "row scaled exactly", ..ROW };

pub(super) const ROW_APART: KernelSpec = KernelSpec {
    label: "row scaled apart",
    source: source!(
        "weights",
        "value",
        "product",
        "scales_storage",
        "scaled",
        "window",
        "row_rule",
        "row_apart",
        "row_apart_scaled"
    ),
    entry: APART.entry,
    bindings: STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "row scaled apart by lent scales",
    source: source!(
        "weights",
        "value",
        "product",
        "scales_lent",
        "scaled",
        "window",
        "row_rule",
        "row_apart",
        "row_apart_scaled"
    ),
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::ReadWrite),
        (5, Binding::ReadWrite),
        (6, Binding::ReadWrite),
        (7, Binding::Uniform),
    ],
    ..ROW_APART
};

pub(super) const SAMPLE: KernelSpec = KernelSpec {
    label: "bracket sample scaled",
    source: source!("weights", "value", "product", "scales_storage", "scaled", "window", "bracket"),
    entry: "sample",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::ReadWrite),
        (7, Binding::Read),
        (8, Binding::Read),
    ],
};

/// What a group takes where integers make all its products: times as many turns of loops as one whose keys are at hand.
const EXACT_TURNS: u32 = 9;

/// Weights that compete by their scores: magnitude times the scale of the column, as [`Kernels::scale`] makes them.
#[derive(Debug, Clone, Copy)]
pub struct Scaled<'a> {
    /// The weights.
    pub weights: MatrixView<'a>,
    /// An `f32` for each column, finite and not negative.
    pub scales: Part<'a>,
}

impl Scaled<'_> {
    fn check(&self) -> Result<()> {
        self.weights.check()?;
        self.scales.check("scales", 4 * u64::from(self.weights.cols))
    }
}

impl Kernels {
    /// Records: the mask that prunes of each row the `k` weights of the smallest scores, for which it takes no buffer.
    /// `window` is as for [`Kernels::row`], of scores: see [`Kernels::sample_scaled`]. `doubts` is scratch, a word for each
    /// row.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, a buffer is too small for it, `k` exceeds the columns, or there are
    /// more of them than a software adapter's loops hold ([`Kernels::takes_scaled`]).
    pub fn row_scaled<'a>(
        &self,
        to: &mut impl Record,
        scaled: &Scaled<'_>,
        rule: RowRule,
        window: impl Into<Part<'a>>,
        mask: impl Into<Part<'a>>,
        doubts: impl Into<Part<'a>>,
    ) -> Result<()> {
        scaled.check()?;
        let (Scaled { weights: view, scales }, window) = (scaled, window.into());
        let (mask, doubts) = (mask.into(), doubts.into());
        check_k("row rule", rule.k, view.cols.into())?;
        mask::check_outputs(view, mask, None)?;
        window.check("window", super::WINDOW_BYTES)?;
        doubts.check("doubts", 4 * u64::from(view.rows))?;
        let groups = view.cols.div_ceil(32);
        let threads = self.row_threads(groups)?;
        let exact_threads = self.row_threads(groups * EXACT_TURNS)?;
        let apart = self.tuning.row_workgroup <= LANES && view.rows > LANES && groups <= dispatch::MAX_ROW_GROUPS;

        let workgroups = if apart { view.rows.div_ceil(LANES) } else { view.rows };
        let sizes = SizesWords { cols: view.cols, columns: 1, ..Default::default() };
        let lent = if apart { self.lend(to, &sizes, *scales, 1) } else { None };
        let (spec, threads, scales_or_lent) = match (&lent, apart) {
            (Some(lent), _) => (LENT, LANES, lent.as_entire_buffer_binding()),
            (None, true) => (ROW_APART, LANES, scales.binding()),
            (None, false) => (ROW, threads, scales.binding()),
        };
        let words = self.row_words(Dtype::F32, rule.k);
        let found = [words.as_entire_buffer_binding(), window.binding(), mask.binding(), doubts.binding()];
        self.scaled(to, spec, view, (threads, false), (&found, scales_or_lent), workgroups);
        self.scaled(to, EXACT, view, (exact_threads, true), (&found, scales.binding()), view.rows);
        Ok(())
    }

    /// Whether [`Kernels::row_scaled`] takes rows of so many columns: software adapters end loops that are too long.
    pub fn takes_scaled(&self, cols: u32) -> bool {
        let groups = cols.div_ceil(32).saturating_mul(EXACT_TURNS);
        !self.tuning.simd || dispatch::row_threads(groups, self.tuning.row_workgroup).is_some()
    }

    /// Records: [`Kernels::sample`] of the scores that [`Kernels::row_scaled`] compares.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, or a buffer is too small.
    pub fn sample_scaled<'a>(
        &self,
        to: &mut impl Record,
        scaled: &Scaled<'_>,
        taken: u32,
        at: u32,
        samples: impl Into<Part<'a>>,
    ) -> Result<()> {
        scaled.check()?;
        let (Scaled { weights: view, scales }, samples) = (scaled, samples.into());
        samples.check("samples", 4 * (u64::from(at) + u64::from(taken)))?;
        let plan = self.uniform(&SampleWords::of(taken, at));
        let threads = self.tuning.workgroup;
        let found = [plan.as_entire_buffer_binding(), samples.binding()];
        self.scaled(to, SAMPLE, view, (threads, false), (&found, scales.binding()), taken.div_ceil(threads));
        Ok(())
    }

    /// Records a kernel on keys that are scores, between its view and its scales the bindings that are its own.
    fn scaled(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
        view: &MatrixView<'_>,
        (threads, exact): (u32, bool),
        (own, scales): (&[wgpu::BufferBinding<'_>], wgpu::BufferBinding<'_>),
        workgroups: u32,
    ) {
        let dtype = view.dtype as u8;
        let fours = view.cols.is_multiple_of(4);
        let mode = u64::from(threads) << 16 | u64::from(fours) << 8 | u64::from(dtype);
        let variant = Variant { size: 4, mode, ..view.variant() };
        let mut constants = variant.constants([
            ("STORED", view.dtype.size() as f64),
            ("DTYPE", dtype.into()),
            ("EXACT", f64::from(u8::from(exact))),
            ("WORKGROUP", threads.into()),
        ]);
        let is_lent = spec.label == LENT.label;
        if !is_lent {
            constants.push(("FOURS", f64::from(u8::from(fours))));
        }
        let (uniform, none) = (self.uniform(&view.words(0)), self.uniform(&[0_u32; 4]));
        let mut bindings = vec![uniform.as_entire_buffer_binding(), Self::quads(view.binding(), &none), view.binding()];
        bindings.extend_from_slice(own);
        if !is_lent {
            bindings.push(scales.clone());
        }
        bindings.push(Self::quads(scales, &none));
        self.kernel(spec, variant, &constants).dispatch(&self.device, to, &bindings, workgroups);
    }
}
