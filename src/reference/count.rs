use super::Matrix;

/// How many weights are not ±0, and how many bits of the mask are set. Twin of `shaders/count.wgsl`.
pub fn count(matrix: Matrix<'_>, mask: &[u32]) -> (u64, u64) {
    let nonzero = matrix.keys().filter(|&key| key != 0).count() as u64;
    (nonzero, mask.iter().map(|word| u64::from(word.count_ones())).sum())
}
