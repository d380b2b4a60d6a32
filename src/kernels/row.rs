//! weights ─ row ─► bits, each row by itself. Twin: [`crate::reference::row`].

use super::specs::source;
use super::view::Variant;
use super::{Kernels, MatrixView, Part, mask};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};
use crate::{Dtype, Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "row",
    source: source!("weights", "keys", "window", "cut", "row_rule", "row"),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::ReadWrite),
        (5, Binding::ReadWrite),
        (6, Binding::ReadWrite),
    ],
};

const WHOLE: KernelSpec = KernelSpec { label: "whole", entry: "whole", ..SPEC };

/// A thread for a row: see `shaders/row_apart.wgsl`.
pub(super) const APART: KernelSpec = KernelSpec {
    label: "row apart",
    source: source!("weights", "keys", "window", "row_rule", "row_apart", "row_apart_own"),
    entry: "apart",
    ..SPEC
};

/// Threads of its workgroups.
pub(super) const LANES: u32 = 8;

/// The largest matrix that one workgroup prunes whole.
pub const WHOLE_WEIGHTS: u64 = 1 << 15;

/// Bytes of the counters of non-zero weights: 64 copies of two words.
pub const NONZERO_BYTES: u64 = 512;

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
pub(super) const fn binade(dtype: Dtype) -> u32 {
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
    /// `nonzero` ([`NONZERO_BYTES`]): 64 copies of two words, to be summed.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, a buffer is too small for it, or `k` exceeds the columns.
    pub fn row<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: RowRule,
        window: impl Into<Part<'a>>,
        mask: impl Into<Part<'a>>,
        nonzero: impl Into<Part<'a>>,
    ) -> Result<()> {
        check_k("row rule", rule.k, view.cols.into())?;
        let rule = self.row_words(view.dtype, rule.k);
        let parts = [window.into(), mask.into(), nonzero.into()];
        self.rows_by(to, view, false, rule.as_entire_buffer_binding(), parts)
    }

    /// Records: the same for all rows of a small matrix together, by one workgroup: at most [`WHOLE_WEIGHTS`] weights.
    /// Writes the cut ([`super::CUT_BYTES`]) too.
    ///
    /// # Errors
    /// As [`Kernels::row`].
    pub fn whole<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: RowRule,
        window: impl Into<Part<'a>>,
        mask: impl Into<Part<'a>>,
        cut: impl Into<Part<'a>>,
    ) -> Result<()> {
        check_k("rule", rule.k, view.weights())?;
        let rule = self.row_words(view.dtype, rule.k);
        let parts = [window.into(), mask.into(), cut.into()];
        self.rows_by(to, view, true, rule.as_entire_buffer_binding(), parts)
    }

    pub(super) fn row_words(&self, dtype: Dtype, k: u32) -> wgpu::Buffer {
        self.uniform(&RowsWords { k, spread: binade(dtype), spare0: 0, spare1: 0 })
    }

    /// Records: [`Kernels::row`] or [`Kernels::whole`] with a rule that may lie in a buffer; `parts` are window, mask, and
    /// counters or cut.
    pub(crate) fn rows_by(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        whole: bool,
        rule: wgpu::BufferBinding<'_>,
        parts: [Part<'_>; 3],
    ) -> Result<()> {
        let [window, mask, found] = parts;
        mask::check_outputs(view, mask, None)?;
        window.check("window", super::WINDOW_BYTES)?;
        if whole && view.weights() > WHOLE_WEIGHTS {
            let problem = format!("{} weights, one workgroup takes {WHOLE_WEIGHTS}", view.weights());
            return Err(Error::View { what: "matrix view", problem });
        }
        let (what, need) = if whole { ("cut", super::CUT_BYTES) } else { ("counters", NONZERO_BYTES) };
        found.check(what, need)?;
        // Rows for two workgroups at least, none longer than what a thread can go over.
        let groups = view.cols.div_ceil(32);
        let short = groups <= dispatch::MAX_ROW_GROUPS;
        let apart = !whole && self.tuning.row_workgroup <= LANES && view.rows > LANES && short;
        let (spec, workgroup, workgroups) = match (whole, apart) {
            (true, _) => (WHOLE, self.tuning.row_workgroup, 1),
            (_, true) => (APART, LANES, view.rows.div_ceil(LANES)),
            _ => (SPEC, self.row_threads(groups)?, view.rows),
        };
        let mut constants = view.variant().constants([("WORKGROUP", workgroup.into())]);
        if whole {
            constants.push(("WHOLE", 1.0));
        }
        let kernel = self.kernel(spec, Variant { mode: workgroup.into(), ..view.variant() }, &constants);
        let (uniform, none) = (self.uniform(&view.words(0)), self.uniform(&[0_u32; 4]));
        let bindings = [
            uniform.as_entire_buffer_binding(),
            Self::quads(view.binding(), &none),
            view.binding(),
            rule,
            window.binding(),
            mask.binding(),
            found.binding(),
        ];
        kernel.dispatch(&self.device, to, &bindings, workgroups);
        Ok(())
    }
}

impl Kernels {
    /// Threads for each row of so many groups.
    pub(super) fn row_threads(&self, groups: u32) -> Result<u32> {
        let threads = self.tuning.row_workgroup;
        if !self.tuning.simd {
            return Ok(threads);
        }
        dispatch::row_threads(groups, threads).ok_or_else(|| {
            let (have, most) = (u64::from(groups) * 32, dispatch::MAX_ROW);
            let problem = format!("a row of {have} columns, the loops of a software adapter hold {most}");
            Error::View { what: "matrix view", problem }
        })
    }
}

pub(super) fn check_k(what: &'static str, k: u32, weights: u64) -> Result<()> {
    if u64::from(k) > weights {
        return Err(Error::View { what, problem: format!("{k} are to go of {weights}") });
    }
    Ok(())
}
