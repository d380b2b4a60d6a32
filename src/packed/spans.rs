//! Matrices cut into spans, of whole rows or inside one, which threads take one after the other.

use crate::shared::shared_bytes;
use crate::sparse::file::TILE;
use crate::{OnBytes, Result};

/// Bytes of weights in a span, at most, unless eight rows of a few columns, or a tile, take more.
const SPAN: u64 = 1 << 20;

/// Whole rows, or a part of one that begins with a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub matrix: usize,
    /// Its number among those of the matrix.
    pub number: usize,
    pub row: u64,
    pub rows: u64,
    pub col: u64,
    pub cols: u64,
}

impl Span {
    pub fn weights(self) -> u64 {
        self.rows * self.cols
    }
}

/// How one matrix is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    rows: u64,
    cols: u64,
    /// Rows of a span; where a row is several, columns.
    high: u64,
    wide: u64,
    first: u64,
    count: u64,
}

/// All matrices, and how they are cut.
pub(super) struct Spans {
    cuts: Vec<Cut>,
    all: u64,
}

impl Spans {
    /// Cuts matrices of these rows, columns and bytes of a weight.
    pub fn new(matrices: impl IntoIterator<Item = (u64, u64, u64)>) -> Self {
        let mut all = 0;
        let cut = |(rows, cols, size): (u64, u64, u64)| {
            let most = SPAN / size;
            let (high, wide) = match cols {
                0 => (rows.max(1), 1),
                _ if cols <= most => (most / cols, cols),
                _ => (1, most / TILE * TILE),
            };
            let count = if cols == 0 { 0 } else { rows.div_ceil(high) * cols.div_ceil(wide) };
            all += count;
            Cut { rows, cols, high, wide, first: all - count, count }
        };
        let cuts = matrices.into_iter().map(cut).collect();
        Self { cuts, all }
    }

    /// How many spans a matrix has.
    pub fn count(&self, matrix: usize) -> usize {
        self.cuts[matrix].count as usize
    }

    /// Has each span done once, on all processors, each with a `T` of its own; all of these come back. `progress` is told the
    /// bytes that `each` returns, on top of `before`, of so many in all.
    pub fn each<T: Send>(
        &self,
        (before, total): (u64, u64),
        progress: OnBytes<'_>,
        new: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, Span) -> Result<u64> + Sync,
    ) -> Result<Vec<T>> {
        shared_bytes(self.all, (before, total), progress, new, |own, number| each(own, self.get(number)))
    }

    fn get(&self, number: u64) -> Span {
        // The last matrix whose first span is no later: those before it with the same have none.
        let matrix = self.cuts.partition_point(|cut| cut.first <= number) - 1;
        let Cut { rows, cols, high, wide, first, .. } = self.cuts[matrix];
        let (at, across) = (number - first, cols.div_ceil(wide));
        let (row, col) = (at / across * high, at % across * wide);
        let (rows, cols) = (high.min(rows - row), wide.min(cols - col));
        Span { matrix, number: at as usize, row, rows, col, cols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_every_weight_once_in_order() {
        let shapes = [(3, 5, 2), (0, 7, 4), (9, 0, 4), (2, 700_001, 4), (3000, 1001, 2), (1, 1, 1)];
        let spans = Spans::new(shapes);
        let all: Vec<Span> = (0..spans.all).map(|number| spans.get(number)).collect();
        for (matrix, (rows, cols, size)) in shapes.into_iter().enumerate() {
            let (mut next, mut number) = (0, 0);
            for span in all.iter().filter(|span| span.matrix == matrix) {
                assert_eq!((span.row * cols + span.col, span.number), (next, number));
                assert!(span.cols == cols || span.rows == 1 && span.col.is_multiple_of(TILE));
                assert!(span.weights() * size <= SPAN && span.weights() > 0);
                (next, number) = (next + span.weights(), number + 1);
            }
            assert_eq!((next, number), (rows * cols, spans.count(matrix)));
        }
    }
}
