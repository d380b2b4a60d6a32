//! weights or scores ─ pool ─► keys, one for each unit. Twin: [`crate::reference::pool`].

use super::{Kernels, MatrixView, Part};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::reference::{WIDE_WEIGHTS, share};
use crate::{Error, Norm, Result};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/value.wgsl"),
    include_str!("../../shaders/pool.wgsl")
);

pub(super) const NARROW: KernelSpec = KernelSpec {
    label: "pool",
    source: SOURCE,
    entry: "narrow",
    bindings: &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::Uniform), (4, Binding::ReadWrite)],
};

const WIDE: KernelSpec = KernelSpec { label: "pool wide", entry: "wide", ..NARROW };

/// What a unit is, and how the scores in it become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRule {
    /// Rows of a unit; at least 1.
    pub rows: u32,
    /// Columns of a unit; at least 1.
    pub cols: u32,
    /// The norm; of L2, the square.
    pub norm: Norm,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct PoolWords {
    rows: u32,
    cols: u32,
    across: u32,
    blocks: u32,
    shares: [f32; 4],
}
super::shared_layout!(PoolWords, "Pool", [rows, cols, across, blocks, shares]);

impl Kernels {
    /// Records: the norm of each block of the view, as the bits of an `f32`, into `keys`, one `u32` each, row of blocks by
    /// row; blocks at the far edges are cut short. L2 gives the sum of squares, whose order is the same. NaN where a
    /// weight is, else infinity where one is.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, `keys` is shorter than 4 bytes per block, or a block has no weights.
    pub fn pool<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: PoolRule,
        keys: impl Into<Part<'a>>,
    ) -> Result<()> {
        let keys = keys.into();
        view.check()?;
        let PoolRule { rows, cols, norm } = rule;
        if rows == 0 || cols == 0 {
            return Err(Error::View { what: "pool rule", problem: format!("blocks of {rows} by {cols}: no weights") });
        }
        let (across, down) = (view.cols.div_ceil(cols), view.rows.div_ceil(rows));
        let blocks = u64::from(across) * u64::from(down);
        keys.check("keys", 4 * blocks)?;
        // Where a block is cut short.
        let rest = |all: u32, of: u32| if all.is_multiple_of(of) { of } else { all % of };
        let (right, bottom) = (rest(view.cols, cols), rest(view.rows, rows));
        let shares = [(rows, cols), (rows, right), (bottom, cols), (bottom, right)]
            .map(|(rows, cols)| share(u64::from(rows) * u64::from(cols)));
        let words = self.uniform(&PoolWords { rows, cols, across, blocks: blocks as u32, shares });

        let wide = u64::from(rows) * u64::from(cols) > WIDE_WEIGHTS;
        let lanes = self.tuning.workgroup;
        let number = Norm::ALL.iter().position(|other| *other == norm).unwrap_or(0);
        let mut variant = view.variant();
        let more = [("LANES", lanes.into()), ("DTYPE", f64::from(view.dtype as u8)), ("NORM", number as f64)];
        let constants = variant.constants(more);
        variant.mode = (view.dtype as u32) << 8 | number as u32;
        let kernel = self.kernel(if wide { WIDE } else { NARROW }, variant, &constants);
        let uniform = self.uniform(&view.words(0));
        let bindings =
            [uniform.as_entire_buffer_binding(), view.binding(), words.as_entire_buffer_binding(), keys.binding()];
        kernel.dispatch(&self.device, to, &bindings, if wide { blocks } else { blocks.div_ceil(lanes.into()) } as u32);
        Ok(())
    }
}
