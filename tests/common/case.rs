//! Matrices of awkward sizes and values, on the host and in buffers.

use lopper::kernels::{MatrixView, ThresholdRule};
use lopper::reference::{self, Cut, Matrix, Quota};
use lopper::{Dtype, Shape, wgpu};

use super::{Fill, buffer, weights};

/// `(rows, cols, gap between rows, offset in bytes)`: around every size at which a kernel changes its ways.
pub const SHAPES: &[(u32, u32, u32, u64)] = &[
    (1, 1, 0, 0),
    (1, 31, 0, 0),
    (1, 32, 0, 0),
    (1, 33, 0, 0),
    (1, 2047, 0, 0),
    (1, 2048, 0, 0),
    (1, 2049, 0, 256),
    (1, 70_001, 0, 0),
    (3, 1, 0, 0),
    (5, 7, 0, 0),
    (7, 64, 0, 0),
    (9, 33, 3, 4),
    (4, 96, 32, 512),
    (33, 257, 0, 12),
    (64, 1024, 0, 0),
    (2, 33_000, 0, 0),
];

/// A matrix that is hard to prune.
pub struct Case {
    pub dtype: Dtype,
    pub shape: (u32, u32, u32, u64),
    pub fill: Fill,
    pub bytes: Vec<u8>,
}

impl Case {
    pub fn all() -> impl Iterator<Item = Case> {
        let fills = Fill::ALL.into_iter();
        Dtype::ALL.into_iter().flat_map(move |dtype| {
            let fills = fills.clone();
            SHAPES
                .iter()
                .enumerate()
                .flat_map(move |(i, &shape)| fills.clone().map(move |fill| Case::new(dtype, shape, fill, i as u64)))
        })
    }

    pub fn new(dtype: Dtype, shape: (u32, u32, u32, u64), fill: Fill, seed: u64) -> Self {
        let (rows, cols, gap, _) = shape;
        let bytes = weights(dtype, rows as usize, (cols + gap) as usize, fill, seed + 1);
        Self { dtype, shape, fill, bytes }
    }

    pub fn name(&self) -> String {
        format!("{} {:?} {:?}", self.dtype, self.shape, self.fill)
    }

    pub fn matrix(&self) -> Matrix<'_> {
        let (rows, cols, gap, _) = self.shape;
        let shape = Shape::new(rows.into(), cols.into());
        Matrix { dtype: self.dtype, shape, stride: (cols + gap) as usize, bytes: &self.bytes }
    }

    /// The weights in a buffer, noise before and after them.
    pub fn upload(&self) -> wgpu::Buffer {
        let mut bytes = vec![0x5a; self.shape.3 as usize];
        bytes.extend(&self.bytes);
        bytes.extend([0x5a; 300]);
        buffer(&bytes)
    }

    pub fn view<'a>(&self, buffer: &'a wgpu::Buffer) -> MatrixView<'a> {
        let (rows, cols, gap, offset) = self.shape;
        MatrixView { buffer, offset, dtype: self.dtype, rows, cols, stride: cols + gap }
    }

    pub fn weights(&self) -> u32 {
        self.shape.0 * self.shape.1
    }

    pub fn rule(&self, quota: Quota) -> ThresholdRule {
        ThresholdRule { dtype: self.dtype, weights: self.weights(), quota }
    }

    pub fn quotas(&self) -> Vec<Quota> {
        let n = u64::from(self.weights());
        let mut counts = vec![0, 1, n / 3, n / 2, n - 1, n];
        counts.dedup();
        counts.into_iter().map(Quota::Count).collect()
    }
}

/// The cut by sorting, which no histogram can get wrong.
pub fn sorted_cut(case: &Case, k: u64) -> Cut {
    let mut keys = reference::score(case.matrix());
    keys.sort_unstable();
    let zeros = keys.iter().filter(|&&key| key == 0).count() as u64;
    let key = if k == 0 { 0 } else { keys[k as usize - 1] };
    let below = keys.iter().filter(|&&other| other < key).count() as u64;
    let ties = keys.iter().filter(|&&other| other == key).count() as u64;
    Cut { key, ties, go: k - below.min(k), zeros }
}
