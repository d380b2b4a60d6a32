use super::packed::{Row, from_words, to_words};
use super::{Packed, scan};
use crate::{Dtype, Shape};

/// Weights of a row whose bits share an offset.
pub const BITMASK_TILE: u32 = 1024;

/// Offsets of tiles and the sum of all, mask; kept weights. Twin of `shaders/bitmask_pack.wgsl`.
pub(super) fn pack(rows: &[Row], shape: Shape, dtype: Dtype) -> (Vec<u32>, Vec<u32>) {
    let tiles = shape.cols.div_ceil(BITMASK_TILE.into()) as usize;
    let words = shape.mask_words_per_row() as usize;
    let mut counts = vec![0; rows.len() * tiles];
    let mut mask = vec![0; rows.len() * words];
    for (r, row) in rows.iter().enumerate() {
        for &(col, _) in row {
            counts[r * tiles + (col / BITMASK_TILE) as usize] += 1;
            mask[r * words + col as usize / 32] |= 1 << (col % 32);
        }
    }
    let mut index = scan(&counts);
    index.extend(mask);
    (index, to_words(dtype, rows.iter().flatten().map(|&(_, bits)| bits)))
}

/// The rows of it; none if the words contradict each other.
pub(super) fn rows(packed: &Packed) -> Option<Vec<Row>> {
    let (rows, cols) = (packed.shape.rows as usize, packed.shape.cols as usize);
    let (tiles, words) = (cols.div_ceil(BITMASK_TILE as usize), cols.div_ceil(32));
    let (places, mask) = packed.index.split_at_checked(rows * tiles + 1)?;
    if mask.len() != rows * words {
        return None;
    }
    let mut n = 0;
    let mut all = Vec::new();
    for row in 0..rows {
        let mut kept = Row::new();
        for col in 0..words * 32 {
            if col % BITMASK_TILE as usize == 0 && places[row * tiles + col / BITMASK_TILE as usize] as usize != n {
                return None;
            }
            if mask[row * words + col / 32] >> (col % 32) & 1 == 1 {
                kept.push((col as u32, from_words(packed.dtype, &packed.values, n)?));
                n += 1;
            }
        }
        all.push(kept);
    }
    (places[rows * tiles] as usize == n).then_some(all)
}
