use super::Packed;
use super::packed::{Row, from_words, to_words};
use crate::{Dtype, Error, Result, Shape};

/// Places of a row: `keep` for each whole group, one for each weight behind the last.
fn places(cols: usize, (keep, of): (u32, u32)) -> usize {
    cols / of as usize * keep as usize + cols % of as usize
}

/// No group that keeps too many, mask; weights. Twin of `shaders/nm_pack.wgsl`.
pub(super) fn pack(rows: &[Row], shape: Shape, dtype: Dtype, (keep, of): (u32, u32)) -> Result<(Vec<u32>, Vec<u32>)> {
    let words = shape.mask_words_per_row() as usize;
    let per_row = places(shape.cols as usize, (keep, of));
    let whole = shape.cols as u32 / of * of;
    let mut index = vec![0; 1 + rows.len() * words];
    let mut values = vec![0; rows.len() * per_row];
    let mut over = 0;
    for (r, row) in rows.iter().enumerate() {
        let (mut group, mut n) = (0, 0);
        for &(col, bits) in row {
            if col / of != group {
                (group, n) = (col / of, 0);
            }
            index[1 + r * words + col as usize / 32] |= 1 << (col % 32);
            over += u32::from(n == keep && col < whole);
            if n < keep || col >= whole {
                values[r * per_row + (group * keep + n) as usize] = bits;
            }
            n += 1;
        }
    }
    if over > 0 {
        return Err(too_many(over, (keep, of)));
    }
    Ok((index, to_words(dtype, values.into_iter())))
}

/// A mask of another pattern.
pub(crate) fn too_many(groups: u32, (keep, of): (u32, u32)) -> Error {
    Error::View { what: "mask", problem: format!("{groups} groups keep more than {keep} of {of}") }
}

/// The rows of it; none if the words contradict each other.
pub(super) fn rows(packed: &Packed, (keep, of): (u32, u32)) -> Option<Vec<Row>> {
    let (rows, cols) = (packed.shape.rows as usize, packed.shape.cols as usize);
    let (words, per_row) = (cols.div_ceil(32), places(cols, (keep, of)));
    let (over, mask) = packed.index.split_first()?;
    let sound = mask.len() == rows * words && packed.values.len() == (rows * per_row * packed.dtype.size()).div_ceil(4);
    if *over > 0 || !sound {
        return None;
    }
    let whole = cols as u32 / of * of;
    let row = |r: usize| {
        let mut kept = Row::new();
        let (mut group, mut n) = (0, 0);
        for col in 0..words as u32 * 32 {
            if mask[r * words + col as usize / 32] >> (col % 32) & 1 == 0 {
                continue;
            }
            if col / of != group {
                (group, n) = (col / of, 0);
            }
            if n >= keep && col < whole || col as usize >= cols {
                return None;
            }
            kept.push((col, from_words(packed.dtype, &packed.values, r * per_row + (group * keep + n) as usize)?));
            n += 1;
        }
        Some(kept)
    };
    (0..rows).map(row).collect()
}
