//! dense weights, x ─ gemm ─► y, for several vectors. Twin: [`crate::reference::gemm`].

use super::dense::Dense;
use super::{Epilogue, Kernels, MatrixView, Part, gemv};
use crate::Result;
use crate::gpu::{KernelSpec, Record};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "gemm",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/dense.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/dense_tile.wgsl"),
        include_str!("../../shaders/gemm.wgsl")
    ),
    entry: "main",
    bindings: gemv::BINDINGS,
};

pub(super) const LANES: KernelSpec = KernelSpec {
    label: "gemm by lanes",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/dense.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemm_lanes.wgsl")
    ),
    ..SPEC
};

impl Kernels {
    /// Records: `y = activation(W · x + bias)` for a dense matrix and `columns` vectors, one behind the other in `x`, and
    /// so the results in `y`. Otherwise as [`Kernels::gemv`], which is what one vector gets.
    ///
    /// # Errors
    /// [`crate::Error::View`] as [`Kernels::gemv`], and where there are no vectors.
    pub fn gemm<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'a>,
        columns: u32,
        x: impl Into<Part<'a>>,
        y: impl Into<Part<'a>>,
        epilogue: Epilogue<'a>,
    ) -> Result<()> {
        if columns == 1 {
            return self.gemv(to, view, x, y, epilogue);
        }
        let dense = Dense { view: *view, columns, x: x.into(), y: y.into(), epilogue };
        dense.check()?;
        if self.tuning.simd && self.subgroups && self.is_one_subgroup(8) && dense.aligned() {
            return self.dense(to, LANES, &dense, (64, 16), &[]);
        }
        self.check_steps(view.cols, 200_000)?;
        self.dense(to, SPEC, &dense, (64, 64), &[])
    }
}
