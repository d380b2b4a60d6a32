//! Random matrices, and which of their weights are gone.

use super::Pattern;
use crate::reference::{self, Matrix};
use crate::{Dtype, Shape, quota};

/// A generator that is the same everywhere: xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 on and below 1.
    pub fn share(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Bell-shaped about 0, with a variance of 1/3.
    pub fn bell(&mut self) -> f64 {
        self.share() + self.share() + self.share() + self.share() - 2.0
    }
}

/// Bell-shaped weights, none of them 0.
pub fn weights(dtype: Dtype, shape: Shape, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    // Bell-shaped numbers are slow to make, so that they are drawn from many.
    let table: Vec<u32> = (0..1 << 16)
        .map(|_| {
            let value = 0.05 * random.bell();
            let sign = if value < 0.0 { dtype.max_key() + 1 } else { 0 };
            dtype.key_at_most(value.abs()).max(1) | sign
        })
        .collect();
    let mut bytes = Vec::with_capacity(shape.weights() as usize * dtype.size());
    for _ in 0..shape.weights() {
        bytes.extend_from_slice(&table[random.word() as usize & 0xffff].to_le_bytes()[..dtype.size()]);
    }
    bytes
}

/// `columns` vectors, one behind the other.
pub fn vectors(cols: u64, columns: u32, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..cols * u64::from(columns)).map(|_| random.bell() as f32).collect()
}

/// The mask of a pattern: 1 bit per weight, 1 = kept, every row starting a new word.
pub fn mask(matrix: Matrix<'_>, pattern: Pattern, sparsity: f64) -> Vec<u32> {
    let Matrix { shape, .. } = matrix;
    let words = shape.mask_words_per_row() as usize;
    let (rows, cols) = (shape.rows as usize, shape.cols as usize);
    let mut random = Random::new(7);
    let mut mask = vec![0; rows * words];
    let mut keep = |row: usize, col: usize| mask[row * words + col / 32] |= 1 << (col % 32);
    match pattern {
        Pattern::Group { keep, of } => return reference::group(matrix, keep as usize, of as usize),
        Pattern::Given => {
            for (at, _) in matrix.keys().enumerate().filter(|(_, key)| *key != 0) {
                keep(at / cols, at % cols);
            }
        }
        Pattern::Random => {
            for row in 0..rows {
                (0..cols).filter(|_| random.share() >= sparsity).for_each(|col| keep(row, col));
            }
        }
        Pattern::Magnitude => {
            let k = quota(sparsity, shape.weights()) as usize;
            let mut order: Vec<u64> = matrix.keys().zip(0u64..).map(|(key, at)| u64::from(key) << 32 | at).collect();
            if k < order.len() {
                order.select_nth_unstable(k);
                let stay = order[k..].iter().map(|entry| (entry & 0xffff_ffff) as usize);
                stay.for_each(|at| keep(at / cols, at % cols));
            }
        }
        Pattern::Block { rows: height, cols: width } => {
            for top in (0..rows).step_by(height as usize) {
                for left in (0..cols).step_by(width as usize) {
                    if random.share() >= sparsity {
                        for row in top..rows.min(top + height as usize) {
                            (left..cols.min(left + width as usize)).for_each(|col| keep(row, col));
                        }
                    }
                }
            }
        }
    }
    mask
}

/// The weights that a mask keeps, +0.0 in the place of others.
pub fn masked(matrix: Matrix<'_>, mask: &[u32]) -> Vec<u8> {
    let mut bytes = matrix.bytes.to_vec();
    reference::apply(matrix.dtype, matrix.shape, matrix.stride, mask, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_leave_out_what_they_say() {
        let (dtype, shape) = (Dtype::F16, Shape::new(60, 90));
        let bytes = weights(dtype, shape, 1);
        let matrix = Matrix::dense(dtype, shape, &bytes);
        assert!(matrix.keys().all(|key| key > 0));
        let gone = |pattern, sparsity| {
            let mask = mask(matrix, pattern, sparsity);
            let zeros = Matrix::dense(dtype, shape, &masked(matrix, &mask)).keys().filter(|key| *key == 0).count();
            let kept: u32 = mask.iter().map(|word| word.count_ones()).sum();
            assert_eq!(zeros + kept as usize, 5400, "no bit behind a row's end");
            zeros as f64 / 5400.0
        };
        assert_eq!(gone(Pattern::Magnitude, 0.3), 0.3);
        assert_eq!((gone(Pattern::Random, 0.0), gone(Pattern::Random, 1.0)), (0.0, 1.0));
        assert!((gone(Pattern::Random, 0.7) - 0.7).abs() < 0.05);
        let mut some = bytes.clone();
        some[..2 * 540].fill(0);
        // A zero with a sign is a zero.
        some[1] = 0x80;
        let mask = mask(Matrix::dense(dtype, shape, &some), Pattern::Given, 0.0);
        assert_eq!(mask.iter().map(|word| word.count_ones()).sum::<u32>(), 5400 - 540);
        // 22 groups of a row, and a rest of two that stays.
        assert_eq!(gone(Pattern::Group { keep: 2, of: 4 }, 0.9), 44.0 / 90.0);
        assert!((gone(Pattern::Block { rows: 4, cols: 4 }, 0.5) - 0.5).abs() < 0.1);
    }
}
