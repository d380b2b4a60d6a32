//! A packed checkpoint into the one that it was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::kind::{Matrix, Packing, file_dtype};
use super::pack::{HEADER, INDEX};
use super::parts::{self, Parts};
use super::spans::{Span, Spans};
use super::store::starts;
use super::{config, decode};
use crate::checkpoint::{Checkpoint, Fresh, FreshDescriptor, NewShard, Sources, TensorInfo, Unfinished, Verbatim};
use crate::sparse::file as tiled;
use crate::{Error, OnBytes, Result};

/// What an unpacked checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unpacked {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of all shards before.
    pub bytes_before: u64,
    /// Bytes of all shards now.
    pub bytes: u64,
    /// One entry per tensor that was packed.
    pub tensors: Vec<TensorUnpacked>,
}

/// A tensor that was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorUnpacked {
    /// Its name.
    pub name: String,
    /// How it was packed.
    pub packing: Packing,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// How many values were stored.
    pub kept: u64,
}

/// Unpacks a checkpoint that lopper or `compressed-tensors` has packed, in any of [`Packing`]'s layouts and either way of naming:
/// each weight in the shard where its values are. What lopper has packed becomes what it was, byte for byte.
///
/// # Errors
/// [`Error::Data`] where nothing is packed, or parts are missing or contradict each other; those of reading
/// and of [`Fresh::create`]; [`Error::Cancelled`] where it was stopped. Nothing is written then.
pub fn unpack(
    checkpoint: &Checkpoint,
    output: &Path,
    force: bool,
    unfinished: &Unfinished,
    progress: OnBytes<'_>,
) -> Result<Unpacked> {
    let all = parts::find(checkpoint)?;
    if all.is_empty() {
        let path = checkpoint.shards()[0].path().to_owned();
        return Err(Error::Data { path, tensor: None, problem: "nothing in this checkpoint is packed".into() });
    }
    let dense =
        |parts: &Parts| TensorInfo::new(&*parts.matrix.name, file_dtype(parts.matrix.dtype), &*parts.matrix.shape);
    let dense = all.iter().map(dense).collect::<Result<Vec<_>>>()?;
    let spans = Spans::new(all.iter().map(|p| (p.matrix.rows, p.matrix.cols, p.matrix.dtype.size() as u64)));
    let bits: u64 = all.iter().map(|parts| checkpoint.tensors()[parts.bits].bytes()).sum();
    let written: u64 = dense.iter().map(TensorInfo::bytes).sum();
    let total = bits + written + checkpoint.total_bytes();
    let counts = count(checkpoint, &all, &spans, total, progress)?;
    let (fresh, places, outputs) = begin(checkpoint, &all, &dense, output, force, unfinished)?;
    let starts: Vec<Vec<u64>> = counts.iter().map(|counts| starts(counts)).collect();
    spans.each((bits, total), progress, Buffers::default, |buffers, span| {
        let at = (starts[span.matrix][span.number], counts[span.matrix][span.number]);
        Work { checkpoint, parts: &all[span.matrix] }.span(&fresh, outputs[span.matrix], span, at, buffers)
    })?;
    let done = std::cell::Cell::new(bits + written);
    for (tensor, place) in places.iter().enumerate() {
        let Some(place) = *place else { continue };
        fresh.copy(place, checkpoint, tensor, &|bytes| {
            done.set(done.get() + bytes);
            if progress(done.get(), total).is_break() { Err(Error::Cancelled) } else { Ok(()) }
        })?;
    }
    let mut ends = vec![0; checkpoint.shards().len()];
    fresh.tensors().iter().for_each(|info| ends[info.shard] = info.range.end.max(ends[info.shard]));
    let path = fresh.commit()?.path;
    let tensors = all.iter().map(|parts| TensorUnpacked {
        name: parts.matrix.name.clone(),
        packing: parts.packing,
        dtype: parts.matrix.dtype.to_string(),
        shape: parts.matrix.shape.clone(),
        weights: parts.matrix.rows * parts.matrix.cols,
        kept: parts.kept,
    });
    let (bytes_before, bytes, tensors) = (checkpoint.total_bytes(), ends.iter().sum(), tensors.collect());
    Ok(Unpacked { path, bytes_before, bytes, tensors })
}

