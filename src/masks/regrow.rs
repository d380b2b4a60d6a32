//! Regrowth at equal sparsity: of the weights that a mask keeps, the smallest go, and as many others come back, those of
//! the largest score. After RigL (Evci et al., 2020, "Rigging the Lottery: Making All Tickets Winners", algorithm 1), whose
//! score is the magnitude of the loss's gradient, pruned weights included.
//!
//! For each weight tensor of which `m` numbers are kept, with `k = floor(fraction × m)`:
//!
//! 1. The `k` kept numbers of the smallest magnitude are dropped; of the same magnitude those of the lowest index first.
//! 2. Of all that are not kept now, those just dropped among them as in the authors' program, the `k` of the largest
//!    magnitude of score come back; of the same magnitude those of the lowest index first.
//!
//! A tensor is read in order by one thread, up to five times: twice for each cut where keys have 31 bits, and once to write.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::bits;
use super::file::{MaskFile, MaskTo, Written};
use super::open::{MaskInfo, Masks, short};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::shared::shared;
use crate::{Dtype, Error, Result};

/// Weights that are read at a time.
const PIECE: u64 = 1 << 17;

/// What masks grow by.
#[derive(Debug, Clone)]
pub struct Regrow<'a> {
    /// The weights: a tensor for each mask, of its name and shape.
    pub weights: &'a Checkpoint,
    /// Scores, such as gradients of the dense weights: likewise. Of either sign; larger magnitudes come back first.
    pub scores: &'a Checkpoint,
    /// The share of the kept weights that is exchanged, from 0 to 1.
    pub fraction: f64,
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Regrown {
    /// The file.
    #[serde(flatten)]
    pub written: Written,
    /// One entry per mask, in their order.
    pub exchanged: Vec<TensorRegrown>,
}

/// What a mask has exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TensorRegrown {
    /// How many went in the first step, and came back in the second.
    pub exchanged: u64,
    /// How many are kept now that were not before; as many were kept before and are not now.
    pub grown: u64,
}

/// Writes masks that keep as many weights of each tensor as these, of which some are others.
///
/// # Errors
/// [`Error::Rule`] for a fraction that is none; [`Error::Data`] where weights or scores are missing, of another shape or of a
/// type that lopper does not prune, or a score is NaN; those of reading and writing; [`Error::Cancelled`] where it was stopped.
pub fn regrow(masks: &Masks, by: &Regrow<'_>, to: &MaskTo<'_>) -> Result<Regrown> {
    if !(0.0..=1.0).contains(&by.fraction) {
        return Err(Error::Rule(format!(
            "a fraction of {} of the kept weights cannot be exchanged: give one from 0 to 1",
            by.fraction
        )));
    }
    let infos = masks.masks();
    let (weights, scores) = (Side::find(infos, by.weights)?, Side::find(infos, by.scores)?);
    let sources = [Masks::none(by.weights), Masks::none(by.scores)];
    let file = MaskFile::create(infos, &[masks, &sources[0], &sources[1]], to)?;
    let total: u64 = infos.iter().map(|mask| 5 * mask.weights).sum();
    let done = AtomicU64::new(0);
    let on_weights = |count: u64| match (to.progress)(done.fetch_add(count, Ordering::Relaxed) + count, total) {
        std::ops::ControlFlow::Continue(()) => Ok(()),
        std::ops::ControlFlow::Break(()) => Err(Error::Cancelled),
    };
    let outcomes = shared(infos.len() as u64, Vec::new, |outcomes, number| {
        let mask = number as usize;
        let tensor = Tensor { masks, mask, weights: &weights[mask], scores: &scores[mask], on_weights: &on_weights };
        outcomes.push((mask, tensor.regrow(by.fraction, &file)?));
        Ok(())
    })?;
    let mut outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    outcomes.sort_by_key(|(mask, _)| *mask);
    let written = file.commit(infos, outcomes.iter().map(|(_, (kept, _))| *kept))?;
    Ok(Regrown { written, exchanged: outcomes.into_iter().map(|(_, (_, exchanged))| exchanged).collect() })
}

/// A mask's tensor in another checkpoint.
struct Side<'a> {
    checkpoint: &'a Checkpoint,
    number: usize,
    info: &'a TensorInfo,
    dtype: Dtype,
}

impl<'a> Side<'a> {
    fn find(masks: &[MaskInfo], checkpoint: &'a Checkpoint) -> Result<Vec<Self>> {
        let tensors = checkpoint.tensors().iter().enumerate();
        let by_name: HashMap<&str, usize> = tensors.map(|(number, info)| (info.name.as_str(), number)).collect();
        let side = |mask: &MaskInfo| {
            let Some(&number) = by_name.get(mask.name.as_str()) else {
                return Err(checkpoint.bad(0, &mask.name, "it is not here, but has a mask".into()));
            };
            let info = &checkpoint.tensors()[number];
            let wrong = |problem| checkpoint.bad(info.shard, &info.name, problem);
            if info.shape != mask.shape {
                let (shape, mask) = (short(&info.shape), short(&mask.shape));
                return Err(wrong(format!("it has the shape {shape}, its mask {mask}")));
            }
            let dtype =
                info.prunable().ok_or_else(|| wrong(format!("it is {}, which has no magnitudes here", info.dtype)))?;
            Ok(Self { checkpoint, number, info, dtype })
        };
        masks.iter().map(side).collect()
    }

