//! dense weights, x ─ gemv ─► y, for one vector. Twin: [`crate::reference::gemv`].

use super::dense::Dense;
use super::sizes::SizesWords;
use super::{Epilogue, Kernels, MatrixView, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

pub(super) const BINDINGS: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Read),
    (4, Binding::Read),
    (5, Binding::Read),
    (6, Binding::ReadWrite),
];

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "gemv",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/dense.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemv.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: BINDINGS,
};

pub(super) const SUBGROUPS: KernelSpec = KernelSpec {
    label: "gemv by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/dense.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemv.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    ..SPEC
};

/// Where threads are SIMD lanes; x is lent.
pub(super) const LANES: KernelSpec = KernelSpec {
    label: "gemv by lanes",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/dense.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemv_lanes.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::Read),
        (5, Binding::Read),
        (6, Binding::ReadWrite),
    ],
};

impl Kernels {
    /// Records: `y = activation(W · x + bias)` for a dense matrix and one vector. `x` has an `f32` for each column, `y`
    /// for each row; sums are `f32`. Weights are F32, F16 or BF16; a matrix larger than the device binds is taken in
    /// several dispatches. What is not finite is multiplied as IEEE 754 says, as far as the adapter does.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds, its element type has 8 bits, one row is larger than the
    /// device binds, a buffer is too small, or `y` lies in a buffer that is read.
    pub fn gemv<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'a>,
        x: impl Into<Part<'a>>,
        y: impl Into<Part<'a>>,
        epilogue: Epilogue<'a>,
    ) -> Result<()> {
        let dense = Dense { view: *view, columns: 1, x: x.into(), y: y.into(), epilogue };
        dense.check()?;
        let lanes = self.tuning.lanes;
        let at_once = if dense.aligned() { 8 } else { 1 };
        self.check_steps(view.cols, (60_000 * at_once * lanes).min(1 << 30))?;
        if self.is_one_subgroup(lanes) {
            let sizes = SizesWords { cols: view.cols, columns: 1, ..Default::default() };
            if let Some(lent) = self.lend(to, &sizes, dense.x, 1) {
                let constants = [("WORKGROUP", f64::from(lanes)), ("SINGLE", 1.0)];
                return self.dense(to, LANES, &dense, (8, 1), &constants, Some(&lent));
            }
        }
        let spec = if self.subgroups { SUBGROUPS } else { SPEC };
        let mut constants = vec![("WORKGROUP", f64::from(lanes))];
        if self.subgroups {
            constants.push(("SINGLE", f64::from(u8::from(self.is_one_subgroup(lanes)))));
        }
        self.dense(to, spec, &dense, (4, 1), &constants, None)
    }
}
