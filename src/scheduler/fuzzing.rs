//! What must hold of any chunks: the body of the fuzz target `planner`.

use super::budget::{ALIGN, Budget, Chunk, Span};
use super::{Error, Job};
use crate::{Dtype, Shape};

/// Chunks looked at from either end; all of them where there are no more than both.
const LOOKED_AT: usize = 40;

/// A budget, a limit and a matrix, as numbers: slots fit the budget, and chunks cover every weight exactly once, fit
/// their slots, and overflow nothing.
///
/// # Panics
/// If that does not hold.
pub fn planner(bytes: &[u8]) {
    let mut numbers = bytes.chunks_exact(9).map(|b| {
        let number = u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        number >> (b[8] & 63)
    });
    let mut next = || numbers.next().unwrap_or(u64::MAX);
    let (memory, max_binding, rows, cols, first, kind) = (next(), next(), next(), next(), next(), next());
    let (direct, dtype) = (kind & 1 == 0, Dtype::ALL[(kind >> 1) as usize % Dtype::ALL.len()]);
    let budget = match Budget::new(memory, direct, max_binding) {
        Ok(budget) => budget,
        Err(Error::Memory { have, need }) => return assert!(have == memory && (have < need || max_binding < ALIGN)),
        Err(e) => panic!("{e}"),
    };
    let copies = if direct { [1, 1] } else { [3, 2] };
    let slot = copies[0] * budget.chunk + copies[1] * budget.mask + budget.tiles;
    assert!(budget.slots as u64 * slot <= memory && budget.chunk <= max_binding, "{budget:?}");
    assert!(budget.slots >= 4 && budget.chunk > 0 && budget.chunk.is_multiple_of(ALIGN), "{budget:?}");

    // What a checked tensor may have.
    let size = dtype.size() as u64;
    let Some(bits) = rows.checked_mul(cols).and_then(|weights| weights.checked_mul(8 * size)) else { return };
    if bits == 0 {
        return;
    }
    let matrix = Job::new(dtype, Shape::new(rows, cols));
    let weights = matrix.shape.weights();
    let first = first % weights;
    for span in [Span::whole(3, &matrix), Span { job: 3, first, units: weights - first }] {
        let chunks = || budget.chunks(span, &matrix);
        cover(chunks(), chunks().rev(), span, |chunk| {
            assert!(chunk.rows == 1 && chunk.units() * size <= budget.chunk);
        });
    }
    let longest = (budget.chunk / size).min(budget.mask / 4 * 32);
    let Some(chunks) = budget.row_chunks(Span::whole(3, &matrix), &matrix) else { return assert!(cols > longest) };
    let reversed = budget.row_chunks(Span::whole(3, &matrix), &matrix).expect("as before").rev();
    cover(chunks, reversed, Span::whole(3, &matrix), |chunk| {
        assert_eq!(u64::from(chunk.cols), cols);
        assert!(chunk.units() * size <= budget.chunk);
        assert!(u64::from(chunk.rows) * cols.div_ceil(32) * 4 <= budget.mask);
    });
}

fn cover(forth: impl Iterator<Item = Chunk>, back: impl Iterator<Item = Chunk>, span: Span, check: impl Fn(Chunk)) {
    let (mut start, mut end) = (span.first, span.first + span.units);
    for chunk in forth.take(LOOKED_AT) {
        check(chunk);
        assert!(chunk.units() > 0);
        assert_eq!((chunk.job, chunk.first), (span.job, start));
        start += chunk.units();
    }
    for chunk in back.take(LOOKED_AT).take_while(|chunk| chunk.first >= start) {
        check(chunk);
        assert!(chunk.units() > 0);
        assert_eq!(chunk.first + chunk.units(), end);
        end = chunk.first;
    }
    assert!(start <= end);
}