    fn read(&self, first: u64, count: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let size = self.dtype.size() as u64;
        bytes.resize((count * size) as usize, 0);
        self.checkpoint.read_at(self.number, first * size, bytes)
    }
}

/// The smallest keys: all below one, and of those equal to it the first so many.
#[derive(Clone, Copy)]
struct Cut {
    key: u32,
    ties: u64,
}

impl Cut {
    /// Whether this key is among them. Asked about each once, in order.
    fn takes(&mut self, key: u32) -> bool {
        let tie = key == self.key && self.ties > 0;
        self.ties -= u64::from(tie);
        key < self.key || tie
    }

    /// The cut below which `k` of the keys lie that `scan` tells of: at least so many, of at most so many bits.
    fn find(bits: u32, k: u64, mut scan: impl FnMut(&mut dyn FnMut(u32)) -> Result<()>) -> Result<Self> {
        let mut cut = Cut { key: 0, ties: k };
        let mut known = bits;
        while known > 0 && k > 0 {
            // The upper bits of the key are known but for `known` of them; of those the upper 16 are found now.
            let shift = known.saturating_sub(16);
            let mut counts = vec![0u64; 1 << (known - shift)];
            scan(&mut |key| {
                if u64::from(key) >> known == u64::from(cut.key) >> known {
                    counts[(key >> shift) as usize & ((1 << (known - shift)) - 1)] += 1;
                }
            })?;
            for (bin, count) in counts.into_iter().enumerate() {
                if count >= cut.ties {
                    cut.key |= (bin as u32) << shift;
                    break;
                }
                cut.ties -= count;
            }
            known = shift;
        }
        Ok(cut)
    }
}

struct Tensor<'a> {
    masks: &'a Masks,
    mask: usize,
    weights: &'a Side<'a>,
    scores: &'a Side<'a>,
    on_weights: &'a (dyn Fn(u64) -> Result<()> + Sync),
}

impl Tensor<'_> {
    /// How many it keeps, and what was exchanged.
    fn regrow(&self, fraction: f64, file: &MaskFile) -> Result<(u64, TensorRegrown)> {
        let mut kept = 0;
        self.scan(false, &mut |_, bits, _, _| {
            kept += bits::count(bits);
            Ok(())
        })?;
        let k = (fraction * kept as f64).floor() as u64;
        let (weights, scores) = (self.weights.dtype, self.scores.dtype);
        let dropped = Cut::find(key_bits(weights), k, |take| {
            self.scan(false, &mut |_, bits, bytes, _| {
                (0..bytes.len() / weights.size())
                    .filter(|i| bits::get(bits, *i))
                    .for_each(|i| take(weights.key(bytes, i)));
                Ok(())
            })
        })?;
        // Of keys turned round, the smallest are those of the largest scores.
        let turned = |bytes: &[u8], i: usize| scores.max_key() - scores.key(bytes, i);
        let grown = Cut::find(key_bits(scores), k, |take| {
            let mut dropped = dropped;
            self.scan(true, &mut |first, bits, bytes, others| {
                for i in 0..bytes.len() / weights.size() {
                    self.check(first, i, others)?;
                    if !bits::get(bits, i) || dropped.takes(weights.key(bytes, i)) {
                        take(turned(others, i));
                    }
                }
                Ok(())
            })
        })?;
        let (mut dropped, mut grown, mut outcome) = (dropped, grown, TensorRegrown { exchanged: k, grown: 0 });
        let mut now = 0;
        self.scan(true, &mut |first, bits, bytes, others| {
            let mut new = vec![0; bits.len()];
            for i in 0..bytes.len() / weights.size() {
                let before = bits::get(bits, i);
                let stays = before && !dropped.takes(weights.key(bytes, i));
                let keeps = stays || grown.takes(turned(others, i));
                outcome.grown += u64::from(keeps && !before);
                new[i / 8] |= u8::from(keeps) << (i % 8);
            }
            now += bits::count(&new);
            file.write(self.mask, first, &new)
        })?;
        debug_assert_eq!(now, kept, "as many come back as go");
        Ok((now, outcome))
    }

    /// A score that is no number would come back before all others.
    fn check(&self, first: u64, i: usize, scores: &[u8]) -> Result<()> {
        let Side { checkpoint, info, dtype, .. } = self.scores;
        if dtype.key(scores, i) > dtype.max_number_key() {
            let problem = format!("score {} is NaN: nothing can be said of it", first + i as u64);
            return Err(checkpoint.bad(info.shard, &info.name, problem));
        }
        Ok(())
    }

    /// Goes over the tensor in order: first weight, bits, weights, and scores where they are asked for.
    fn scan(&self, scores: bool, visit: &mut dyn FnMut(u64, &[u8], &[u8], &[u8]) -> Result<()>) -> Result<()> {
        let all = self.masks.masks()[self.mask].weights;
        let [mut bits, mut weights, mut others, mut scratch] = [(); 4].map(|()| Vec::new());
        let mut first = 0;
        while first < all {
            let count = PIECE.min(all - first);
            bits.resize(count.div_ceil(8) as usize, 0);
            self.masks.read(self.mask, first, &mut bits, &mut scratch)?;
            self.weights.read(first, count, &mut weights)?;
            if scores {
                self.scores.read(first, count, &mut others)?;
            }
            visit(first, &bits, &weights, &others)?;
            (self.on_weights)(count)?;
            first += count;
        }
        Ok(())
    }
}

/// Bits of a key.
fn key_bits(dtype: Dtype) -> u32 {
    8 * dtype.size() as u32 - 1
}
