use super::Matrix;

/// The mask that prunes the `k` smallest of each row by itself; ties go lowest column first.
/// Twin of `shaders/row.wgsl`.
///
/// # Panics
/// If `k` is larger than the number of columns.
pub fn row(matrix: Matrix<'_>, k: u64) -> Vec<u32> {
    let words = matrix.shape.mask_words_per_row() as usize;
    let mut mask = vec![0; matrix.shape.rows as usize * words];
    for row in 0..matrix.shape.rows as usize {
        let mut order: Vec<(u32, usize)> = matrix.row_keys(row).zip(0..).collect();
        order.sort_unstable();
        for (_, col) in &order[k as usize..] {
            mask[row * words + col / 32] |= 1 << (col % 32);
        }
    }
    mask
}
