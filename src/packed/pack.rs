//! A pruned checkpoint into a packed one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::encode::{self, Keep, Tally};
use super::kind::{Matrix, Packing};
use super::spans::{Span, Spans};
use super::store::{Work, begin};
use super::{config, parts};
use crate::checkpoint::{Checkpoint, TensorInfo, Unfinished, quoted};
use crate::pruner::{Selection, selected};
use crate::sparse::file as tiled;
use crate::{Error, OnBytes, Result};

/// The keys under which a packed shard has the header that it had, and the first one the index.
pub(super) const HEADER: &str = "lopper.header";
pub(super) const INDEX: &str = "lopper.index";

/// How a checkpoint is packed.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// The layout.
    pub packing: Packing,
    /// Which tensors; none: those that the recipe in the metadata prunes, else those that lopper prunes by default.
    pub selection: Option<Selection>,
    /// Take -0.0 for +0.0, which is not stored. Otherwise it is, and every bit comes back.
    pub positive_zeros: bool,
    /// Pack tensors that take more room packed than dense, too.
    pub force_growth: bool,
    /// Whether files that exist are replaced; never the input.
    pub force: bool,
}

/// What a packed checkpoint is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Packed {
    /// Where it is.
    pub path: PathBuf,
    /// The layout.
    pub packing: Packing,
    /// Bytes of all shards before.
    pub bytes_before: u64,
    /// Bytes of all shards now.
    pub bytes: u64,
    /// One entry per tensor that is packed, in the checkpoint's order.
    pub tensors: Vec<TensorPacked>,
    /// Tensors that were chosen and are as they were, and why.
    pub left: Vec<TensorLeft>,
    /// What `config.json` has to say, for layouts of compressed-tensors'. It says so where the checkpoint is a folder with such
    /// a file.
    pub quantization_config: Option<Value>,
}

/// A tensor that is packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorPacked {
    /// Its name.
    pub name: String,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// How many values are stored; of 2:4, zeros among them.
    pub kept: u64,
    /// -0.0 among its weights: stored, unless they were taken for +0.0.
    pub negative_zeros: u64,
    /// Its bytes before.
    pub bytes_before: u64,
    /// Those of what stands for it.
    pub bytes: u64,
}

/// A tensor that was chosen and is not packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorLeft {
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// A tensor that is looked at.
pub(super) struct Candidate {
    pub tensor: usize,
    pub matrix: Matrix,
    pub tally: Tally,
    /// What is kept in each span.
    pub spans: Vec<u64>,
}

