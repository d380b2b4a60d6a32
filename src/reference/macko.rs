use super::packed::{Row, from_words, to_words};
use super::{Packed, scan};
use crate::Dtype;

/// Weights of a step.
const STEP: usize = 8;

/// The largest gap.
const MOST: u32 = 15;

/// A row's gaps and weights, in whole steps: those of [`MOST`] and +0.0 where more columns are skipped.
fn slots(row: &Row) -> Vec<(u32, u32)> {
    let (mut slots, mut next) = (Vec::with_capacity(row.len().next_multiple_of(STEP)), 0);
    for &(col, bits) in row {
        while col - next > MOST {
            slots.push((MOST, 0));
            next += MOST + 1;
        }
        slots.push((col - next, bits));
        next = col + 1;
    }
    slots.resize(slots.len().next_multiple_of(STEP), (0, 0));
    slots
}

/// Steps before each row and in all, gaps of 4 bits; weights. Twin of `shaders/macko_pack.wgsl`.
pub(super) fn pack(rows: &[Row], dtype: Dtype) -> (Vec<u32>, Vec<u32>) {
    let rows: Vec<_> = rows.iter().map(slots).collect();
    let mut index = scan(&rows.iter().map(|row| (row.len() / STEP) as u32).collect::<Vec<_>>());
    let slots = rows.concat();
    index.extend(slots.chunks(STEP).map(|step| step.iter().rev().fold(0, |word, slot| word << 4 | slot.0)));
    (index, to_words(dtype, slots.iter().map(|slot| slot.1)))
}

/// The rows of it, without weights of +0.0, which may stand for none; none if the words contradict each other.
pub(super) fn rows(packed: &Packed) -> Option<Vec<Row>> {
    let (places, gaps) = packed.index.split_at_checked(packed.shape.rows as usize + 1)?;
    let words = STEP * gaps.len() * packed.dtype.size() / 4;
    if !places.is_sorted() || places[0] != 0 || *places.last()? as usize != gaps.len() || packed.values.len() != words {
        return None;
    }
    let row = |two: &[u32]| {
        let (mut row, mut next) = (Row::new(), 0u32);
        for n in STEP * two[0] as usize..STEP * two[1] as usize {
            let col = next.checked_add(gaps[n / STEP] >> (4 * (n % STEP)) & MOST)?;
            let bits = from_words(packed.dtype, &packed.values, n)?;
            if bits != 0 {
                row.push((col, bits));
            }
            next = col.checked_add(1)?;
        }
        Some(row)
    };
    places.windows(2).map(row).collect()
}
