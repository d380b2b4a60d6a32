use super::{Matrix, gemv};
use crate::Activation;

/// [`gemv`] of each of several vectors, one behind the other; and so the results. Twin of `shaders/gemm.wgsl`.
///
/// # Panics
/// If `bias` is shorter than a column.
pub fn gemm(matrix: Matrix<'_>, x: &[f32], bias: Option<&[f32]>, activation: Activation) -> Vec<f32> {
    x.chunks_exact(matrix.shape.cols as usize).flat_map(|x| gemv(matrix, x, bias, activation)).collect()
}
