//! A checkpoint's weights where masks keep them, 0 elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype as FileDtype;
use serde::Serialize;

use super::bits;
use super::open::{Masks, short};
use super::pieces::Pieces;
use crate::checkpoint::{Checkpoint, Output, Sources, TensorInfo, Unfinished, quoted};
use crate::{Error, OnBytes, Result};

/// How masks are applied.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// What tensors a weight's mask is for: names with `{}` for the weight's. None: the weight itself. An optimizer's state
    /// may be `{}.exp_avg` and `{}.exp_avg_sq`.
    pub names: Vec<String>,
    /// Where a weight is kept but ±0 in the checkpoint, it gets the value that it has here.
    pub revive: Option<Checkpoint>,
    /// Whether files that exist are replaced; never those that are read.
    pub force: bool,
}

/// What became of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Applied {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes written.
    pub bytes: u64,
    /// One entry per tensor that has a mask, in the checkpoint's order.
    pub tensors: Vec<TensorApplied>,
    /// Tensors that were copied.
    pub copied: usize,
}

/// What became of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorApplied {
    /// Its name.
    pub name: String,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its weights.
    pub weights: u64,
    /// How many the mask keeps.
    pub kept: u64,
    /// Numbers that became +0: those that the mask prunes and that were not +0 before.
    pub cleared: u64,
    /// Kept weights that were ±0 and got another checkpoint's value.
    pub revived: u64,
}

/// A tensor and its mask.
struct Pair {
    tensor: usize,
    mask: usize,
    size: usize,
    /// Its number in the checkpoint that values come from.
    revive: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    kept: u64,
    cleared: u64,
    revived: u64,
}

/// Writes `checkpoint` to `output` with the weights that `masks` prune at +0; all else, layout, other tensors, other files,
/// is the same. Numbers may be of any type of whole bytes.
///
/// # Errors
/// [`Error::Data`] where a mask is for no tensor, for one of another shape or of a type without whole bytes, or where the
/// other checkpoint lacks a tensor or has it in another type; those of [`Output`] and of reading; [`Error::Cancelled`] where it was
/// stopped. Nothing is written then.
pub fn apply(
    masks: &Masks,
    checkpoint: &Checkpoint,
    output: &Path,
    options: &ApplyOptions,
    unfinished: &Unfinished,
    progress: OnBytes<'_>,
) -> Result<Applied> {
    let pairs = pairs(masks, checkpoint, options)?;
    let mut sources = Sources::default();
    [Some(masks.checkpoint()), options.revive.as_ref()].into_iter().flatten().for_each(|read| sources.add(read));
    sources.check_output(checkpoint, output, options.force)?;
    let tensors = checkpoint.tensors();
    let mut masked = vec![false; tensors.len()];
    pairs.iter().for_each(|pair| masked[pair.tensor] = true);
    let writer = Output::create_noting(checkpoint, output, options.force, unfinished)?;
    // Half of what is done with a tensor is to read it, half to write it, whatever its mask takes.
    let total = checkpoint.total_bytes();
    let masked_bytes: u64 = pairs.iter().map(|pair| tensors[pair.tensor].bytes()).sum();
    let width = |pair: &Pair| (8 * pair.size as u64) * if pair.revive.is_some() { 2 } else { 1 };
    let pieces = Pieces::new(pairs.iter().map(|pair| (masks.masks()[pair.mask].weights, width(pair))));
    let new = || (vec![Counts::default(); pairs.len()], [(); 4].map(|()| Vec::new()));
    let counts = pieces.each(total, progress, new, |(counts, [mask, weights, other, scratch]), piece| {
        let pair = &pairs[piece.tensor];
        let size = pair.size;
        mask.resize(piece.mask_bytes(), 0);
        masks.read(pair.mask, piece.first, mask, scratch)?;
        weights.resize(piece.count as usize * size, 0);
        let at = piece.first * size as u64;
        checkpoint.read_at(pair.tensor, at, weights)?;
        let counts = &mut counts[piece.tensor];
        counts.kept += bits::count(mask);
        counts.cleared += bits::clear(mask, size, weights);
        if let (Some(from), Some(number)) = (&options.revive, pair.revive) {
            other.resize(weights.len(), 0);
            from.read_at(number, at, other)?;
            counts.revived += revive(mask, size, weights, other);
        }
        writer.write_at(pair.tensor, at, weights)?;
        Ok(weights.len() as u64)
    })?;
    let done = std::sync::atomic::AtomicU64::new(masked_bytes);
    writer.try_copy_rest(&|tensor| masked[tensor], &|_, bytes| {
        let done = done.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
        if progress(done, total).is_break() { Err(Error::Cancelled) } else { Ok(()) }
    })?;
    [Some(masks.checkpoint()), options.revive.as_ref()].into_iter().flatten().try_for_each(Checkpoint::unchanged)?;
    let done = writer.commit()?;
    let tensor = |(at, pair): (usize, &Pair)| {
        let (info, mask) = (&tensors[pair.tensor], &masks.masks()[pair.mask]);
        let sum = |of: fn(&Counts) -> u64| counts.iter().map(|(counts, _)| of(&counts[at])).sum();
        TensorApplied {
            name: info.name.clone(),
            dtype: info.dtype.to_string(),
            weights: mask.weights,
            kept: sum(|c| c.kept),
            cleared: sum(|c| c.cleared),
            revived: sum(|c| c.revived),
        }
    };
    let copied = tensors.len() - pairs.len();
    Ok(Applied { path: done.path, bytes: done.bytes, tensors: pairs.iter().enumerate().map(tensor).collect(), copied })
}

