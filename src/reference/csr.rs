use super::packed::{Row, from_words, to_words};
use super::{Packed, scan};
use crate::Dtype;

/// Weights before each row and in all, columns; weights. Twin of `shaders/csr_pack.wgsl`.
pub(super) fn pack(rows: &[Row], dtype: Dtype) -> (Vec<u32>, Vec<u32>) {
    let mut index = scan(&rows.iter().map(|row| row.len() as u32).collect::<Vec<_>>());
    index.extend(to_words(Dtype::F16, rows.iter().flatten().map(|slot| slot.0)));
    (index, to_words(dtype, rows.iter().flatten().map(|slot| slot.1)))
}

/// The rows of it; none if the words contradict each other.
pub(super) fn rows(packed: &Packed) -> Option<Vec<Row>> {
    let (places, columns) = packed.index.split_at_checked(packed.shape.rows as usize + 1)?;
    let all = *places.last()? as usize;
    let words = (all * packed.dtype.size()).div_ceil(4);
    if !places.is_sorted() || places[0] != 0 || columns.len() != all.div_ceil(2) || packed.values.len() != words {
        return None;
    }
    let slot = |n| Some((from_words(Dtype::F16, columns, n)?, from_words(packed.dtype, &packed.values, n)?));
    places.windows(2).map(|two| (two[0] as usize..two[1] as usize).map(slot).collect()).collect()
}
