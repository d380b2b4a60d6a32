//! The finishers: wait for a chunk's mask, mask the chunk, write it, make its slot ready.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::budget::Chunk;
use super::keep::keep;
use super::ledger::Ledger;
use super::part::Part;
use super::ring::{Ring, StopOnPanic};
use super::slot::Slot;
use super::{Job, Sink};
use crate::gpu::Gpu;
use crate::{Dtype, Result};

/// Bytes masked and written at a time.
const BLOCK: usize = 256 << 10;

/// A chunk that has been submitted.
#[derive(Debug)]
pub struct Submitted {
    pub slot: Slot,
    pub chunk: Chunk,
    pub submission: wgpu::SubmissionIndex,
    /// Where it was masked, and is to be written: its part, and whether the slot holds the part's entry.
    pub masked: Option<(Arc<Part>, bool)>,
}

pub struct Finisher<'a> {
    pub gpu: &'a Gpu,
    pub ring: &'a Ring<'a>,
    pub jobs: &'a [Job],
    pub ledger: &'a Ledger<'a>,
}

impl Finisher<'_> {
    /// Works until the driver hangs up. Returns the seconds waited and the seconds written.
    pub fn run(&self, queue: &Mutex<mpsc::Receiver<Submitted>>, sink: &dyn Sink) -> (f64, f64) {
        let _guard = StopOnPanic(self.ring);
        let (mut waited, mut wrote) = (Duration::ZERO, Duration::ZERO);
        let mut block = vec![0; BLOCK];
        loop {
            let next = queue.lock().map(|queue| queue.recv());
            let Ok(Ok(mut submitted)) = next else { break };
            if self.ring.stopped() {
                continue; // the slot goes; nobody asks for it any more
            }
            let start = Instant::now();
            let waiting = submitted.slot.wait(self.gpu, &submitted.submission).and_then(|()| self.gpu.check());
            waited += start.elapsed();
            let start = Instant::now();
            let done = waiting.and_then(|()| {
                if let Some((part, entry)) = &submitted.masked {
                    self.write(&submitted, part, sink, &mut block)?;
                    if *entry {
                        part.take(submitted.slot.entry()?);
                    }
                    if let Some(done) = part.wrote_chunk() {
                        self.ledger.finish(&done)?;
                    }
                }
                submitted.slot.make_ready(self.gpu, submitted.masked.is_some())
            });
            wrote += start.elapsed();
            match done {
                Ok(()) => self.ring.give_back(submitted.slot),
                Err(error) => self.ring.fail(error),
            }
        }
        (waited.as_secs_f64(), wrote.as_secs_f64())
    }

    fn write(&self, submitted: &Submitted, part: &Part, sink: &dyn Sink, block: &mut [u8]) -> Result<()> {
        let chunk = submitted.chunk;
        let dtype = self.jobs[chunk.job].dtype;
        let (rows, cols, size) = (chunk.rows as usize, chunk.cols as usize, dtype.size());
        let words = cols.div_ceil(32);
        submitted.slot.read(rows * cols * size, rows * words, |weights, mask| {
            let kept: u64 = mask
                .chunks_exact(4)
                .map(|word| u64::from(u32::from_le_bytes(word.try_into().expect("4 bytes")).count_ones()))
                .sum();
            part.keep(kept);
            let offset = chunk.first * size as u64;
            if cols.is_multiple_of(32) || rows == 1 {
                return write_run(sink, chunk.job, offset, dtype, weights, mask, block);
            }
            write_rows(sink, chunk, dtype, weights, mask, block)
        })
    }
}

/// Weights whose mask bits follow each other without gaps.
fn write_run(
    sink: &dyn Sink,
    job: usize,
    offset: u64,
    dtype: Dtype,
    weights: &[u8],
    mask: &[u8],
    block: &mut [u8],
) -> Result<()> {
    for (i, from) in weights.chunks(BLOCK).enumerate() {
        let to = &mut block[..from.len()];
        keep(dtype.size(), from, &mask[i * BLOCK / dtype.size() / 8..], to);
        sink.write(job, offset + (i * BLOCK) as u64, to)?;
    }
    Ok(())
}

/// Rows that each start a new mask word: as many at a time as the block holds.
fn write_rows(
    sink: &dyn Sink,
    chunk: Chunk,
    dtype: Dtype,
    weights: &[u8],
    mask: &[u8],
    block: &mut [u8],
) -> Result<()> {
    let (size, cols) = (dtype.size(), chunk.cols as usize);
    let (row_bytes, mask_bytes) = (cols * size, cols.div_ceil(32) * 4);
    let mut offset = chunk.first * size as u64;
    let per = BLOCK / row_bytes;
    if per == 0 {
        for (from, bits) in weights.chunks(row_bytes).zip(mask.chunks(mask_bytes)) {
            write_run(sink, chunk.job, offset, dtype, from, bits, block)?;
            offset += row_bytes as u64;
        }
        return Ok(());
    }
    for (from, bits) in weights.chunks(per * row_bytes).zip(mask.chunks(per * mask_bytes)) {
        let to = &mut block[..from.len()];
        let rows = from.chunks(row_bytes).zip(bits.chunks(mask_bytes)).zip(to.chunks_mut(row_bytes));
        rows.for_each(|((from, bits), to)| keep(size, from, bits, to));
        sink.write(chunk.job, offset, to)?;
        offset += from.len() as u64;
    }
    Ok(())
}
