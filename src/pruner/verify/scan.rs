//! The pass over one tensor: both files block by block, weight by weight.

use super::asked::{Asked, Global};
use super::judge::Judge;
use super::{CutScope, Mismatch, TensorVerification, Verification};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::{Dtype, Result};

/// Bytes of a block; a multiple of every dtype's size.
const BLOCK: u64 = 1 << 20;

/// One tensor in both checkpoints, each with its index there.
pub(super) struct Pair<'a> {
    pub original: (&'a Checkpoint, usize),
    pub pruned: (&'a Checkpoint, usize),
    /// Told the bytes of this tensor that are done.
    pub progress: &'a dyn Fn(u64),
}

/// Keys of a tensor that changed.
pub(super) struct Cut {
    pub dtype: Dtype,
    /// The largest pruned away.
    pub pruned: u32,
    /// The smallest kept that is not zero.
    pub kept: Option<u32>,
}

/// Compares one tensor, its number in the original with what is asked of it, and adds what it finds.
pub(super) fn tensor(
    pair: &Pair<'_>,
    info: &TensorInfo,
    asked: Option<(&mut Asked<'_>, usize)>,
    found: &mut Verification,
) -> Result<Option<Cut>> {
    let name = info.dtype.to_string();
    let (scope, ties_ordered) = (CutScope::Unchanged, false);
    let mut result = TensorVerification {
        name: info.name.clone(),
        dtype: name.clone(),
        shape: Vec::new(), // filled in when one of the checkpoints is gone
        weights: 0,
        zeros_before: 0,
        zeros: 0,
        changed: 0,
        cut: None,
        scope,
        ties_ordered,
    };
    let mut cut = None;
    match Dtype::ALL.into_iter().find(|dtype| dtype.name() == name) {
        Some(dtype) => {
            let judge = match &asked {
                None => Judged::ByCut,
                Some((asked, number)) => {
                    asked.judge(*number)?.map_or(Judged::Copied(None), |judge| Judged::ByRule(Box::new(judge)))
                }
            };
            let (global, of) = weights(pair, info, dtype, judge, &mut result, found)?;
            if let (Some((asked, number)), Some(global)) = (asked, global) {
                asked.add(number, global);
            }
            cut = of;
        }
        None => bytes(pair, info, found)?,
    }
    found.weights += result.weights;
    found.zeros_before += result.zeros_before;
    found.zeros += result.zeros;
    found.changed += result.changed;
    found.tensors.push(result);
    Ok(cut)
}

/// Calls `block` with the same bytes of both files and their offset, until it returns false.
fn blocks(pair: &Pair<'_>, info: &TensorInfo, mut block: impl FnMut(&[u8], &[u8], u64) -> bool) -> Result<()> {
    let size = info.range.end - info.range.start;
    let mut buffers = [(); 2].map(|()| vec![0; size.min(BLOCK) as usize]);
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(BLOCK);
        let [before, after] = buffers.each_mut().map(|buffer| &mut buffer[..length as usize]);
        pair.original.0.read_at(pair.original.1, offset, before)?;
        pair.pruned.0.read_at(pair.pruned.1, offset, after)?;
        if !block(before, after, offset) {
            break;
        }
        offset += length;
        (pair.progress)(offset);
    }
    Ok(())
}

fn bytes(pair: &Pair<'_>, info: &TensorInfo, found: &mut Verification) -> Result<()> {
    blocks(pair, info, |before, after, start| {
        let Some(at) = differs(before, after) else { return true };
        found.mismatch(|| Mismatch::Bytes { tensor: info.name.clone(), offset: start + at });
        false
    })
}

/// How the weights of a tensor are judged.
enum Judged<'a> {
    /// Some cut must explain what went.
    ByCut,
    ByRule(Box<Judge<'a>>),
    /// All must be as it was: the first byte that is not.
    Copied(Option<u64>),
}

fn weights(
    pair: &Pair<'_>,
    info: &TensorInfo,
    dtype: Dtype,
    mut judged: Judged<'_>,
    result: &mut TensorVerification,
    found: &mut Verification,
) -> Result<(Option<Global>, Option<Cut>)> {
    result.weights = (info.range.end - info.range.start) / dtype.size() as u64;
    let rows = if info.shape.len() < 2 { 1 } else { info.shape[0] };
    let cols = result.weights.checked_div(rows).unwrap_or(0);
    let mut walk = Walk { mask: dtype.max_key(), cols, ..Walk::default() };
    let mut failed = Ok(());
    blocks(pair, info, |before, after, start| {
        match &mut judged {
            Judged::ByCut => {}
            Judged::ByRule(judge) => failed = judge.block(before, after, found),
            Judged::Copied(at) => *at = at.or_else(|| differs(before, after).map(|at| start + at)),
        }
        let wrong = |index, before, after| {
            found.mismatch(|| Mismatch::Weight { tensor: info.name.clone(), index, before, after });
        };
        match dtype.size() {
            1 => walk.block(before.as_chunks().0, after.as_chunks().0, |[b]| u32::from(b), wrong),
            2 => walk.block(before.as_chunks().0, after.as_chunks().0, |b| u16::from_le_bytes(b).into(), wrong),
            _ => walk.block(before.as_chunks().0, after.as_chunks().0, u32::from_le_bytes, wrong),
        }
        failed.is_ok()
    })?;
    failed?;
    let by_cut = matches!(judged, Judged::ByCut);
    let global = match judged {
        Judged::ByRule(judge) => judge.into_global(),
        Judged::Copied(Some(offset)) => {
            found.mismatch(|| Mismatch::Bytes { tensor: info.name.clone(), offset });
            None
        }
        Judged::ByCut | Judged::Copied(None) => None,
    };
    (result.zeros_before, result.zeros, result.changed) = (walk.zeros_before, walk.zeros, walk.changed);

    let Some(pruned) = walk.tensor.pruned else { return Ok((global, None)) };
    result.cut = Some(dtype.magnitude(pruned.key));
    result.scope = match (walk.tensor.violates(), &walk.violated) {
        (None, _) => CutScope::Tensor,
        (Some(_), None) => CutScope::Row,
        (Some(_), Some(_)) => CutScope::None,
    };
    result.ties_ordered = result.scope == CutScope::Tensor
        && walk.tensor.kept.is_none_or(|kept| kept.key > pruned.key || kept.index > pruned.index);
    if let Some((pruned, kept)) = walk.violated.filter(|_| by_cut) {
        found.mismatch(|| Mismatch::Cut {
            tensor: info.name.clone(),
            row: pruned.index / cols,
            pruned_index: pruned.index,
            pruned: dtype.magnitude(pruned.key),
            kept_index: kept.index,
            kept: dtype.magnitude(kept.key),
        });
    }
    Ok((global, Some(Cut { dtype, pruned: pruned.key, kept: walk.tensor.kept.map(|kept| kept.key) })))
}

/// The first byte that differs.
fn differs(before: &[u8], after: &[u8]) -> Option<u64> {
    if before == after { None } else { before.iter().zip(after).position(|(b, a)| b != a).map(|at| at as u64) }
}

/// A weight: its key (the bits without the sign) and where it lies.
#[derive(Clone, Copy)]
struct At {
    key: u32,
    index: u64,
}

/// Of the largest weights pruned away the last, of the smallest kept that are not zero the first: these two say all
/// about a cut and about the order of the ties at it.
#[derive(Clone, Copy, Default)]
struct Extremes {
    pruned: Option<At>,
    kept: Option<At>,
}

impl Extremes {
    fn pruned(&mut self, at: At) {
        if self.pruned.is_none_or(|largest| at.key >= largest.key) {
            self.pruned = Some(at);
        }
    }

    fn kept(&mut self, at: At) {
        if self.kept.is_none_or(|smallest| at.key < smallest.key) {
            self.kept = Some(at);
        }
    }

    fn violates(&self) -> Option<(At, At)> {
        self.pruned.zip(self.kept).filter(|(pruned, kept)| pruned.key > kept.key)
    }
}

#[derive(Default)]
struct Walk {
    mask: u32,
    cols: u64,
    /// The next weight.
    index: u64,
    row: Extremes,
    tensor: Extremes,
    /// The first row whose cut does not hold.
    violated: Option<(At, At)>,
    zeros_before: u64,
    zeros: u64,
    changed: u64,
}

impl Walk {
    fn block<const N: usize>(
        &mut self,
        mut before: &[[u8; N]],
        mut after: &[[u8; N]],
        bits: impl Fn([u8; N]) -> u32 + Copy,
        mut wrong: impl FnMut(u64, u32, u32),
    ) {
        while !before.is_empty() {
            let left = self.cols - self.index % self.cols;
            let take = before.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.part_of_row(&before[..take], &after[..take], bits, &mut wrong);
            (before, after) = (&before[take..], &after[take..]);
            if take as u64 == left {
                self.end_row();
            }
        }
    }

    fn part_of_row<const N: usize>(
        &mut self,
        before: &[[u8; N]],
        after: &[[u8; N]],
        bits: impl Fn([u8; N]) -> u32,
        wrong: &mut impl FnMut(u64, u32, u32),
    ) {
        for (before, after) in before.iter().zip(after) {
            let (before, after) = (bits(*before), bits(*after));
            let at = At { key: before & self.mask, index: self.index };
            self.index += 1;
            self.zeros_before += u64::from(at.key == 0);
            self.zeros += u64::from(after & self.mask == 0);
            if before == after {
                if at.key != 0 {
                    self.row.kept(at);
                }
            } else if after == 0 {
                self.changed += 1;
                self.row.pruned(at);
            } else {
                wrong(at.index, before, after);
            }
        }
    }

    fn end_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        self.violated = self.violated.or(row.violates());
        // Rows come in order, so `pruned` stays the last and `kept` the first among equals.
        row.pruned.into_iter().for_each(|at| self.tensor.pruned(at));
        row.kept.into_iter().for_each(|at| self.tensor.kept(at));
    }
}
