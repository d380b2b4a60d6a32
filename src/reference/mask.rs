use super::{Cut, Matrix};

/// Weights in a tile: 64 words of the mask. Ties are counted and settled tile by tile.
pub const TILE_WEIGHTS: u32 = 2048;

/// One bit per weight, 1 = kept, least significant bit first; every row starts a new word.
/// Twin of `shaders/mask.wgsl` followed by `shaders/settle.wgsl`.
///
/// `cut.go` is how many ties still go; it is lowered by those that went, so that the next chunk carries on.
pub fn mask(matrix: Matrix<'_>, cut: &mut Cut) -> Vec<u32> {
    let words = matrix.shape.mask_words_per_row() as usize;
    let mut mask = vec![0; matrix.shape.rows as usize * words];
    for row in 0..matrix.shape.rows as usize {
        for (col, key) in matrix.row_keys(row).enumerate() {
            let tie_goes = key == cut.key && cut.go > 0;
            cut.go -= u64::from(tie_goes);
            if key > cut.key || key == cut.key && !tie_goes {
                mask[row * words + col / 32] |= 1 << (col % 32);
            }
        }
    }
    mask
}
