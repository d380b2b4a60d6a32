//! dense weights, x ─ gemm ─► y, for several vectors. Twin: [`crate::reference::gemm`].

use super::dense::Dense;
use super::{Epilogue, Kernels, MatrixView, Part, gemv};
use crate::Result;
use crate::gpu::{KernelSpec, Record, dispatch};

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

pub(super) const LANES_WIDE: KernelSpec = KernelSpec { label: "wide gemm by lanes", ..LANES };

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
        // A turn of its loop takes four columns.
        let lanes = self.tuning.simd && self.subgroups && self.is_one_subgroup(8) && dense.aligned();
        if lanes && view.cols <= 4 * dispatch::MAX_TURNS {
            let wide = columns > 16;
            let spec = if wide { LANES_WIDE } else { LANES };
            return self.dense(
                to,
                spec,
                &dense,
                (64, if wide { 32 } else { 16 }),
                &[("WIDE", f64::from(u8::from(wide)))],
                None,
            );
        }
        self.check_steps(view.cols, 200_000)?;
        self.dense(to, SPEC, &dense, (64, 64), &[], None)
    }
}