/// Which tensor has which mask, in the checkpoint's order.
fn pairs(masks: &Masks, checkpoint: &Checkpoint, options: &ApplyOptions) -> Result<Vec<Pair>> {
    let own = ["{}".to_owned()];
    let patterns = if options.names.is_empty() { &own[..] } else { &options.names };
    if let Some(pattern) = patterns.iter().find(|pattern| !pattern.contains("{}")) {
        let problem = format!("{} names no tensor: write {{}} where the weight's name goes", quoted(pattern));
        return Err(Error::Rule(problem));
    }
    let by_name = |checkpoint: &Checkpoint| -> HashMap<String, usize> {
        checkpoint.tensors().iter().enumerate().map(|(number, info)| (info.name.clone(), number)).collect()
    };
    let (tensors, others) = (by_name(checkpoint), options.revive.as_ref().map(|from| (from, by_name(from))));
    let mut pairs: Vec<Pair> = Vec::new();
    for (mask, info) in masks.masks().iter().enumerate() {
        let before = pairs.len();
        for name in patterns.iter().map(|pattern| pattern.replace("{}", &info.name)) {
            let Some(&tensor) = tensors.get(&name) else { continue };
            let found = &checkpoint.tensors()[tensor];
            let wrong = |problem| checkpoint.bad(found.shard, &name, problem);
            if found.shape != info.shape {
                let (mask, shape) = (short(&info.shape), short(&found.shape));
                return Err(wrong(format!("it has the shape {shape}, its mask {mask}")));
            }
            let bits = found.dtype.bitsize();
            if !matches!(bits, 8 | 16 | 32 | 64) || found.dtype == FileDtype::F8_E8M0 {
                return Err(wrong(format!("it is {}, which no mask can be applied to", found.dtype)));
            }
            let revive = others.as_ref().map(|(from, others)| other(from, others, found)).transpose()?;
            pairs.push(Pair { tensor, mask, size: bits / 8, revive });
        }
        if pairs.len() == before {
            let names: Vec<String> = patterns.iter().map(|p| quoted(&p.replace("{}", &info.name))).collect();
            let problem = format!("its mask is for no tensor here: there is no {}", names.join(", "));
            return Err(checkpoint.bad(0, &info.name, problem));
        }
    }
    pairs.sort_by_key(|pair| pair.tensor);
    if let Some(two) = pairs.windows(2).find(|two| two[0].tensor == two[1].tensor) {
        let info = &checkpoint.tensors()[two[0].tensor];
        return Err(checkpoint.bad(info.shard, &info.name, "it has two masks: names must tell weights apart".into()));
    }
    Ok(pairs)
}

/// The number of the same tensor in another checkpoint.
fn other(from: &Checkpoint, by_name: &HashMap<String, usize>, like: &TensorInfo) -> Result<usize> {
    let Some(&number) = by_name.get(&like.name) else {
        return Err(from.bad(0, &like.name, "it is not here, and its kept zeros were to get values from here".into()));
    };
    let info = &from.tensors()[number];
    if info.dtype != like.dtype || info.shape != like.shape {
        let (here, there) = (short(&info.shape), short(&like.shape));
        let problem = format!("it is {} {here} here, and {} {there} in the checkpoint", info.dtype, like.dtype);
        return Err(from.bad(info.shard, &info.name, problem));
    }
    if !matches!(info.dtype, FileDtype::F64) && info.prunable().is_none() {
        return Err(from.bad(
            info.shard,
            &info.name,
            format!("it is {}, which has no zeros to give values to", info.dtype),
        ));
    }
    Ok(number)
}

/// Gives kept zeros of either sign the other's value; returns how many thus are no zeros any more.
fn revive(bits: &[u8], size: usize, elements: &mut [u8], other: &[u8]) -> u64 {
    let mut revived = 0;
    let zero = |element: &[u8]| element[..size - 1].iter().all(|b| *b == 0) && element[size - 1] & 0x7f == 0;
    for (i, (element, other)) in elements.chunks_exact_mut(size).zip(other.chunks_exact(size)).enumerate() {
        if bits::get(bits, i) && zero(element) && !zero(other) {
            element.copy_from_slice(other);
            revived += 1;
        }
    }
    revived
}
