//! What is kept or pruned as one, and how the weights in it become one score.

use std::fmt;

/// What is kept or pruned as one.
///
/// Rows are outputs (neurons or filters) and columns inputs, whatever the layout of the tensor: a tensor of higher rank
/// is seen as `[outputs, inputs × kernel]`, and its column is all weights of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Unit {
    /// Each weight by itself.
    #[default]
    Weight,
    /// Blocks of so many rows and columns, from the first of each on. Those at the far edges are cut short.
    Block {
        /// Rows of a block; at least 1.
        rows: u32,
        /// Columns of a block; at least 1.
        cols: u32,
    },
    /// The kernel between an input and an output of a convolution: all its places. Of a matrix, one weight.
    Kernel,
    /// All weights of an output.
    Row,
    /// All weights of an input.
    Column,
}

/// How the scores of a unit's weights become one: a norm of their magnitudes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Norm {
    /// The sum.
    L1,
    /// The square root of the sum of squares.
    #[default]
    L2,
    /// The largest.
    Linf,
    /// The sum, divided by how many there are: units of different sizes can be compared.
    Mean,
}

impl Unit {
    /// `weight`, `block`, `kernel`, `row` or `column`.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Weight => "weight",
            Unit::Block { .. } => "block",
            Unit::Kernel => "kernel",
            Unit::Row => "row",
            Unit::Column => "column",
        }
    }
}

/// Its name; a block as `4x4`: rows and columns.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Block { rows, cols } => write!(f, "{rows}x{cols}"),
            unit => f.write_str(unit.name()),
        }
    }
}

impl Norm {
    /// All of them.
    pub const ALL: [Norm; 4] = [Norm::L1, Norm::L2, Norm::Linf, Norm::Mean];

    /// `l1`, `l2`, `linf` or `mean`.
    pub const fn name(self) -> &'static str {
        match self {
            Norm::L1 => "l1",
            Norm::L2 => "l2",
            Norm::Linf => "linf",
            Norm::Mean => "mean",
        }
    }
}
