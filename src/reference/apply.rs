use crate::{Dtype, Shape};

/// Writes +0.0 over every weight whose bit is 0; kept weights keep their bits. Twin of `shaders/apply.wgsl`.
///
/// Rows of `shape.cols` weights start `stride` elements apart in `bytes`; mask rows start a new word each.
pub fn apply(dtype: Dtype, shape: Shape, stride: usize, mask: &[u32], bytes: &mut [u8]) {
    let words = shape.mask_words_per_row() as usize;
    for row in 0..shape.rows as usize {
        for col in 0..shape.cols as usize {
            if (mask[row * words + col / 32] >> (col % 32)) & 1 == 0 {
                let at = (row * stride + col) * dtype.size();
                bytes[at..at + dtype.size()].fill(0);
            }
        }
    }
}
