//! The finishers: wait for a chunk's mask, mask the chunk, write it, make its slot ready.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::budget::Chunk;
use super::busy::{Busy, Stage};
use super::ledger::Ledger;
use super::part::Part;
use super::ring::{Ring, StopOnPanic};
use super::slot::Slot;
use super::write::Writer;
use super::{Job, Sink};
use crate::Result;
use crate::gpu::Gpu;

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
    pub busy: &'a Busy,
}

impl Finisher<'_> {
    /// Works until the driver hangs up.
    pub fn run(&self, queue: &Mutex<mpsc::Receiver<Submitted>>, sink: &dyn Sink) {
        let _guard = StopOnPanic(self.ring);
        let mut block = Vec::new();
        loop {
            let next = queue.lock().map(|queue| queue.recv());
            let Ok(Ok(mut submitted)) = next else { break };
            if self.ring.stopped() {
                continue; // the slot goes; nobody asks for it any more
            }
            let (gpu, busy) = (self.gpu, self.busy);
            let waiting = submitted.slot.wait(gpu, &submitted.submission, busy).and_then(|()| gpu.check());
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
                busy.during(Stage::Upload, || submitted.slot.make_ready(gpu, submitted.masked.is_some()))
            });
            match done {
                Ok(()) => self.ring.give_back(submitted.slot),
                Err(error) => self.ring.fail(error),
            }
        }
    }

    fn write(&self, submitted: &Submitted, part: &Part, sink: &dyn Sink, block: &mut Vec<u8>) -> Result<()> {
        let chunk = submitted.chunk;
        let job = &self.jobs[chunk.job];
        let bytes = job.weights_in(chunk).count() as usize * job.dtype.size();
        let words = chunk.rows as usize * (chunk.cols as usize).div_ceil(32);
        submitted.slot.read(bytes, words, |weights, mask| {
            let ones = |word: &[u8]| u64::from(u32::from_le_bytes(word.try_into().expect("4 bytes")).count_ones());
            let kept = self.busy.during(Stage::Download, || mask.chunks_exact(4).map(ones).sum());
            let writer = Writer::new(sink, job, chunk, block, part.counts_zeros());
            let zeros = self.busy.during(Stage::Write, || writer.chunk(job, chunk, weights, mask))?;
            part.wrote(kept, zeros);
            Ok(())
        })
    }
}
