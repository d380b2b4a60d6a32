//! The CPU twin of every kernel: plain loops that say what the kernels must compute.
//!
//! Each module bears the name of the shader it specifies, and results match to the bit. The scheduler also runs
//! [`threshold`] itself, where counts of many chunks come together on the host.

mod apply;
mod bitmask;
mod block;
mod bracket;
mod count;
mod csr;
mod ell;
mod gather;
mod gemm;
mod gemv;
mod group;
mod histogram;
mod lend;
mod macko;
mod mask;
mod nm;
mod packed;
mod pool;
mod quota;
mod random;
mod row;
mod scale;
mod scan;
mod score;
mod threshold;

pub use apply::apply;
pub use bitmask::BITMASK_TILE;
pub use bracket::bracket;
pub use count::count;
pub use gather::gather;
pub use gemm::gemm;
pub use gemv::{activate, gemv};
pub use group::group;
pub use histogram::{Counts, Window, histogram};
pub use lend::lend;
pub use mask::{TILE_WEIGHTS, mask};
pub(crate) use nm::too_many;
pub(crate) use packed::check_format;
pub use packed::{Packed, Row};
pub(crate) use pool::{WIDE_COLS, share};
pub use pool::{WIDE_WEIGHTS, pool};
pub use quota::quota;
pub use random::random;
pub use row::row;
pub use scale::scale;
pub use scan::scan;
pub use score::score;
pub use threshold::{Cut, Quota, Step, threshold};

use crate::{Dtype, Shape};

/// Weights in memory: `rows` rows of `cols` weights, `stride` elements from one row's start to the next, little-endian.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Rows and columns.
    pub shape: Shape,
    /// Elements from the start of one row to the start of the next; at least `cols`.
    pub stride: usize,
    /// The bytes, from the first weight of row 0 on.
    pub bytes: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// A matrix without gaps between its rows.
    pub fn dense(dtype: Dtype, shape: Shape, bytes: &'a [u8]) -> Self {
        Self { dtype, shape, stride: shape.cols as usize, bytes }
    }

    /// All keys, row by row.
    pub fn keys(self) -> impl Iterator<Item = u32> + 'a {
        (0..self.shape.rows as usize).flat_map(move |r| self.row_keys(r))
    }

    /// The keys of one row.
    pub fn row_keys(self, row: usize) -> impl Iterator<Item = u32> + 'a {
        let start = row * self.stride;
        (start..start + self.shape.cols as usize).map(move |i| self.dtype.key(self.bytes, i))
    }
}
