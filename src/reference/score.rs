use super::Matrix;

/// The key of every weight, row by row. Twin of `shaders/score.wgsl`.
pub fn score(matrix: Matrix<'_>) -> Vec<u32> {
    matrix.keys().collect()
}
