use super::Matrix;
use crate::{Norm, Shape};

/// Units of more weights or columns than this are summed by 64 threads.
pub const WIDE_WEIGHTS: u64 = 4096;
pub(crate) const WIDE_COLS: u64 = 256;

/// The smallest `f32` that no adapter flushes to zero.
const NORMAL: u32 = 0x0080_0000;
const INFINITY: u32 = 0x7f80_0000;
const NAN: u32 = 0x7fc0_0000;

/// The norm of each block of `rows` by `cols` weights, as the bits of an `f32`, row of blocks by row; those at the far
/// edges are cut short. L2 is the sum of squares: its order is the same. NaN where a weight is, else infinity where one
/// is. Sums have one order, which `shaders/pool.wgsl` describes; this is its twin.
pub fn pool(matrix: Matrix<'_>, rows: u64, cols: u64, norm: Norm) -> Vec<u32> {
    let Shape { rows: all_rows, cols: all_cols } = matrix.shape;
    let mut keys = Vec::new();
    for row in (0..all_rows).step_by(rows as usize) {
        for col in (0..all_cols).step_by(cols as usize) {
            let block = (row..all_rows.min(row.saturating_add(rows)), col..all_cols.min(col.saturating_add(cols)));
            let wide = cols > WIDE_COLS || rows.saturating_mul(cols) > WIDE_WEIGHTS;
            keys.push(unit(matrix, block, norm, wide));
        }
    }
    keys
}

fn unit(matrix: Matrix<'_>, (rows, cols): (std::ops::Range<u64>, std::ops::Range<u64>), norm: Norm, wide: bool) -> u32 {
    let (size, count) = (matrix.dtype.size(), (rows.end - rows.start) * (cols.end - cols.start));
    let groups = (cols.end - cols.start).div_ceil(32) * (rows.end - rows.start);
    // 8 stretches of groups, 8 threads for each.
    let stretch = groups.div_ceil(64) * 8;
    let mut sums = vec![[0f32; 4]; if wide { 64 } else { 1 }];
    let (mut largest, mut group) = (0, 0);
    for row in rows {
        for start in cols.clone().step_by(32) {
            for place in 0..32.min(cols.end - start) {
                let at = row as usize * matrix.stride + (start + place) as usize;
                let bits = matrix.dtype.common_key(matrix.dtype.key(matrix.bytes, at));
                largest = largest.max(bits);
                let sum = if wide { group / stretch * 8 + group % 8 } else { 0 };
                sums[sum as usize][place as usize * size / 4 % 4] += term(bits, norm);
            }
            group += 1;
        }
    }
    let mut folded = vec![0f32; if wide { 8 } else { 1 }];
    for ([a, b, c, d], i) in sums.iter().zip(0..) {
        folded[i % 8] += (a + b) + (c + d);
    }
    while folded.len() > 1 {
        let upper = folded.split_off(folded.len() / 2);
        folded.iter_mut().zip(upper).for_each(|(sum, more)| *sum += more);
    }
    match norm {
        _ if largest > INFINITY => NAN,
        _ if largest == INFINITY => INFINITY,
        Norm::Linf => largest,
        Norm::L1 | Norm::L2 => folded[0].to_bits(),
        Norm::Mean => normal(folded[0] * share(count)).to_bits(),
    }
}

/// What a weight adds.
fn term(bits: u32, norm: Norm) -> f32 {
    let finite = if bits < INFINITY { normal(f32::from_bits(bits)) } else { 0.0 };
    if norm == Norm::L2 { normal(finite * finite) } else { finite }
}

/// Nothing subnormal.
fn normal(value: f32) -> f32 {
    if value.to_bits() < NORMAL { 0.0 } else { value }
}

/// The share of one weight in so many.
pub(crate) fn share(weights: u64) -> f32 {
    (1.0 / weights as f64) as f32
}
