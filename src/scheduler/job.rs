//! A matrix to be pruned, and what of it competes: its units, and how each of them is scored.
//!
//! ```text
//! plain:      weights, whose own bits are their keys
//! otherwise:  weights ─ scale ─► scores ─┬─────────► keys   one for each weight
//!                       given ─► scores ─┴─ pool ──► keys   one for each unit
//!                                random, given ────► keys
//! by rows:    weights, scales, whose products are never written: the row kernel makes them
//! ```
//!
//! Keys that are not the weights' own are those of `f32` scores. From there on, a matrix of units is pruned as a matrix of
//! weights is.

use super::budget::Chunk;
use crate::{Dtype, Norm, Shape};

/// A matrix to be pruned: its rows lie without gaps, in the source's order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Job {
    /// Element type.
    pub dtype: Dtype,
    /// Rows and columns; neither is 0.
    pub shape: Shape,
    /// What goes first.
    pub scoring: Scoring,
    /// Rows and columns of what is kept or pruned as one, at least 1 by 1; those at the far edges are cut short.
    pub unit: Shape,
    /// How the scores of a unit's weights become one, where there are several.
    pub norm: Norm,
    /// How many rows are read and written together, where only whole ones are; 0 where any bytes are.
    pub slab: u64,
}

/// Where the score of a weight or a unit comes from; what scores lowest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scoring {
    /// The weight's magnitude.
    #[default]
    Magnitude,
    /// The weight's magnitude times the scale of its column: [`Source::scales`](super::Source::scales).
    Scaled,
    /// A number drawn for each unit.
    Random {
        /// The seed.
        seed: u64,
    },
    /// One score for each weight: [`Source::scores`](super::Source::scores).
    Given,
    /// One score for each unit: [`Source::scores`](super::Source::scores).
    GivenByUnit,
}

impl Job {
    /// A matrix whose weights compete by their magnitude.
    pub const fn new(dtype: Dtype, shape: Shape) -> Self {
        Self { dtype, shape, scoring: Scoring::Magnitude, unit: Shape::new(1, 1), norm: Norm::L1, slab: 0 }
    }

    /// Whether the weights' own bits are the keys.
    pub(crate) fn is_plain(&self) -> bool {
        self.scoring == Scoring::Magnitude && !self.is_pooled()
    }

    /// Whether weights are pooled to units: also to units of one weight, where those of other matrices are compared with
    /// them by their squares.
    pub(super) fn is_pooled(&self) -> bool {
        self.unit != Shape::new(1, 1) || self.norm == Norm::L2
    }

    /// Whether chunks are whole rows of units.
    pub(super) fn is_by_rows(&self) -> bool {
        self.is_pooled() || self.slab > 0
    }

    /// Whether scores of weights are made before they are pooled.
    pub(super) fn scores_first(&self) -> bool {
        self.is_pooled() && matches!(self.scoring, Scoring::Scaled | Scoring::Given)
    }

    /// The element type whose keys compete.
    pub(crate) fn keys(&self) -> Dtype {
        if self.is_plain() { self.dtype } else { Dtype::F32 }
    }

    /// Rows and columns of units.
    pub(crate) fn units(&self) -> Shape {
        Shape::new(self.shape.rows.div_ceil(self.unit.rows), self.shape.cols.div_ceil(self.unit.cols))
    }

    /// Weights of `units` units from unit `first` on. Where units are pooled, both are whole rows of units.
    pub(super) fn weights_of(&self, first: u64, units: u64) -> Weights {
        if !self.is_pooled() {
            return Weights { first, rows: 1, cols: units };
        }
        let per_row = self.units().cols;
        let (top, bottom) = (first / per_row * self.unit.rows, (first + units) / per_row * self.unit.rows);
        let rows = bottom.min(self.shape.rows) - top;
        Weights { first: top * self.shape.cols, rows, cols: self.shape.cols }
    }

    /// Whether so many units, from the first of the matrix on, are whole steps.
    pub(super) fn is_whole(&self, units: u64) -> bool {
        units.is_multiple_of(self.step_units()) || units == self.units().weights()
    }

    /// Rows of units that chunks are multiples of.
    pub(super) fn step_rows(&self) -> u64 {
        (self.slab / self.unit.rows).max(1).min(self.units().rows)
    }

