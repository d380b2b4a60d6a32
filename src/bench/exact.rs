//! The product in f64, which every kernel is held against before it is timed.

use crate::reference::Matrix;

/// ‖y − y′‖ / ‖y′‖ up to which a product of `f32` sums is right, as in the tests.
pub const NEAR: f64 = 1e-5;

/// Vectors of a batch that are looked at: all if they are few, else the first, the last and some between.
pub fn looked_at(columns: u32) -> Vec<u32> {
    match columns {
        0..=4 => (0..columns).collect(),
        _ => vec![0, columns / 3, columns / 2 + 1, columns - 1],
    }
}

/// For each of these vectors, which lie one behind the other in `x`, the product: one number for each row.
pub fn products(matrix: Matrix<'_>, x: &[f32], columns: &[u32]) -> Vec<Vec<f64>> {
    let (rows, cols) = (matrix.shape.rows as usize, matrix.shape.cols as usize);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let per = rows.div_ceil(threads).max(1);
    let mut all = vec![vec![0.0; rows]; columns.len()];
    // Each thread has some rows of every product.
    let mut parts: Vec<Vec<&mut [f64]>> = (0..rows.div_ceil(per)).map(|_| Vec::new()).collect();
    for product in &mut all {
        parts.iter_mut().zip(product.chunks_mut(per)).for_each(|(part, rows)| part.push(rows));
    }
    std::thread::scope(|scope| {
        for (number, mut part) in parts.into_iter().enumerate() {
            scope.spawn(move || {
                let mut row_values = vec![0.0; cols];
                for row in 0..part.first().map_or(0, |rows| rows.len()) {
                    let start = (number * per + row) * matrix.stride;
                    for (col, value) in row_values.iter_mut().enumerate() {
                        *value = f64::from(matrix.dtype.value(matrix.dtype.bits(matrix.bytes, start + col)));
                    }
                    for (&column, rows) in columns.iter().zip(&mut part) {
                        let x = &x[column as usize * cols..][..cols];
                        rows[row] = row_values.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum();
                    }
                }
            });
        }
    });
    all
}

/// ‖y − y′‖ / ‖y′‖ over these vectors; NaN where `y` has one.
pub fn distance(y: &[f32], columns: &[u32], want: &[Vec<f64>]) -> f64 {
    let (mut apart, mut all) = (0.0, 0.0);
    for (&column, want) in columns.iter().zip(want) {
        let y = &y[column as usize * want.len()..][..want.len()];
        for (y, want) in y.iter().zip(want) {
            apart += (f64::from(*y) - want) * (f64::from(*y) - want);
            all += want * want;
        }
    }
    if all > 0.0 { (apart / all).sqrt() } else { apart.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dtype, Shape};

    #[test]
    fn it_is_what_plain_loops_give_and_tells_what_is_wrong() {
        let (rows, cols) = (7, 5);
        let weights: Vec<f32> = (0..rows * cols).map(|i| (i as f32 - 11.0) * 0.37).collect();
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let x: Vec<f32> = (0..6 * cols).map(|i| (i as f32 * 0.7).sin()).collect();
        let matrix = Matrix::dense(Dtype::F32, Shape::new(rows as u64, cols as u64), &bytes);
        let columns = looked_at(6);
        assert_eq!((columns.clone(), looked_at(2)), (vec![0, 2, 4, 5], vec![0, 1]));
        let found = products(matrix, &x, &columns);
        let mut y = vec![0.0f32; 6 * rows];
        for column in 0..6 {
            for row in 0..rows {
                let sum = |i: usize| f64::from(weights[row * cols + i]) * f64::from(x[column * cols + i]);
                y[column * rows + row] = (0..cols).map(sum).sum::<f64>() as f32;
            }
        }
        assert!(distance(&y, &columns, &found) < 1e-7);
        y[5 * rows + 3] += 0.1;
        assert!(distance(&y, &columns, &found) > NEAR);
        y[3] = f32::NAN;
        assert!(distance(&y, &columns, &found).is_nan());
    }
}
