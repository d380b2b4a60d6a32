//! What [`verify`](super::verify) holds against a checkpoint.

use std::fmt;

use serde::Serialize;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mismatch {
    /// The pruned checkpoint lacks a tensor.
    Missing {
        /// The tensor.
        tensor: String,
    },
    /// The pruned checkpoint has a tensor that the original has not.
    Extra {
        /// The tensor.
        tensor: String,
    },
    /// The dtypes differ.
    Dtype {
        /// The tensor.
        tensor: String,
        /// The original's dtype.
        before: String,
        /// The pruned checkpoint's.
        after: String,
    },
    /// The shapes differ.
    Shape {
        /// The tensor.
        tensor: String,
        /// The original's shape.
        before: Vec<u64>,
        /// The pruned checkpoint's.
        after: Vec<u64>,
    },
    /// A tensor of a dtype that is not pruned has changed.
    Bytes {
        /// The tensor.
        tensor: String,
        /// The first byte of it that differs.
        offset: u64,
    },
    /// A weight is neither what it was nor +0.0.
    Weight {
        /// The tensor.
        tensor: String,
        /// Which weight, row-major.
        index: u64,
        /// Its bits in the original.
        before: u32,
        /// Its bits in the pruned checkpoint.
        after: u32,
    },
    /// A larger weight was pruned away than one that was kept, within one row.
    Cut {
        /// The tensor.
        tensor: String,
        /// The first row in which that is so.
        row: u64,
        /// The pruned weight, row-major in the tensor.
        pruned_index: u64,
        /// Its magnitude.
        pruned: f64,
        /// The kept weight, row-major in the tensor.
        kept_index: u64,
        /// Its magnitude.
        kept: f64,
    },
}

/// In words; names with quotes and escapes.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Missing { tensor } => write!(f, "{tensor:?} is missing"),
            Mismatch::Extra { tensor } => write!(f, "{tensor:?} is not in the original"),
            Mismatch::Dtype { tensor, before, after } => write!(f, "{tensor:?} was {before} and is {after}"),
            Mismatch::Shape { tensor, before, after } => {
                write!(f, "{tensor:?} had the shape {before:?} and has {after:?}")
            }
            Mismatch::Bytes { tensor, offset } => {
                write!(f, "{tensor:?} is not pruned, yet its bytes differ from byte {offset} on")
            }
            Mismatch::Weight { tensor, index, before, after } => {
                write!(f, "{tensor:?}: weight {index} was {before:#x} and is {after:#x}, not 0")
            }
            Mismatch::Cut { tensor, row, pruned_index, pruned, kept_index, kept } => write!(
                f,
                "{tensor:?}: in row {row}, weight {pruned_index} of magnitude {pruned:e} was pruned away, and weight \
                 {kept_index} of only {kept:e} was kept"
            ),
        }
    }
}
