//! Masks a chunk on the host and writes it: weights under bits of their own, or units under one bit each.

use super::Sink;
use super::budget::Chunk;
use super::job::Job;
use super::keep::keep;
use crate::{Dtype, Result};

/// Bytes masked and written at a time.
const BLOCK: usize = 256 << 10;

/// The same where only slabs of rows are written, which takes the more calls the fewer they are. Eight of them at least,
/// so that each block begins with a byte of the mask.
const SLABS: usize = 4 << 20;

/// Where a chunk's weights go.
pub struct Writer<'a> {
    sink: &'a dyn Sink,
    number: usize,
    dtype: Dtype,
    /// The next byte.
    offset: u64,
    block: &'a mut Vec<u8>,
    /// Bytes at a time, at most.
    limit: usize,
    /// Zeros before and after, if they are to be counted.
    zeros: Option<[u64; 2]>,
}

impl<'a> Writer<'a> {
    /// For the weights of a chunk; `block` is reused.
    pub fn new(sink: &'a dyn Sink, job: &Job, chunk: Chunk, block: &'a mut Vec<u8>, count_zeros: bool) -> Self {
        let slab = job.slab as usize * job.shape.cols as usize * job.dtype.size();
        let limit = SLABS.checked_div(slab).map_or(BLOCK, |slabs| (slabs / 8).max(1) * 8 * slab);
        let all = job.weights_in(chunk).count() as usize * job.dtype.size();
        if block.len() < limit.min(all) {
            block.resize(limit.min(all), 0);
        }
        let offset = job.weights_in(chunk).first * job.dtype.size() as u64;
        Self { sink, number: chunk.job, dtype: job.dtype, offset, block, limit, zeros: count_zeros.then_some([0; 2]) }
    }

    /// Writes all weights of a chunk under its mask. Returns the zeros before and after, if they were counted.
    pub fn chunk(mut self, job: &Job, chunk: Chunk, weights: &[u8], mask: &[u8]) -> Result<[u64; 2]> {
        let (rows, cols) = (chunk.rows as usize, chunk.cols as usize);
        if job.is_pooled() {
            self.units(job, chunk, weights, mask)?;
        } else if cols.is_multiple_of(32) || rows == 1 {
            self.run(weights, mask)?;
        } else {
            self.rows(cols, weights, mask)?;
        }
        Ok(self.zeros.unwrap_or_default())
    }

    fn write(&mut self, from: &[u8]) -> Result<()> {
        let to = &self.block[..from.len()];
        if let Some([before, after]) = &mut self.zeros {
            *before += zeros(self.dtype, from);
            *after += zeros(self.dtype, to);
        }
        self.sink.write(self.number, self.offset, to)?;
        self.offset += from.len() as u64;
        Ok(())
    }

    /// Weights whose mask bits follow each other without gaps.
    fn run(&mut self, weights: &[u8], mask: &[u8]) -> Result<()> {
        for (i, from) in weights.chunks(self.limit).enumerate() {
            keep(
                self.dtype.size(),
                from,
                &mask[i * self.limit / self.dtype.size() / 8..],
                &mut self.block[..from.len()],
            );
            self.write(from)?;
        }
        Ok(())
    }

    /// Rows that each start a new mask word: as many at a time as the block holds.
    fn rows(&mut self, cols: usize, weights: &[u8], mask: &[u8]) -> Result<()> {
        let (size, row_bytes, mask_bytes) = (self.dtype.size(), cols * self.dtype.size(), cols.div_ceil(32) * 4);
        let per = self.limit / row_bytes;
        if per == 0 {
            return weights
                .chunks(row_bytes)
                .zip(mask.chunks(mask_bytes))
                .try_for_each(|(row, bits)| self.run(row, bits));
        }
        for (from, bits) in weights.chunks(per * row_bytes).zip(mask.chunks(per * mask_bytes)) {
            let rows = from.chunks(row_bytes).zip(bits.chunks(mask_bytes)).zip(self.block.chunks_mut(row_bytes));
            rows.for_each(|((from, bits), to)| keep(size, from, bits, to));
            self.write(from)?;
        }
        Ok(())
    }