/// Packs a checkpoint. A tensor that would take more room is left as it is, unless growth is forced; the layout of shards, other
/// tensors and other files stay.
///
/// # Errors
/// [`Error::Rule`] where nothing is chosen; [`Error::Output`] where nothing would become smaller; [`Error::Data`] where the checkpoint is packed
/// already or `config.json` says that it is quantized; those of reading and of [`Fresh::create`](crate::checkpoint::Fresh::create); [`Error::Cancelled`] where
/// it was stopped. Nothing is written then.
pub fn pack(
    checkpoint: &Checkpoint,
    output: &Path,
    options: &PackOptions,
    unfinished: &Unfinished,
    progress: OnBytes<'_>,
) -> Result<Packed> {
    let packing = options.packing;
    let meant = selected(checkpoint, options.selection.as_ref())?;
    let (mut candidates, mut left) = candidates(checkpoint, &meant, packing, output)?;
    let bytes_of = |candidate: &Candidate| checkpoint.tensors()[candidate.tensor].bytes();
    let looked_at: u64 = candidates.iter().map(bytes_of).sum();
    let total = looked_at + checkpoint.total_bytes();
    let keep = if options.positive_zeros { Keep::Numbers } else { Keep::Bits };
    count(checkpoint, &mut candidates, keep, total, progress)?;

    let mut packed = Vec::new();
    for candidate in candidates {
        let (kept, before) = (stored(packing, &candidate), bytes_of(&candidate));
        let tensors = packing.tensors(&candidate.matrix, kept)?;
        let bytes: u64 = tensors.iter().map(TensorInfo::bytes).sum();
        let why = match candidate.tally.full_groups {
            groups if packing == Packing::Sparse24Bitmask && groups > 0 => {
                let negative = candidate.tally.negative_zeros;
                let hint = match negative {
                    1.. if keep == Keep::Bits => format!("; {negative} of its weights are -0.0, see --positive-zeros"),
                    _ => String::new(),
                };
                format!("it is not 2:4: {groups} groups of 4 keep more than 2{hint}")
            }
            _ if bytes >= before && !options.force_growth => format!("it would grow from {before} to {bytes} bytes"),
            _ => {
                packed.push((candidate, tensors));
                continue;
            }
        };
        left.push(TensorLeft { name: candidate.matrix.name, why });
    }
    if packed.is_empty() {
        return Err(none_smaller(packing, &left, output));
    }
    let section = packing.is_compressed_tensors().then(|| {
        let zeros: u64 = packed.iter().map(|(c, _)| c.matrix.rows * c.matrix.cols - c.tally.kept).sum();
        let weights: u64 = checkpoint.tensors().iter().map(|info| info.shape.iter().product::<u64>()).sum();
        config::section(packing, &ignored(checkpoint, &packed), zeros as f64 / weights.max(1) as f64)
    });
    let (fresh, places) = begin(checkpoint, &packed, section.as_ref(), output, options, unfinished)?;
    let bytes = shard_bytes(fresh.tensors(), checkpoint.shards().len());
    let before = checkpoint.total_bytes();
    if bytes >= before && !options.force_growth {
        let reason = format!("{before} bytes of shards would become {bytes}, unless growth is forced");
        return Err(Error::Output { path: output.to_owned(), reason });
    }
    let work = Work { checkpoint, fresh: &fresh, packing, keep, packed: &packed, places: &places };
    work.run((looked_at, total), progress)?;
    let done = fresh.commit()?;
    let tensors = packed.iter().map(|(candidate, tensors)| TensorPacked {
        name: candidate.matrix.name.clone(),
        dtype: candidate.matrix.dtype.to_string(),
        shape: candidate.matrix.shape.clone(),
        weights: candidate.matrix.rows * candidate.matrix.cols,
        kept: stored(packing, candidate),
        negative_zeros: candidate.tally.negative_zeros,
        bytes_before: bytes_of(candidate),
        bytes: tensors.iter().map(TensorInfo::bytes).sum(),
    });
    let tensors = tensors.collect();
    Ok(Packed { path: done.path, packing, bytes_before: before, bytes, tensors, left, quantization_config: section })
}

/// Those of the tensors that are meant that can be packed, as far as that is known before their weights are, and the others.
///
/// # Errors
/// Those of [`pack`] that do not depend on weights.
pub(super) fn candidates(
    checkpoint: &Checkpoint,
    meant: &[bool],
    packing: Packing,
    output: &Path,
) -> Result<(Vec<Candidate>, Vec<TensorLeft>)> {
    if let Some(packed) = parts::find(checkpoint)?.first() {
        let info = &checkpoint.tensors()[packed.values];
        return Err(checkpoint.bad(info.shard, &info.name, "the checkpoint is packed already: unpack it first".into()));
    }
    if packing.is_compressed_tensors()
        && let Some(text) = checkpoint.other_file(config::FILE, config::MOST)?
    {
        config::check(&text).map_err(|problem| config::bad(checkpoint, problem))?;
    }
    let (mut candidates, mut left) = (Vec::new(), Vec::new());
    for (tensor, info) in checkpoint.tensors().iter().enumerate().filter(|(tensor, _)| meant[*tensor]) {
        let Some(dtype) = info.prunable() else { continue };
        match packing.refuses(info) {
            Some(why) => left.push(TensorLeft { name: info.name.clone(), why }),
            None => {
                let size = tiled::matrix_of(&info.shape);
                let (name, shape, rows, cols) = (info.name.clone(), info.shape.clone(), size.rows, size.cols);
                let matrix = Matrix { name, dtype, shape, rows, cols };
                candidates.push(Candidate { tensor, matrix, tally: Tally::default(), spans: Vec::new() });
            }
        }
    }
    if candidates.is_empty() {
        return Err(none_smaller(packing, &left, output));
    }
    Ok((candidates, left))
}

