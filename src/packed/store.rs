//! A packed checkpoint that is being written: its files begun, and matrices packed into them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use super::config;
use super::encode::{self, Keep};
use super::kind::{Matrix, Packing};
use super::pack::{Candidate, HEADER, INDEX, PackOptions, read};
use super::spans::{Span, Spans};
use crate::checkpoint::{
    Checkpoint, Fresh, FreshDescriptor, MAX_HEADER_BYTES, NewShard, Sources, TensorInfo, Unfinished,
};
use crate::sparse::file as tiled;
use crate::{Error, OnBytes, Result};

/// Where what stands for a tensor begins among the output's.
pub(super) type Places = Vec<usize>;

/// Begins it, each packed tensor where its dense one was.
pub(super) fn begin(
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
        others.push((
            config::FILE.to_owned(),
            config::with(&text, section).map_err(|problem| config::bad(checkpoint, problem))?.into_bytes(),
        ));
    }
    let what = FreshDescriptor { from: checkpoint, sources: Sources::default(), shards, others };
    Ok((Fresh::create(what, output, options.force, unfinished)?, places))
}

/// The second pass.
pub(super) struct Work<'a> {
    pub checkpoint: &'a Checkpoint,
    pub fresh: &'a Fresh,
    pub packing: Packing,
    pub keep: Keep,
    pub packed: &'a [(Candidate, Vec<TensorInfo>)],
    pub places: &'a Places,
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
    pub fn run(&self, (before, total): (u64, u64), progress: OnBytes<'_>) -> Result<()> {
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
        let packed: HashSet<usize> = self.packed.iter().map(|(candidate, _)| candidate.tensor).collect();
        let done = std::cell::Cell::new(done);
        for tensor in (0..self.checkpoint.tensors().len()).filter(|tensor| !packed.contains(tensor)) {
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
                if col.is_multiple_of(step) {
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