    /// Rows of units: the bits of one are spread over the weights of each of its rows. As many rows at a time as the block
    /// holds.
    fn units(&mut self, job: &Job, chunk: Chunk, weights: &[u8], mask: &[u8]) -> Result<()> {
        let (size, units, cols) = (self.dtype.size(), job.units(), job.shape.cols);
        let row_bytes = cols as usize * size;
        // Units in a row of the mask: rows of units lie without gaps, or each starts a word.
        let per = chunk.cols as usize;
        let mut spread = vec![0; cols.div_ceil(32) as usize * 4];
        let mut done = 0;
        for (row, from) in weights.chunks(row_bytes).enumerate() {
            let row = row as u64;
            if row.is_multiple_of(job.unit.rows) {
                let first = (row / job.unit.rows * units.cols) as usize;
                let bits = |unit: usize| {
                    let (r, c) = ((first + unit) / per, (first + unit) % per);
                    mask[r * per.div_ceil(32) * 4 + c / 8] >> (c % 8) & 1 == 1
                };
                spread_bits(units.cols as usize, job.unit.cols, cols, bits, &mut spread);
            }
            if row_bytes > self.limit {
                self.run(from, &spread)?;
                continue;
            }
            let start = row as usize * row_bytes;
            keep(size, from, &spread, &mut self.block[start - done..start - done + row_bytes]);
            let end = start + row_bytes;
            if end == weights.len() || end + row_bytes - done > self.limit {
                self.write(&weights[done..end])?;
                done = end;
            }
        }
        Ok(())
    }
}

/// One bit for each of `cols` weights of a row, from one for each of `units` units of `width` weights.
fn spread_bits(units: usize, width: u64, cols: u64, bit: impl Fn(usize) -> bool, to: &mut [u8]) {
    to.fill(0);
    for unit in (0..units).filter(|&unit| bit(unit)) {
        let (begin, end) = (unit as u64 * width, (unit as u64 + 1).saturating_mul(width).min(cols));
        let (begin, end) = (begin as usize, end as usize);
        let (first, last) = (begin.div_ceil(8).min(end), end / 8);
        if first <= last {
            to[first..last].fill(0xff);
        }
        for i in (begin..end.min(first * 8)).chain((last * 8).max(begin.div_ceil(8) * 8).max(begin)..end) {
            to[i / 8] |= 1 << (i % 8);
        }
    }
}

/// Weights that are ±0.
fn zeros(dtype: Dtype, bytes: &[u8]) -> u64 {
    let count = match dtype.size() {
        1 => bytes.iter().filter(|&&b| b & 0x7f == 0).count(),
        2 => bytes.as_chunks().0.iter().filter(|&&b| u16::from_le_bytes(b) & 0x7fff == 0).count(),
        _ => bytes.as_chunks().0.iter().filter(|&&b| u32::from_le_bytes(b) & 0x7fff_ffff == 0).count(),
    };
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_over_the_weights_of_their_units() {
        for (units, width, cols) in
            [(1, 100, 100), (5, 3, 14), (7, 8, 50), (13, 1, 13), (4, 16, 64), (3, 40, 90), (2, 5, 7)]
        {
            for pattern in [0u32, 1, 0b1011, 0x1555, u32::MAX] {
                let mut got = vec![0xaa; (cols as usize).div_ceil(32) * 4];
                spread_bits(units, width, cols, |unit| pattern >> unit & 1 == 1, &mut got);
                for i in 0..got.len() * 8 {
                    let want = i < cols as usize && pattern >> (i / width as usize) & 1 == 1;
                    assert_eq!(got[i / 8] >> (i % 8) & 1 == 1, want, "{units} {width} {cols} {pattern:#x} {i}");
                }
            }
        }
    }
}
