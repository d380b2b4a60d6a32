use std::collections::BTreeMap;

use super::packed::{Row, from_words, to_words};
use super::{Packed, scan};
use crate::Dtype;

/// Blocks before each row of blocks and in all, their columns; weights, block by block. Twin of `shaders/block_pack.wgsl`.
pub(super) fn pack(rows: &[Row], dtype: Dtype, (height, width): (u32, u32)) -> (Vec<u32>, Vec<u32>) {
    let (mut counts, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for rows in rows.chunks(height as usize) {
        let mut blocks = BTreeMap::new();
        for (r, row) in rows.iter().enumerate() {
            for &(col, bits) in row {
                let block = blocks.entry(col / width).or_insert_with(|| vec![0; (height * width) as usize]);
                block[r * width as usize + (col % width) as usize] = bits;
            }
        }
        counts.push(blocks.len() as u32);
        columns.extend(blocks.keys().copied());
        values.extend(blocks.into_values().flatten());
    }
    let mut index = scan(&counts);
    index.extend(to_words(Dtype::F16, columns.into_iter()));
    (index, to_words(dtype, values.into_iter()))
}

/// The rows of it, with all weights of kept blocks; none if the words contradict each other.
pub(super) fn rows(packed: &Packed, (height, width): (u32, u32)) -> Option<Vec<Row>> {
    let (rows, cols) = (packed.shape.rows as usize, packed.shape.cols as u32);
    let (height, area) = (height as usize, (height * width) as usize);
    let (places, columns) = packed.index.split_at_checked(rows.div_ceil(height) + 1)?;
    let all = *places.last()? as usize;
    let words = (all * area * packed.dtype.size()).div_ceil(4);
    if !places.is_sorted() || places[0] != 0 || columns.len() != all.div_ceil(2) || packed.values.len() != words {
        return None;
    }
    let row = |r: usize| {
        let mut kept = Row::new();
        for n in places[r / height] as usize..places[r / height + 1] as usize {
            let first = from_words(Dtype::F16, columns, n)? * width;
            if first >= cols {
                return None;
            }
            for col in first..(first + width).min(cols) {
                let at = n * area + r % height * width as usize + (col - first) as usize;
                kept.push((col, from_words(packed.dtype, &packed.values, at)?));
            }
        }
        Some(kept)
    };
    (0..rows).map(row).collect()
}