fn none_smaller(packing: Packing, left: &[TensorLeft], output: &Path) -> Error {
    let first = left.first().map(|left| format!(": {}: {}", quoted(&left.name), left.why)).unwrap_or_default();
    let number = left.len();
    let reason = format!("as {packing}, none of the {number} tensors that are meant gets smaller{first}");
    Error::Output { path: output.to_owned(), reason }
}

/// How many values are stored.
fn stored(packing: Packing, candidate: &Candidate) -> u64 {
    match packing {
        Packing::Sparse24Bitmask => candidate.matrix.rows * candidate.matrix.cols / 2,
        _ => candidate.tally.kept,
    }
}

/// The first pass: what is in each candidate.
fn count(
    checkpoint: &Checkpoint,
    candidates: &mut [Candidate],
    keep: Keep,
    total: u64,
    progress: OnBytes<'_>,
) -> Result<()> {
    let size = |candidate: &Candidate| candidate.matrix.dtype.size() as u64;
    let spans = Spans::new(candidates.iter().map(|c| (c.matrix.rows, c.matrix.cols, size(c))));
    let looked = &*candidates;
    let found = spans.each(
        (0, total),
        progress,
        || (Vec::new(), Vec::new()),
        |(tallies, weights), span| {
            let candidate = &looked[span.matrix];
            read(checkpoint, candidate, span, weights)?;
            tallies.push((span, encode::tally(candidate.matrix.dtype, keep, weights)));
            Ok(weights.len() as u64)
        },
    )?;
    for (number, candidate) in candidates.iter_mut().enumerate() {
        candidate.spans = vec![0; spans.count(number)];
    }
    for (span, tally) in found.into_iter().flat_map(|(tallies, _)| tallies) {
        let candidate = &mut candidates[span.matrix];
        candidate.spans[span.number] = tally.kept;
        candidate.tally.kept += tally.kept;
        candidate.tally.negative_zeros += tally.negative_zeros;
        candidate.tally.full_groups += tally.full_groups;
    }
    Ok(())
}

/// Reads the weights of a span.
pub(super) fn read(checkpoint: &Checkpoint, candidate: &Candidate, span: Span, weights: &mut Vec<u8>) -> Result<()> {
    let size = candidate.matrix.dtype.size() as u64;
    weights.resize((span.weights() * size) as usize, 0);
    checkpoint.read_at(candidate.tensor, (span.row * candidate.matrix.cols + span.col) * size, weights)
}

/// Modules with a matrix that is left dense, by their names.
fn ignored(checkpoint: &Checkpoint, packed: &[(Candidate, Vec<TensorInfo>)]) -> Vec<String> {
    let packed: HashSet<usize> = packed.iter().map(|(candidate, _)| candidate.tensor).collect();
    let dense = checkpoint
        .tensors()
        .iter()
        .enumerate()
        .filter(|(tensor, info)| !packed.contains(tensor) && info.shape.len() == 2 && info.prunable().is_some());
    dense.filter_map(|(_, info)| info.name.strip_suffix(".weight").map(str::to_owned)).collect()
}

/// Bytes of all shards with these tensors.
fn shard_bytes(tensors: &[TensorInfo], shards: usize) -> u64 {
    let mut ends = vec![0; shards];
    for info in tensors {
        ends[info.shard] = info.range.end.max(ends[info.shard]);
    }
    ends.iter().sum()
}