/// The first pass: how many values each span has, which must come to as many as there are.
fn count(
    checkpoint: &Checkpoint,
    all: &[Parts],
    spans: &Spans,
    total: u64,
    progress: OnBytes<'_>,
) -> Result<Vec<Vec<u64>>> {
    let found = spans.each(
        (0, total),
        progress,
        || (Vec::new(), Vec::new()),
        |(counts, bits), span| {
            let work = Work { checkpoint, parts: &all[span.matrix] };
            counts.push((span, work.count(span, bits)?));
            Ok(bits.len() as u64)
        },
    )?;
    let mut counts: Vec<Vec<u64>> = (0..all.len()).map(|matrix| vec![0; spans.count(matrix)]).collect();
    for (span, kept) in found.into_iter().flat_map(|(counts, _)| counts) {
        counts[span.matrix][span.number] = kept;
    }
    for (parts, counts) in all.iter().zip(&counts) {
        let (sum, kept) = (counts.iter().sum::<u64>(), parts.kept);
        if sum != kept {
            let info = &checkpoint.tensors()[parts.values];
            let problem = format!("it has {kept} values, its bits keep {sum}");
            return Err(checkpoint.bad(info.shard, &info.name, problem));
        }
        if let (Packing::TiledBitmask, Some(offsets)) = (parts.packing, parts.offsets) {
            let (info, mut last) = (&checkpoint.tensors()[offsets], [0; 4]);
            checkpoint.read_at(offsets, info.bytes() - 4, &mut last)?;
            if u64::from(u32::from_le_bytes(last)) != kept {
                let problem = format!("its last offset is {}, its bits keep {kept}", u32::from_le_bytes(last));
                return Err(checkpoint.bad(info.shard, &info.name, problem));
            }
        }
    }
    Ok(counts)
}

/// The checkpoint, where each tensor that is copied goes, and where each that is unpacked.
type Begun = (Fresh, Vec<Option<usize>>, Vec<usize>);

fn begin(
    checkpoint: &Checkpoint,
    all: &[Parts],
    dense: &[TensorInfo],
    output: &Path,
    force: bool,
    unfinished: &Unfinished,
) -> Result<Begun> {
    let mut verbatim = Verbatim::default();
    let mut shards = Vec::new();
    for (number, shard) in checkpoint.shards().iter().enumerate() {
        let mut metadata = checkpoint.all_metadata(number)?;
        verbatim.headers.push(metadata.remove(HEADER));
        let index = metadata.remove(INDEX);
        verbatim.index = verbatim.index.or(index);
        metadata.remove(tiled::KEY.0);
        shards.push(NewShard { name: shard.name.clone(), tensors: Vec::new(), metadata });
    }
    let of_values: HashMap<usize, usize> = all.iter().enumerate().map(|(n, parts)| (parts.values, n)).collect();
    let mut packed = vec![false; checkpoint.tensors().len()];
    all.iter().flat_map(Parts::tensors).for_each(|tensor| packed[tensor] = true);
    let (mut places, mut outputs, mut next) = (Vec::new(), vec![0; all.len()], 0);
    for (tensor, info) in checkpoint.tensors().iter().enumerate() {
        let now = match of_values.get(&tensor) {
            Some(matrix) => {
                outputs[*matrix] = next;
                Some(&dense[*matrix])
            }
            None => (!packed[tensor]).then_some(info),
        };
        places.push((!packed[tensor]).then_some(next));
        next += usize::from(now.is_some());
        shards[info.shard].tensors.extend(now.cloned());
    }
    let mut others = Vec::new();
    if all.iter().any(|parts| parts.packing.is_compressed_tensors())
        && let Some(text) = checkpoint.other_file(config::FILE, config::MOST)?
    {
        let less = config::without(&text).map_err(|problem| config::bad(checkpoint, problem))?;
        others.extend(less.map(|text| (config::FILE.to_owned(), text.into_bytes())));
    }
    let what = FreshDescriptor { from: checkpoint, sources: Sources::default(), shards, others };
    Ok((Fresh::create_as(what, &verbatim, output, force, unfinished)?, places, outputs))
}

/// What a thread unpacks from.
#[derive(Default)]
struct Buffers {
    bits: Vec<u8>,
    values: Vec<u8>,
    offsets: Vec<u8>,
    weights: Vec<u8>,
}

