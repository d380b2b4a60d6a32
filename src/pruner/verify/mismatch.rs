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
    /// A unit went in part.
    Partly {
        /// The tensor.
        tensor: String,
        /// The unit.
        unit: String,
        /// A weight of it that was pruned away.
        pruned: String,
        /// A weight of it that was kept.
        kept: String,
    },
    /// Another number of units went than the rule says.
    Count {
        /// The tensor; of a cut over several, the first.
        tensor: String,
        /// Where they compete.
        place: String,
        /// Units that compete there.
        units: u64,
        /// Those that were pruned away.
        pruned: u64,
        /// Those that were zero before.
        zero: u64,
        /// `exactly`, `at most` or `at least`.
        bound: String,
        /// How many were to go, zeros among them.
        asked: u64,
    },
    /// A unit was pruned away that scores above one that was kept, or as high and comes after it.
    Order {
        /// The tensor.
        tensor: String,
        /// Where they compete.
        place: String,
        /// The unit that was pruned away.
        pruned: String,
        /// Its score.
        pruned_score: f64,
        /// The unit that was kept.
        kept: String,
        /// Its score.
        kept_score: f64,
    },
    /// A unit is on the wrong side of the threshold.
    Threshold {
        /// The tensor.
        tensor: String,
        /// The unit.
        unit: String,
        /// Its score.
        score: f64,
        /// The threshold.
        threshold: f64,
        /// Whether it was pruned away.
        pruned: bool,
    },
    /// A weight was pruned away that is in no whole group.
    Outside {
        /// The tensor.
        tensor: String,
        /// The weight.
        weight: String,
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
            Mismatch::Partly { tensor, unit, pruned, kept } => {
                write!(f, "{tensor:?}: {unit} went in part: {pruned} was pruned away, and {kept} was kept")
            }
            Mismatch::Count { tensor, place, units, pruned, zero, bound, asked } => {
                let zeros = if *zero > 0 { format!(" and {zero} were zero before") } else { String::new() };
                write!(
                    f,
                    "{tensor:?}: {place}, {pruned} of {units} were pruned away{zeros}, {bound} {asked} were to go"
                )
            }
            Mismatch::Order { tensor, place, pruned, pruned_score, kept, kept_score } => {
                let only = if pruned_score > kept_score { "only " } else { "" };
                write!(
                    f,
                    "{tensor:?}: {place}, {pruned} of score {pruned_score:e} was pruned away, and {kept} of {only}\
                     {kept_score:e} was kept"
                )
            }
            Mismatch::Threshold { tensor, unit, score, threshold, pruned } => {
                let fate = if *pruned { "pruned away" } else { "kept" };
                write!(f, "{tensor:?}: {unit} of score {score:e} was {fate}, the threshold is {threshold:e}")
            }
            Mismatch::Outside { tensor, weight } => {
                write!(f, "{tensor:?}: {weight} is in no whole group, and was pruned away")
            }
        }
    }
}
