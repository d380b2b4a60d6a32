//! Matrices and vectors that all contestants get, and what their products should be.

use half::{bf16, f16};
use lopper::Dtype;

/// A product to measure: a matrix, possibly with a mask, times vectors.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub dtype: Dtype,
    pub rows: usize,
    pub cols: usize,
    pub columns: usize,
}

/// Its numbers. `x` has a vector behind the other, all its numbers exact in each of the types.
pub struct Data {
    pub shape: Shape,
    /// As stored, rows without gaps.
    pub bytes: Vec<u8>,
    /// The same as f32; zero where the mask keeps nothing.
    pub weights: Vec<f32>,
    /// A bit for each weight, rows in words of 32.
    pub mask: Vec<u32>,
    pub x: Vec<f32>,
    /// `[columns][rows]`.
    pub y64: Vec<f64>,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

impl Data {
    /// Bell-shaped weights, a share of which is masked out at random.
    pub fn new(shape: Shape, sparsity: f64) -> Self {
        let Shape { dtype, rows, cols, columns } = shape;
        assert!(cols.is_multiple_of(32), "masks are made of whole words");
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut bytes, mut weights, mut mask) = (Vec::new(), Vec::new(), vec![0_u32; rows * cols / 32]);
        for i in 0..rows * cols {
            let wide = 0.04 * (random.unit() + random.unit() + random.unit() + random.unit() - 2.0);
            let kept = f64::from(random.unit()) >= sparsity;
            let weight = match dtype {
                Dtype::F16 => f16::from_f32(wide).to_f32(),
                Dtype::BF16 => bf16::from_f32(wide).to_f32(),
                _ => wide,
            };
            match dtype {
                Dtype::F16 => bytes.extend(f16::from_f32(weight).to_le_bytes()),
                Dtype::BF16 => bytes.extend(bf16::from_f32(weight).to_le_bytes()),
                _ => bytes.extend(weight.to_le_bytes()),
            }
            mask[i / 32] |= u32::from(kept) << (i % 32);
            weights.push(if kept { weight } else { 0.0 });
        }
        let x: Vec<f32> = (0..cols * columns).map(|_| (random.next() >> 56) as f32 / 128.0 - 1.0).collect();
        let y64 = multiply(&weights, &x, cols);
        Self { shape, bytes, weights, mask, x, y64 }
    }

    /// ‖y − y64‖ / ‖y64‖, for `y` as `[columns][rows]`.
    pub fn distance(&self, y: &[f32]) -> f64 {
        if y.len() != self.y64.len() {
            return f64::INFINITY;
        }
        let off: f64 = y.iter().zip(&self.y64).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
        let all: f64 = self.y64.iter().map(|b| b * b).sum();
        (off / all).sqrt()
    }
}

/// In f64, as `[columns][rows]`.
fn multiply(weights: &[f32], x: &[f32], cols: usize) -> Vec<f64> {
    let dot = |row: &[f32], x: &[f32]| {
        let mut sums = [0.0_f64; 8];
        for (w, x) in row.chunks_exact(8).zip(x.chunks_exact(8)) {
            for i in 0..8 {
                sums[i] += f64::from(w[i]) * f64::from(x[i]);
            }
        }
        sums.iter().sum::<f64>()
    };
    x.chunks_exact(cols).flat_map(|x| weights.chunks_exact(cols).map(move |row| dot(row, x))).collect()
}
