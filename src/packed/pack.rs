//! A pruned checkpoint into a packed one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::encode::{self, Keep, Tally};
use super::kind::{Matrix, Packing};
use super::spans::{Span, Spans};
use super::{config, parts};
use crate::checkpoint::{
    Checkpoint, Fresh, FreshDescriptor, MAX_HEADER_BYTES, NewShard, Sources, TensorInfo, Unfinished, quoted,
};
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
struct Candidate {
    tensor: usize,
    matrix: Matrix,
    tally: Tally,
    /// What is kept in each span.
    spans: Vec<u64>,
}

/// Packs a checkpoint. A tensor that would take more room is left as it is, unless growth is forced; the layout of shards, other
/// tensors and other files stay.
///
/// # Errors
/// [`Error::Rule`] where nothing is chosen, or nothing would become smaller; [`Error::Data`] where the checkpoint is packed
/// already or `config.json` says that it is quantized; those of reading and of [`Fresh::create`]; [`Error::Cancelled`] where
/// it was stopped. Nothing is written then.
pub fn pack(
    checkpoint: &Checkpoint,
    output: &Path,
    options: &PackOptions,
    unfinished: &Unfinished,
    progress: OnBytes<'_>,
) -> Result<Packed> {
    let packing = options.packing;
    if let Some(packed) = parts::find(checkpoint)?.first() {
        let info = &checkpoint.tensors()[packed.values];
        return Err(checkpoint.bad(info.shard, &info.name, "the checkpoint is packed already: unpack it first".into()));
    }
    let (mut left, mut candidates) = (Vec::new(), Vec::new());
    let chosen = selected(checkpoint, options.selection.as_ref())?;
    for (tensor, info) in checkpoint.tensors().iter().enumerate().filter(|(tensor, _)| chosen[*tensor]) {
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
                format!("it is not 2:4: {groups} groups of 4 keep more than 2")
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
        let first = left.first().map(|left| format!(": {}: {}", quoted(&left.name), left.why)).unwrap_or_default();
        let number = left.len();
        return Err(Error::Rule(format!(
            "as {packing}, none of the {number} tensors that are meant gets smaller{first}"
        )));
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
        return Err(Error::Rule(format!("packed, {before} bytes would become {bytes}: force growth to have it so")));
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

fn read(checkpoint: &Checkpoint, candidate: &Candidate, span: Span, weights: &mut Vec<u8>) -> Result<()> {
    let size = candidate.matrix.dtype.size() as u64;
    weights.resize((span.weights() * size) as usize, 0);
    checkpoint.read_at(candidate.tensor, (span.row * candidate.matrix.cols + span.col) * size, weights)
}

/// Modules with a matrix that is left dense, by their names.
fn ignored(checkpoint: &Checkpoint, packed: &[(Candidate, Vec<TensorInfo>)]) -> Vec<String> {
    let packed: HashMap<usize, ()> = packed.iter().map(|(candidate, _)| (candidate.tensor, ())).collect();
    let dense =
        checkpoint.tensors().iter().enumerate().filter(|(tensor, info)| {
            !packed.contains_key(tensor) && info.shape.len() == 2 && info.prunable().is_some()
        });
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

/// Where what stands for a tensor begins among the output's.
type Places = Vec<usize>;

fn begin(
    checkpoint: &Checkpoint,
    packed: &[(Candidate, Vec<TensorInfo>)],
    section: Option<&Value>,
    output: &Path,
    options: &PackOptions,
    unfinished: &Unfinished,
) -> Result<(Fresh, Places)> {
    let by_tensor: HashMap<usize, &Vec<TensorInfo>> = packed.iter().map(|(c, tensors)| (c.tensor, tensors)).collect();
    let mut shards = Vec::new();
    for (number, shard) in checkpoint.shards().iter().enumerate() {
        let mut metadata = checkpoint.all_metadata(number)?;
        let header = checkpoint.header(number)?;
        // With its quotes escaped it may be half as long again.
        if header.len() as u64 <= MAX_HEADER_BYTES / 4 {
            metadata.insert(HEADER.into(), header);
        }
        if let Some(index) =
            checkpoint.index().filter(|index| number == 0 && index.len() as u64 <= MAX_HEADER_BYTES / 4)
        {
            metadata.insert(INDEX.into(), index.into());
        }
        if options.packing == Packing::TiledBitmask {
            metadata.insert(tiled::KEY.0.into(), tiled::KEY.1.into());
        }
        shards.push(NewShard { name: shard.name.clone(), tensors: Vec::new(), metadata });
    }
    let (mut places, mut next) = (Vec::new(), 0);
    for (tensor, info) in checkpoint.tensors().iter().enumerate() {
        places.push(next);
        let now = by_tensor.get(&tensor).map_or(std::slice::from_ref(info), |tensors| &tensors[..]);
        next += now.len();
        shards[info.shard].tensors.extend_from_slice(now);
    }
    let mut others = Vec::new();
    if let Some(section) = section
        && let Some(text) = checkpoint.other_file(config::FILE, config::MOST)?
    {
        let wrong = |problem| {
            let folder = checkpoint.shards()[0].path().parent().unwrap_or(Path::new(""));
            Error::Data { path: folder.join(config::FILE), tensor: None, problem }
        };
        others.push((config::FILE.to_owned(), config::with(&text, section).map_err(wrong)?.into_bytes()));
    }
    let what = FreshDescriptor { from: checkpoint, sources: Sources::default(), shards, others };
    Ok((Fresh::create(what, output, options.force, unfinished)?, places))
}

/// The second pass.
struct Work<'a> {
    checkpoint: &'a Checkpoint,
    fresh: &'a Fresh,
    packing: Packing,
    keep: Keep,
    packed: &'a [(Candidate, Vec<TensorInfo>)],
    places: &'a Places,
}

/// What a thread packs into.
#[derive(Default)]
struct Buffers {
    weights: Vec<u8>,
    bits: Vec<u8>,
    values: Vec<u8>,
    offsets: Vec<u8>,
}

impl Work<'_> {
    fn run(&self, (before, total): (u64, u64), progress: OnBytes<'_>) -> Result<()> {
        let of = |(c, _): &(Candidate, Vec<TensorInfo>)| (c.matrix.rows, c.matrix.cols, c.matrix.dtype.size() as u64);
        let spans = Spans::new(self.packed.iter().map(of));
        let starts: Vec<Vec<u64>> = self.packed.iter().map(|(candidate, _)| starts(&candidate.spans)).collect();
        spans.each((before, total), progress, Buffers::default, |buffers, span| {
            self.span(span, starts[span.matrix][span.number], buffers)
        })?;
        let mut done = before;
        for (candidate, tensors) in self.packed {
            let first = self.places[candidate.tensor];
            let shape: Vec<u8> = candidate.matrix.shape.iter().flat_map(|d| d.to_le_bytes()).collect();
            self.fresh.write_at(first + 2, 0, &shape)?;
            if self.packing == Packing::TiledBitmask {
                let last = (candidate.tally.kept as u32).to_le_bytes();
                self.fresh.write_at(first + 3, tensors[3].bytes() - 4, &last)?;
            }
            done += self.checkpoint.tensors()[candidate.tensor].bytes();
        }
        let packed: HashMap<usize, ()> = self.packed.iter().map(|(candidate, _)| (candidate.tensor, ())).collect();
        let done = std::cell::Cell::new(done);
        for tensor in (0..self.checkpoint.tensors().len()).filter(|tensor| !packed.contains_key(tensor)) {
            self.fresh.copy(self.places[tensor], self.checkpoint, tensor, &|bytes| {
                done.set(done.get() + bytes);
                if progress(done.get(), total).is_break() { Err(Error::Cancelled) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    fn span(&self, span: Span, start: u64, buffers: &mut Buffers) -> Result<u64> {
        let (candidate, _) = &self.packed[span.matrix];
        let Matrix { dtype, cols, .. } = candidate.matrix;
        let (size, two) = (dtype.size(), self.packing == Packing::Sparse24Bitmask);
        let Buffers { weights, bits, values, offsets } = buffers;
        read(self.checkpoint, candidate, span, weights)?;
        // What is at the end of a row is as long as the row's bits want it.
        let row_bytes = match span.col + span.cols == cols {
            true => self.packing.row_bytes(cols) - span.col / 8,
            false => span.cols / 8,
        } as usize;
        bits.resize(row_bytes * span.rows as usize, 0);
        values.resize(weights.len() + 8 * size, 0);
        offsets.clear();
        let (width, step) = self.packing.offsets(cols).unwrap_or((0, cols));
        let mut kept = 0;
        // Of two of four, half of what is in front.
        let start = if two { (span.row * cols + span.col) / 2 } else { start };
        let rows = weights.chunks(span.cols as usize * size).zip(bits.chunks_mut(row_bytes));
        for (weights, bits) in rows {
            let mut col = span.col;
            let bits_of = |from: u64| ((from - span.col) / 8) as usize;
            for run in weights.chunks(step.min(span.cols) as usize * size) {
                if col % step == 0 {
                    offsets.extend_from_slice(&(start + kept as u64).to_le_bytes()[..width as usize]);
                }
                let next = col + (run.len() / size) as u64;
                let end = if next == cols { bits.len() } else { bits_of(next) };
                let (bits, values) = (&mut bits[bits_of(col)..end], &mut values[kept * size..]);
                kept += encode::row(dtype, self.keep, two, run, bits, values);
                col = next;
            }
        }
        let first = self.places[candidate.tensor];
        self.fresh.write_at(first, start * size as u64, &values[..kept * size])?;
        self.fresh.write_at(first + 1, span.row * self.packing.row_bytes(cols) + span.col / 8, bits)?;
        if width > 0 && !offsets.is_empty() {
            let at = span.row * cols.div_ceil(step) + span.col.div_ceil(step);
            self.fresh.write_at(first + 3, at * width, offsets)?;
        }
        Ok(weights.len() as u64)
    }
}

/// What is in front of each span.
pub(super) fn starts(spans: &[u64]) -> Vec<u64> {
    let before = |sum: &mut u64, kept: &u64| {
        let start = *sum;
        *sum += kept;
        Some(start)
    };
    spans.iter().scan(0, before).collect()
}
