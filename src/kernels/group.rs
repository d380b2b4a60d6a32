//! weights ─ group ─► bits, each group of N:M by itself. Twin: [`crate::reference::group`].

use super::{Kernels, MatrixView, NONZERO_BYTES, Part, mask};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};
use crate::{Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "group",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/group_sorted.wgsl"),
        include_str!("../../shaders/group.wgsl")
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

/// Groups that divide no word, on GPUs: see `shaders/group_each.wgsl`.
pub(super) const EACH: KernelSpec = KernelSpec {
    label: "group each",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/group_sorted.wgsl"),
        include_str!("../../shaders/group.wgsl"),
        include_str!("../../shaders/group_each.wgsl")
    ),
    entry: "each",
    ..SPEC
};

/// Groups that divide a word, of weights of 32 bits, on GPUs: see `shaders/staged.wgsl`.
pub(super) const NEAR: KernelSpec = KernelSpec {
    label: "group near",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/staged.wgsl"),
        include_str!("../../shaders/group_sorted.wgsl"),
        include_str!("../../shaders/group.wgsl"),
        include_str!("../../shaders/group_near.wgsl")
    ),
    entry: "near",
    ..SPEC
};

/// Groups that a workgroup of `group_each.wgsl` takes at a time, of one row.
const EACH_GROUPS: u32 = 256;

/// Weights in a group, at most.
pub(crate) const LARGEST_GROUP: u32 = 32;

/// Of so many consecutive weights of a row, so many stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRule {
    /// How many stay, at most `of`.
    pub keep: u32,
    /// Of how many: 1 to 32.
    pub of: u32,
}

impl Kernels {
    /// Records: the mask that keeps the `keep` largest of each `of` weights of a row, from column 0 on; a shorter rest
    /// at a row's end stays. Adds the numbers of non-zero weights before and after to `nonzero` ([`NONZERO_BYTES`]): 64
    /// copies of two words, to be summed.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, a buffer is too small for it, or the rule cannot be.
    pub fn group<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: GroupRule,
        mask: impl Into<Part<'a>>,
        nonzero: impl Into<Part<'a>>,
    ) -> Result<()> {
        let (mask, nonzero) = (mask.into(), nonzero.into());
        mask::check_outputs(view, mask, None)?;
        nonzero.check("counters", NONZERO_BYTES)?;
        let GroupRule { keep, of } = rule;
        if !(1..=LARGEST_GROUP).contains(&of) || keep > of {
            let problem = format!("{keep} of {of}: at most all of 1 to {LARGEST_GROUP} stay");
            return Err(Error::View { what: "group rule", problem });
        }
        let near = of.is_power_of_two() && self.stages(view);
        let tuning = if near { self.staging_tuning() } else { self.tuning };
        let mut variant = view.variant();
        let more = [("WORKGROUP", tuning.workgroup.into()), ("OF", of.into()), ("KEEP", keep.into())];
        let constants = variant.constants(more);
        variant.mode = u64::from(of << 8 | keep);
        // A word's groups, each of which may lose its ties one by one.
        let turns = 1 + (32 / of + 2) * (of + 1);
        // Rows that are worth a workgroup.
        let each = !self.tuning.simd && !of.is_power_of_two() && view.cols >= EACH_GROUPS / 2 * of;
        let share = if each {
            let stretches = view.rows.saturating_mul(view.cols.div_ceil(of).div_ceil(EACH_GROUPS));
            dispatch::share_within(stretches, 1, self.tuning.workgroups, turns)
        } else {
            dispatch::share_within(view.groups(), tuning.workgroup, tuning.workgroups, turns)
        };
        let spec = if each {
            EACH
        } else if near {
            NEAR
        } else {
            SPEC
        };
        let uniform = self.uniform(&view.words(share.span));
        let view_words = uniform.as_entire_buffer_binding();
        let none = self.uniform(&[0_u32; 4]);
        let bindings =
            [view_words, Self::quads(view.binding(), &none), view.binding(), mask.binding(), nonzero.binding()];
        self.kernel(spec, variant, &constants).dispatch(&self.device, to, &bindings, share.workgroups);
        Ok(())
    }
}