struct Work<'a> {
    checkpoint: &'a Checkpoint,
    parts: &'a Parts,
}

impl Work<'_> {
    /// Bytes of a row's bits in a span.
    fn row_bytes(&self, span: Span) -> usize {
        let cols = self.parts.matrix.cols;
        let end = span.col + span.cols == cols;
        (if end { self.parts.packing.row_bytes(cols) - span.col / 8 } else { span.cols / 8 }) as usize
    }

    fn read_bits(&self, span: Span, bits: &mut Vec<u8>) -> Result<()> {
        bits.resize(self.row_bytes(span) * span.rows as usize, 0);
        let at = span.row * self.parts.packing.row_bytes(self.parts.matrix.cols) + span.col / 8;
        self.checkpoint.read_at(self.parts.bits, at, bits)
    }

    fn bad(&self, tensor: usize, problem: String) -> Error {
        let info = &self.checkpoint.tensors()[tensor];
        self.checkpoint.bad(info.shard, &info.name, problem)
    }

    fn count(&self, span: Span, bits: &mut Vec<u8>) -> Result<u64> {
        self.read_bits(span, bits)?;
        let mut kept = 0;
        for (row, bits) in (span.row..).zip(bits.chunks(self.row_bytes(span))) {
            let (ones, behind) = decode::count(bits, span.cols);
            if behind {
                return Err(self.bad(self.parts.bits, format!("row {row} has bits behind its last column")));
            }
            if self.parts.packing == Packing::Sparse24Bitmask && !decode::is_two_of_four(bits, span.cols) {
                return Err(self.bad(self.parts.bits, format!("a group of 4 in row {row} does not keep exactly 2")));
            }
            kept += ones;
        }
        Ok(kept)
    }

    fn span(
        &self,
        fresh: &Fresh,
        output: usize,
        span: Span,
        (start, count): (u64, u64),
        buffers: &mut Buffers,
    ) -> Result<u64> {
        let Parts { packing, values: values_at, offsets: offsets_at, .. } = *self.parts;
        let Matrix { dtype, cols, .. } = self.parts.matrix;
        let size = dtype.size();
        let Buffers { bits, values, offsets, weights } = buffers;
        self.read_bits(span, bits)?;
        values.resize(count as usize * size, 0);
        self.checkpoint.read_at(values_at, start * size as u64, values)?;
        weights.resize(span.weights() as usize * size, 0);
        let (width, step) = packing.offsets(cols).unwrap_or((0, cols));
        let mut expected = Vec::new();
        let mut kept = 0;
        let row_bytes = self.row_bytes(span);
        for (bits, weights) in bits.chunks(row_bytes).zip(weights.chunks_mut(span.cols as usize * size)) {
            let mut col = span.col;
            for run in weights.chunks_mut(step.min(span.cols) as usize * size) {
                if col.is_multiple_of(step) {
                    expected.extend_from_slice(&(start + kept as u64).to_le_bytes()[..width as usize]);
                }
                let bits = &bits[((col - span.col) / 8) as usize..];
                let columns = run.len() / size;
                // A file that is written to meanwhile may have other bits by now.
                let here = decode::count(&bits[..columns.div_ceil(8)], columns as u64).0 as usize;
                if kept + here > count as usize {
                    return Err(self.bad(self.parts.bits, "it was written to while it was read".into()));
                }
                kept += decode::row(size, bits, &values[kept * size..], run);
                col += columns as u64;
            }
        }
        if let Some(offsets_at) = offsets_at.filter(|_| !expected.is_empty()) {
            let at = (span.row * cols.div_ceil(step) + span.col.div_ceil(step)) * width;
            offsets.resize(expected.len(), 0);
            self.checkpoint.read_at(offsets_at, at, offsets)?;
            if let Some(wrong) = offsets.iter().zip(&expected).position(|(a, b)| a != b) {
                let (wide, which) = (width as usize, wrong / width as usize);
                let value = |all: &[u8]| {
                    all[which * wide..][..wide].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
                };
                let (number, found, needed) = (at / width + which as u64, value(offsets), value(&expected));
                let problem = format!("offset {number} is {found}, its bits come to {needed}");
                return Err(self.bad(offsets_at, problem));
            }
        }
        fresh.write_at(output, (span.row * cols + span.col) * size as u64, weights)?;
        Ok(weights.len() as u64)
    }
}
