use super::packed::{Row, from_words, to_words};
use super::{Packed, scan};
use crate::Dtype;

/// Slots of a step.
const STEP: usize = 8;

/// 16 bytes of one row in one step: one of columns, and one or two of weights.
fn quads_per_step(dtype: Dtype) -> usize {
    1 + dtype.size() / 2
}

/// Quads before each slice and in all, weights of each row; slots. Twin of `shaders/ell_pack.wgsl`.
pub(super) fn pack(rows: &[Row], dtype: Dtype, slice: u32) -> (Vec<u32>, Vec<u32>) {
    let slice = slice as usize;
    let steps = |rows: &[Row]| rows.iter().map(|row| row.len().div_ceil(STEP)).max().unwrap_or(0);
    let quads: Vec<u32> = rows.chunks(slice).map(|rows| (steps(rows) * slice * quads_per_step(dtype)) as u32).collect();
    let mut index = scan(&quads);
    index.extend(rows.iter().map(|row| row.len() as u32));
    let mut data = Vec::new();
    for rows in rows.chunks(slice) {
        for step in 0..steps(rows) {
            let slots = |lane: usize| {
                let row = rows.get(lane).map_or(&[][..], |row| row);
                (step * STEP..(step + 1) * STEP).map(|n| row.get(n).copied().unwrap_or((0, 0)))
            };
            let columns: Vec<Vec<u32>> =
                (0..slice).map(|lane| to_words(Dtype::F16, slots(lane).map(|slot| slot.0))).collect();
            let weights: Vec<Vec<u32>> =
                (0..slice).map(|lane| to_words(dtype, slots(lane).map(|slot| slot.1))).collect();
            data.extend(columns.concat());
            for quad in 0..quads_per_step(dtype) - 1 {
                data.extend(weights.iter().flat_map(|words| &words[4 * quad..4 * quad + 4]));
            }
        }
    }
    (index, data)
}

/// The rows of it; none if the words contradict each other.
pub(super) fn rows(packed: &Packed, slice: u32) -> Option<Vec<Row>> {
    let (rows, slice, dtype) = (packed.shape.rows as usize, slice as usize, packed.dtype);
    let (places, lengths) = packed.index.split_at_checked(rows.div_ceil(slice) + 1)?;
    let sound = places.is_sorted() && places[0] == 0 && 4 * *places.last()? as usize == packed.values.len();
    if lengths.len() != rows || !sound {
        return None;
    }
    let per_step = slice * quads_per_step(dtype);
    let row = |r: usize| {
        let (begin, end) = (places[r / slice] as usize, places[r / slice + 1] as usize);
        if begin + (lengths[r] as usize).div_ceil(STEP) * per_step > end {
            return None;
        }
        let slot = |n: usize| {
            let at = begin + n / STEP * per_step + r % slice;
            let column = from_words(Dtype::F16, &packed.values[4 * at..], n % STEP)?;
            let (in_quad, quad) = (n % STEP % (16 / dtype.size()), n % STEP / (16 / dtype.size()));
            Some((column, from_words(dtype, &packed.values[4 * (at + (1 + quad) * slice)..], in_quad)?))
        };
        (0..lengths[r] as usize).map(slot).collect()
    };
    (0..rows).map(row).collect()
}
