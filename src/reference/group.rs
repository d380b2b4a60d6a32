use super::Matrix;

/// The mask that keeps the `keep` largest of each `of` consecutive weights of a row, from column 0 on; ties go lowest
/// column first, and a shorter rest at a row's end stays. Twin of `shaders/group.wgsl`.
///
/// # Panics
/// If `of` is 0 or less than `keep`.
pub fn group(matrix: Matrix<'_>, keep: usize, of: usize) -> Vec<u32> {
    let words = matrix.shape.mask_words_per_row() as usize;
    let mut mask = vec![0; matrix.shape.rows as usize * words];
    for row in 0..matrix.shape.rows as usize {
        let keys: Vec<(u32, usize)> = matrix.row_keys(row).zip(0..).collect();
        for group in keys.chunks(of) {
            let mut order = group.to_vec();
            order.sort_unstable();
            let goes = if group.len() < of { 0 } else { of - keep };
            for (_, col) in &order[goes..] {
                mask[row * words + col / 32] |= 1 << (col % 32);
            }
        }
    }
    mask
}
