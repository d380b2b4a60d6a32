//! dense weights, x ─ gemm ─► y, for several vectors. Twin: [`crate::reference::gemm`].

use super::dense::Dense;
use super::specs::source;
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

/// Of a few vectors, on adapters whose threads are not SIMD lanes.
pub(super) const NARROW: KernelSpec = KernelSpec {
    label: "narrow gemm",
    source: source!("stored", "sizes", "vectors", "dense", "epilogue", "gemm_narrow", "lanes"),
    ..SPEC
};

pub(super) const NARROW_SUBGROUPS: KernelSpec = KernelSpec {
    label: "narrow gemm by subgroups",
    source: source!("stored", "sizes", "vectors", "dense", "epilogue", "gemm_narrow", "subgroups"),
    ..SPEC
};

/// Of many vectors, on the same.
pub(super) const WIDE: KernelSpec = KernelSpec {
    label: "wide gemm",
    source: source!("stored", "sizes", "vectors", "dense", "epilogue", "dense_tile", "gemm_wide"),
    ..SPEC
};

/// The same of rows that are whole steps of `WIDE_STEP` columns.
pub(super) const WIDE_WHOLE: KernelSpec = KernelSpec { label: "wide gemm of whole steps", ..WIDE };

/// Columns that `WIDE` takes at a time.
const WIDE_STEP: u32 = 16;

/// Rows and vectors of a tile of `WIDE`.
const WIDE_TILE: u32 = 128;

/// Tiles of `WIDE` from which it multiplies: about as many as a large GPU has cores, which fewer would leave idle. A guess, to be
/// measured.
const WIDE_FROM: u64 = 128;

/// Vectors up to which `NARROW` multiplies, 16 at a time. On an H200 it takes 34 µs for 16 vectors of a 4096 × 4096 matrix in f16, and
/// tiles of 64 take 427 µs for 64: there are too few of them for such a GPU.
const NARROW_UP_TO: u32 = 128;

/// Threads along rows of `NARROW` where the subgroup's size is not known: a guess, to be measured.
const NARROW_THREADS: u32 = 64;

/// Whether tiles of `WIDE` are enough of them, and not much emptier than those of half their side.
fn fills_wide_tiles(rows: u32, columns: u32) -> bool {
    let tiles = |side: u32| u64::from(rows.div_ceil(side)) * u64::from(columns.div_ceil(side));
    let wide = tiles(WIDE_TILE);
    wide >= WIDE_FROM && 4 * wide <= tiles(WIDE_TILE / 2) * 5 / 4
}

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
        if !self.tuning.simd && fills_wide_tiles(view.rows, columns) {
            let whole = dense.aligned() && view.cols.is_multiple_of(WIDE_STEP);
            let spec = if whole { WIDE_WHOLE } else { WIDE };
            let constants = [("WHOLE", f64::from(u8::from(whole)))];
            return self.dense(to, spec, &dense, (WIDE_TILE, WIDE_TILE), &constants, None);
        }
        if !self.tuning.simd && columns <= NARROW_UP_TO {
            return self.narrow(to, &dense);
        }
        self.check_steps(view.cols, 200_000)?;
        self.dense(to, SPEC, &dense, (64, 64), &[], None)
    }

    fn narrow(&self, to: &mut impl Record, dense: &Dense<'_>) -> Result<()> {
        let vectors = match dense.columns {
            ..=4 => 4,
            5..=8 => 8,
            _ => 16,
        };
        // One subgroup needs no barriers, of which there are some for each vector.
        let size = self.device.adapter_info().subgroup_max_size;
        let known = (16..=128).contains(&size) && size.is_power_of_two() && self.is_one_subgroup(size);
        let threads = if known { size } else { self.tuning.lanes.min(NARROW_THREADS) };
        let mut constants = vec![("WORKGROUP", f64::from(threads)), ("VECTORS", vectors.into())];
        if self.subgroups {
            constants.push(("SINGLE", f64::from(u8::from(self.is_one_subgroup(threads)))));
        }
        let label = match (vectors, self.subgroups) {
            (4, false) => "narrow gemm of 4",
            (8, false) => "narrow gemm of 8",
            (_, false) => NARROW.label,
            (4, true) => "narrow gemm of 4 by subgroups",
            (8, true) => "narrow gemm of 8 by subgroups",
            (_, true) => NARROW_SUBGROUPS.label,
        };
        let spec = KernelSpec { label, ..if self.subgroups { NARROW_SUBGROUPS } else { NARROW } };
        self.dense(to, spec, dense, (4, vectors), &constants, None)
    }
}
