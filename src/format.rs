//! How the weights that are kept can be stored.

use std::fmt;

/// A layout of a sparse matrix. Columns are `u16`, so but for [`Format::Bitmask`] a matrix has at most 65,536 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One bit per weight, and the kept ones one behind the other, in tiles of 1,024. For GPUs, up to high sparsities.
    Bitmask,
    /// A column and a weight in each slot, and as many slots for each row of a slice as its longest needs, a multiple of
    /// 8. For software adapters, and for very sparse matrices.
    SlicedEll {
        /// Rows that lie side by side: best the lanes of a subgroup. 4, 8, 16, 32 or 64.
        slice: u32,
    },
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Bitmask => f.write_str("bitmask"),
            Format::SlicedEll { slice } => write!(f, "sliced ELL of {slice} rows"),
        }
    }
}