    /// Units that chunks are multiples of: those of such rows, or one weight.
    pub(super) fn step_units(&self) -> u64 {
        if self.is_by_rows() { self.step_rows() * self.units().cols } else { 1 }
    }

    /// Bytes of the first `units` units.
    pub(super) fn bytes_of(&self, units: u64) -> u64 {
        self.weights_of(0, units).count() * self.dtype.size() as u64
    }

    /// The weights of a chunk.
    pub(super) fn weights_in(&self, chunk: Chunk) -> Weights {
        self.weights_of(chunk.first, chunk.units())
    }

    /// Bytes of the weights of as many units.
    pub(super) fn step_bytes(&self) -> u64 {
        let rows = (self.step_rows() * self.unit.rows).min(self.shape.rows);
        let weights = if self.is_by_rows() { rows * self.shape.cols } else { 1 };
        weights * self.dtype.size() as u64
    }

    /// Bytes of scores and of keys that a chunk of so many bytes of weights takes on the GPU besides them.
    pub(super) fn scored_bytes(&self, chunk: u64) -> [u64; 2] {
        if self.is_plain() {
            return [0, 0];
        }
        let weights = chunk / self.dtype.size() as u64;
        let step = self.step_units();
        let units = (chunk / self.step_bytes()).min(self.units().weights().div_ceil(step)) * step;
        [if self.scores_first() { 4 * weights } else { 0 }, 4 * units]
    }

    /// Bytes of the scores that the source gives for it.
    pub(super) fn given_bytes(&self, chunk: u64) -> u64 {
        match self.scoring {
            Scoring::Given => 4 * (chunk / self.dtype.size() as u64),
            Scoring::GivenByUnit => self.scored_bytes(chunk)[1],
            _ => 0,
        }
    }

    /// The largest key of a score, or of a norm, that is at most `magnitude`.
    pub(super) fn key_at_most(&self, magnitude: f64) -> u32 {
        self.keys().key_at_most(if self.squares() { magnitude * magnitude } else { magnitude })
    }

    /// The score or norm that a key stands for.
    pub(super) fn magnitude(&self, key: u32) -> f64 {
        let magnitude = self.keys().magnitude(key);
        if self.squares() { magnitude.sqrt() } else { magnitude }
    }

    /// Norms are compared by their squares.
    fn squares(&self) -> bool {
        let drawn = matches!(self.scoring, Scoring::Random { .. } | Scoring::GivenByUnit);
        self.is_pooled() && self.norm == Norm::L2 && !drawn
    }
}

/// A stretch of a matrix: `rows` rows of `cols` weights without gaps, from weight `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weights {
    pub first: u64,
    pub rows: u64,
    pub cols: u64,
}

impl Weights {
    pub fn count(self) -> u64 {
        self.rows * self.cols
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_cover_their_weights_to_the_edges() {
        let plain = Job::new(Dtype::BF16, Shape::new(7, 10));
        assert!(plain.is_plain() && plain.keys() == Dtype::BF16 && plain.units() == plain.shape);
        assert_eq!(plain.weights_of(13, 20), Weights { first: 13, rows: 1, cols: 20 });
        let blocks = Job { unit: Shape::new(3, 4), ..plain };
        assert_eq!((blocks.units(), blocks.keys()), (Shape::new(3, 3), Dtype::F32));
        assert_eq!(blocks.weights_of(0, 3), Weights { first: 0, rows: 3, cols: 10 });
        assert_eq!(blocks.weights_of(3, 6), Weights { first: 30, rows: 4, cols: 10 });
        assert_eq!((blocks.bytes_of(9), blocks.bytes_of(6), blocks.step_bytes()), (140, 120, 60));
        let rows = Job { unit: Shape::new(1, 10), ..plain };
        assert_eq!((rows.units(), rows.weights_of(2, 3)), (Shape::new(7, 1), Weights { first: 20, rows: 3, cols: 10 }));
    }

    #[test]
    fn a_norm_is_the_root_of_what_is_compared() {
        let job = Job { unit: Shape::new(1, 10), norm: Norm::L2, ..Job::new(Dtype::F16, Shape::new(7, 10)) };
        assert_eq!(job.magnitude(25f32.to_bits()), 5.0);
        assert_eq!(job.key_at_most(5.0), 25f32.to_bits());
        let drawn = Job { scoring: Scoring::Random { seed: 1 }, ..job };
        assert_eq!(drawn.magnitude(25f32.to_bits()), 25.0);
    }
}
