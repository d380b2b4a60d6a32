//! What masks keep.

use serde::Serialize;

use super::bits;
use super::open::{MaskInfo, Masks};
use super::pieces::{Piece, Pieces};
use crate::{OnBytes, Result};

/// What a mask keeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorStats {
    /// The weight's name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// How many are kept.
    pub kept: u64,
    /// Rows, `[shape[0], product of the rest]`; a tensor of fewer than two dimensions is one.
    pub rows: u64,
    /// Rows of which nothing is kept: outputs that are always 0, or their bias.
    pub empty_rows: u64,
    /// The share of the groups of 4 along a row of which at most 2 are kept; none where rows are no multiple of 4.
    pub two_of_four: Option<f64>,
}

#[derive(Clone, Default)]
struct Tally {
    kept: u64,
    empty_rows: u64,
    /// Groups of 4 that keep more than 2.
    full_groups: u64,
    /// Rows that a piece does not hold whole: number, and what of it is kept.
    parts: Vec<(u64, u64)>,
}

/// Counts what masks keep.
///
/// # Errors
/// Those of reading; [`Error::Cancelled`](crate::Error::Cancelled) where it was stopped.
pub fn stats(masks: &Masks, progress: OnBytes<'_>) -> Result<Vec<TensorStats>> {
    let infos = masks.masks();
    let total = infos.iter().enumerate().map(|(number, mask)| mask.weights * masks.width(number) / 8).sum();
    let pieces = Pieces::new(infos.iter().enumerate().map(|(number, mask)| (mask.weights, masks.width(number))));
    let new = || (vec![Tally::default(); infos.len()], Vec::new(), Vec::new());
    let tallies = pieces.each(total, progress, new, |(tallies, bits, scratch), piece| {
        bits.resize(piece.mask_bytes(), 0);
        masks.read(piece.tensor, piece.first, bits, scratch)?;
        tallies[piece.tensor].add(bits, piece, columns(&infos[piece.tensor]));
        Ok(piece.count * masks.width(piece.tensor) / 8)
    })?;
    let tensor = |(number, mask): (usize, &MaskInfo)| {
        let mut all = Tally::default();
        for (tallies, ..) in &tallies {
            let Tally { kept, empty_rows, full_groups, parts } = &tallies[number];
            all.kept += kept;
            all.empty_rows += empty_rows;
            all.full_groups += full_groups;
            all.parts.extend(parts);
        }
        let columns = columns(mask);
        let rows = mask.weights.checked_div(columns).unwrap_or(0);
        let groups = mask.weights / 4;
        TensorStats {
            name: mask.name.clone(),
            shape: mask.shape.clone(),
            weights: mask.weights,
            kept: all.kept,
            rows,
            empty_rows: all.empty_rows + empty_parts(all.parts),
            two_of_four: (groups > 0 && columns.is_multiple_of(4))
                .then(|| 1.0 - all.full_groups as f64 / groups as f64),
        }
    };
    Ok(infos.iter().enumerate().map(tensor).collect())
}

/// Weights of a row.
fn columns(mask: &MaskInfo) -> u64 {
    match &mask.shape[..] {
        [_, rest @ ..] if !rest.is_empty() => rest.iter().product(),
        _ => mask.weights,
    }
}

impl Tally {
    fn add(&mut self, bits: &[u8], piece: Piece, columns: u64) {
        self.kept += bits::count(bits);
        self.full_groups += bits.iter().map(|byte| FULL[usize::from(*byte)]).sum::<u64>();
        let (mut at, end) = (piece.first, piece.first + piece.count);
        while at < end {
            let row = at / columns;
            let until = end.min((row + 1) * columns);
            let kept = count_range(bits, (at - piece.first) as usize, (until - piece.first) as usize);
            match until - at == columns {
                true => self.empty_rows += u64::from(kept == 0),
                false => self.parts.push((row, kept)),
            }
            at = until;
        }
    }
}

/// How many of both groups of 4 in a byte keep more than 2.
const FULL: [u64; 256] = {
    let mut full = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        full[byte] = ((byte as u8 & 15).count_ones() > 2) as u64 + ((byte as u8 >> 4).count_ones() > 2) as u64;
        byte += 1;
    }
    full
};

/// How many bits from `from` to before `to` are set.
fn count_range(bits: &[u8], from: usize, to: usize) -> u64 {
    let (first, last) = (from.div_ceil(8) * 8, to / 8 * 8);
    if first >= last {
        return (from..to).filter(|i| bits::get(bits, *i)).count() as u64;
    }
    let single = |range: std::ops::Range<usize>| range.filter(|i| bits::get(bits, *i)).count() as u64;
    single(from..first) + bits::count(&bits[first / 8..last / 8]) + single(last..to)
}

/// Rows all of whose parts are empty.
fn empty_parts(mut parts: Vec<(u64, u64)>) -> u64 {
    parts.sort_unstable();
    parts.chunk_by(|a, b| a.0 == b.0).filter(|row| row.iter().all(|(_, kept)| *kept == 0)).count() as u64
}
