//! How the weights that are kept can be stored.

use std::fmt;

/// A layout of a sparse matrix. Where columns are written down, they are `u16`: such a matrix has at most 65,536 of them, or
/// of columns of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One bit per weight, and the kept ones one behind the other, in tiles of 1,024. The fewest bytes up to 75 %
    /// gone, and what `lopper pack` writes; on the GPU that was measured it is never faster than dense.
    Bitmask,
    /// A column and a weight in each slot, and as many slots for each row of a slice as its longest needs, a multiple of
    /// 8. The fastest on software adapters, and for 16 bits on the GPU that was measured.
    SlicedEll {
        /// Rows that lie side by side: best the lanes of a subgroup. 4, 8, 16, 32 or 64.
        slice: u32,
    },
    /// Compressed sparse rows: the kept weights of a row one behind the other, and the column of each.
    Csr,
    /// The kept weights of a row one behind the other, and the columns skipped before each in 4 bits: MACKO's storage
    /// (<https://arxiv.org/abs/2511.13061>). Where more than 15 are skipped, a weight of +0.0 lies between; so weights of +0.0
    /// are not multiplied, kept or not. For GPUs: about as fast as sliced ELL there, in 60 %
    /// of its bytes. Any number of columns.
    Macko,
    /// At most `keep` of every `of` neighbouring weights of a row, as 2:4. Where the columns are no multiple of `of`, what
    /// remains of a row is stored like a dense one, with as many places as weights.
    Nm {
        /// Weights that a group may keep; 1 to `of`.
        keep: u32,
        /// Weights of a group; at most 16.
        of: u32,
    },
    /// Blocks that keep any weight, whole: what such a block does not keep is a zero that is stored and multiplied.
    Block {
        /// Rows of a block; 1 to 32.
        rows: u32,
        /// Columns of a block; 1 to 32.
        cols: u32,
    },
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Bitmask => f.write_str("bitmask"),
            Format::SlicedEll { slice } => write!(f, "sliced ELL of {slice} rows"),
            Format::Csr => f.write_str("CSR"),
            Format::Macko => f.write_str("MACKO"),
            Format::Nm { keep, of } => write!(f, "{keep}:{of}"),
            Format::Block { rows, cols } => write!(f, "blocks of {rows} x {cols}"),
        }
    }
}
