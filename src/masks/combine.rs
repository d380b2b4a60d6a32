//! Masks into a mask file: as they are, inverted, or several of them together.

use super::bits;
use super::file::{MaskFile, MaskTo, Written};
use super::open::{MaskInfo, Masks, short};
use super::pieces::Pieces;
use crate::{Error, Result};

/// What becomes of several masks, bit by bit; 1 is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Kept by all of them.
    And,
    /// Kept by at least one.
    Or,
    /// Kept by an odd number of them: of two masks, where they differ.
    Xor,
}

impl Operation {
    fn onto(self, sum: &mut [u8], other: &[u8]) {
        let pairs = sum.iter_mut().zip(other);
        match self {
            Operation::And => pairs.for_each(|(sum, other)| *sum &= other),
            Operation::Or => pairs.for_each(|(sum, other)| *sum |= other),
            Operation::Xor => pairs.for_each(|(sum, other)| *sum ^= other),
        }
    }
}

/// Writes masks to a mask file, as they are.
///
/// # Errors
/// Those of reading and of [`Fresh`](crate::checkpoint::Fresh); [`Error::Cancelled`] where it was stopped. Nothing is written then.
pub fn extract(masks: &Masks, to: &MaskTo<'_>) -> Result<Written> {
    write(&[masks], None, to)
}

/// Writes masks to a mask file that keep what these prune, and prune what these keep.
///
/// # Errors
/// As [`extract`].
pub fn invert(masks: &Masks, to: &MaskTo<'_>) -> Result<Written> {
    write(&[masks], Some(Last::Invert), to)
}

/// Writes the combination of masks, which are for the same weights, to a mask file; they are in the first ones' order.
///
/// # Errors
/// As [`extract`]; and [`Error::Data`] where one lacks a weight that another one has, or has it in another shape.
pub fn combine(operation: Operation, masks: &[&Masks], to: &MaskTo<'_>) -> Result<Written> {
    if masks.is_empty() {
        return Err(Error::Rule("masks are combined with one another: give two or more".into()));
    }
    write(masks, Some(Last::Combine(operation)), to)
}

#[derive(Clone, Copy)]
enum Last {
    Invert,
    Combine(Operation),
}

fn write(operands: &[&Masks], what: Option<Last>, to: &MaskTo<'_>) -> Result<Written> {
    let (first, others) = operands.split_first().expect("there is one at least");
    let infos = first.masks();
    let places = others.iter().map(|other| same(first, other)).collect::<Result<Vec<_>>>()?;
    // Of each weight, the bits read of all operands together.
    let others: Vec<(&Masks, Vec<usize>)> = others.iter().copied().zip(places).collect();
    let widths: Vec<u64> = (0..infos.len())
        .map(|mask| first.width(mask) + others.iter().map(|(masks, places)| masks.width(places[mask])).sum::<u64>())
        .collect();
    let total = infos.iter().zip(&widths).map(|(mask, width)| mask.weights * width / 8).sum();
    let pieces = Pieces::new(infos.iter().map(|mask| mask.weights).zip(widths.iter().copied()));
    let file = MaskFile::create(infos, operands, to)?;
    let new = || (vec![0u64; infos.len()], [(); 3].map(|()| Vec::new()));
    let counts = pieces.each(total, to.progress, new, |(kept, [sum, other, scratch]), piece| {
        let mask = piece.tensor;
        sum.resize(piece.mask_bytes(), 0);
        first.read(mask, piece.first, sum, scratch)?;
        for (masks, places) in &others {
            other.resize(piece.mask_bytes(), 0);
            masks.read(places[mask], piece.first, other, scratch)?;
            if let Some(Last::Combine(operation)) = what {
                operation.onto(sum, other);
            }
        }
        if let Some(Last::Invert) = what {
            sum.iter_mut().for_each(|byte| *byte = !*byte);
            bits::clear_tail(sum, piece.first + piece.count);
        }
        kept[mask] += bits::count(sum);
        file.write(mask, piece.first, sum)?;
        Ok(piece.count * widths[mask] / 8)
    })?;
    let kept = (0..infos.len()).map(|mask| counts.iter().map(|(kept, _)| kept[mask]).sum());
    file.commit(infos, kept)
}

/// Where the masks of `first` are in `other`, which has no others.
fn same(first: &Masks, other: &Masks) -> Result<Vec<usize>> {
    let by_name = other.by_name();
    let path = |masks: &Masks| {
        masks.checkpoint().shards().first().map_or_else(String::new, |s| s.path().display().to_string())
    };
    let place = |mask: &MaskInfo| {
        let wrong = |problem| other.checkpoint().bad(0, &mask.name, problem);
        let Some(&place) = by_name.get(mask.name.as_str()) else {
            return Err(wrong(format!("it has no mask here, but one in {}", path(first))));
        };
        let (shape, here) = (short(&mask.shape), &other.masks()[place].shape);
        match *here == mask.shape {
            true => Ok(place),
            false => Err(wrong(format!("its mask has the shape {}, in {} it is {shape}", short(here), path(first)))),
        }
    };
    let places = first.masks().iter().map(place).collect::<Result<Vec<_>>>()?;
    if places.len() < other.masks().len() {
        let by_name = first.by_name();
        let more = other.masks().iter().find(|mask| !by_name.contains_key(mask.name.as_str()));
        let name = more.map_or("", |mask| mask.name.as_str());
        return Err(first.checkpoint().bad(0, name, format!("it has no mask here, but one in {}", path(other))));
    }
    Ok(places)
}
