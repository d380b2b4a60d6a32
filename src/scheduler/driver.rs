//! The driver: asks the reader for chunks, records kernels on them, hands them to the finishers, task by task.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::budget::{Budget, Chunk, Span};
use super::busy::{Live, Pass};
use super::finish::{Finisher, Submitted};
use super::ledger::Ledger;
use super::part::{Part, What};
use super::results::ENTRY;
use super::ring::{Ring, StopOnPanic};
use super::score::Scorer;
use super::select::Select;
use super::slot::Slot;
use super::steps::{Goal, Step, steps};
use super::stream;
use super::{Each, Ends, Engine, Job, Outcome, Scoring, Source, Task};
use crate::gpu::Gpu;
use crate::kernels::CUT_BYTES;
use crate::{Error, Result};

/// What the GPU fails at, if it does.
pub const DOING: &str = "running kernels";

/// Threads that finish chunks.
const FINISHERS: usize = 2;

pub struct Driver<'a> {
    pub gpu: &'a Gpu,
    pub jobs: &'a [Job],
    pub source: &'a dyn Source,
    pub live: &'a Live,
    pub budget: Budget,
    pub select: Select,
    scorer: Scorer,
    pub ledger: &'a Ledger<'a>,
    /// What an earlier run had counted, as bytes.
    pub counted: Option<&'a [u8]>,
    loads: mpsc::Sender<(Pass, Chunk)>,
    filled: mpsc::Receiver<(Slot, Chunk)>,
    submitted: mpsc::Sender<Submitted>,
    /// Tasks whose chunks have been asked for ahead of their turn.
    asked: usize,
}

pub fn run(
    engine: Engine<'_>,
    jobs: &[Job],
    tasks: &[Task],
    Ends { source, sink, live }: Ends<'_>,
    budget: Budget,
    ledger: &Ledger<'_>,
    counted: Option<&[u8]>,
) -> Result<Vec<Outcome>> {
    let gpu = engine.gpu;
    let steps: Vec<Step> = (0..tasks.len()).flat_map(|task| steps(jobs, budget, tasks, task, ledger)).collect();
    let largest =
        steps.iter().map(|step| if let Step::Resident { chunks, .. } = step { chunks.len() } else { 1 }).max();
    let ring = &Ring::new(gpu, budget.for_chunks(largest.unwrap_or(1)));
    let (loads, to_load) = mpsc::channel();
    let (fills, filled) = mpsc::channel();
    let (submitted, to_finish) = mpsc::channel();
    let to_finish = Mutex::new(to_finish);
    let finisher = Finisher { gpu, ring, jobs, ledger, busy: &live.busy };
    let driven = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(ring, jobs, source, to_load, fills, live));
        let finishers: Vec<_> = (0..FINISHERS).map(|_| scope.spawn(|| finisher.run(&to_finish, sink))).collect();
        let _guard = StopOnPanic(ring);
        // Dropping the driver hangs up on the other threads, which ends them.
        let driven = gpu.watch("allocating buffers", || Ok(Select::new(engine))).and_then(|select| {
            let driver = Driver {
                gpu,
                jobs,
                source,
                live,
                budget,
                select,
                scorer: Scorer::default(),
                ledger,
                counted,
                loads,
                filled,
                submitted,
                asked: 0,
            };
            driver.run(&steps)
        });
        let driven = driven.map_err(|error| ring.fail(error));
        for thread in std::iter::once(reader).chain(finishers) {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        driven
    });
    ring.result()?;
    gpu.check()?;
    driven.map_err(|()| Error::Cancelled)?;
    ledger.outcomes()
}

/// The reader: fills slots in the order of the loads.
fn read(
    ring: &Ring<'_>,
    jobs: &[Job],
    source: &dyn Source,
    loads: mpsc::Receiver<(Pass, Chunk)>,
    filled: mpsc::Sender<(Slot, Chunk)>,
    live: &Live,
) {
    let _guard = StopOnPanic(ring);
    let (mut block, busy) = (Vec::new(), &live.busy);
    while let Ok((pass, chunk)) = loads.recv() {
        let Some(mut slot) = ring.take() else { break };
        live.begin(pass);
        let (job, size) = (&jobs[chunk.job], jobs[chunk.job].dtype.size() as u64);
        let weights = job.weights_in(chunk);
        let read = |at, buf: &mut [u8]| source.read(chunk.job, weights.first * size + at, buf);
        let scores = |first| move |scores: &mut [f32]| source.scores(chunk.job, first, scores);
        let done =
            slot.fill((weights.count() * size) as usize, &mut block, busy, read).and_then(|()| match job.scoring {
                Scoring::Given => slot.score(weights.count(), busy, scores(weights.first)),
                Scoring::GivenByUnit => slot.score(chunk.units(), busy, scores(chunk.first)),
                _ => Ok(()),
            });
        if let Err(error) = done {
            ring.fail(error);
            break;
        }
        if filled.send((slot, chunk)).is_err() {
            break;
        }
    }
}

impl Driver<'_> {
    /// Asks for chunks; they arrive in this order.
    pub fn ask(&self, pass: Pass, chunks: impl Iterator<Item = Chunk>) {
        // If the reader is gone, `filled` says so.
        for chunk in chunks {
            let _ = self.loads.send((pass, chunk));
        }
    }

    /// The next chunk that was asked for, in its slot.
    pub fn filled(&self) -> Result<(Slot, Chunk)> {
        self.filled.recv().map_err(|_| Error::Cancelled)
    }

    /// Records: the chunk's weights on the GPU, and their keys, if they are not the weights' own.
    pub fn bring(&self, encoder: &mut wgpu::CommandEncoder, slot: &Slot, chunk: Chunk) -> Result<()> {
        self.upload(encoder, slot, chunk);
        self.scorer.score(self, encoder, slot, chunk)
    }

    fn upload(&self, encoder: &mut wgpu::CommandEncoder, slot: &Slot, chunk: Chunk) {
        let job = &self.jobs[chunk.job];
        slot.upload(encoder, job.weights_in(chunk).count() * job.dtype.size() as u64);
    }

    /// Submits, and lets the finishers write the chunk once its mask is there. `found` is where the GPU has what is
    /// found of the part, and comes with its last chunk.
    pub fn submit_masked(
        &self,
        mut encoder: wgpu::CommandEncoder,
        (mut slot, chunk): (Slot, Chunk),
        part: &Arc<Part>,
        found: Option<(&wgpu::Buffer, u64)>,
    ) {
        let words = u64::from(chunk.rows) * u64::from(chunk.cols.div_ceil(32));
        slot.download(&mut encoder, words, found);
        let submission = self.gpu.queue().submit([encoder.finish()]);
        slot.map_results();
        self.hand_over(Submitted { slot, chunk, submission, masked: Some((part.clone(), found.is_some())) });
    }

    /// Submits, and lets the finishers free the slot once the chunk is counted.
    pub fn submit_counted(&self, encoder: wgpu::CommandEncoder, slot: Slot, chunk: Chunk) {
        let submission = self.gpu.queue().submit([encoder.finish()]);
        self.hand_over(Submitted { slot, chunk, submission, masked: None });
    }

    fn hand_over(&self, submitted: Submitted) {
        // Finishers end only after the driver has.
        drop(self.submitted.send(submitted));
    }

    fn run(mut self, steps: &[Step]) -> Result<()> {
        for i in 0..steps.len() {
            self.ask_ahead(steps, i);
            match &steps[i] {
                Step::Resident { span, goal, chunks } => self.resident(*span, *goal, chunks)?,
                Step::Rows { job, each, chunks } => self.rows(*job, *each, chunks)?,
                Step::Stream(stream) => stream::run(&self, stream)?,
            }
            self.gpu.check()?;
        }
        Ok(())
    }

    /// Asks for the chunks of step `i` and of those after it, up to one whose passes are not known beforehand.
    fn ask_ahead(&mut self, steps: &[Step], i: usize) {
        self.asked = self.asked.max(i);
        while let Some(Step::Resident { chunks, .. } | Step::Rows { chunks, .. }) = steps.get(self.asked) {
            self.ask(Pass::Prune, chunks.iter().copied());
            self.asked += 1;
        }
        // A stream asks for its own.
        if self.asked == i {
            self.asked += 1;
        }
    }

    /// All chunks in slots, their cut, then their masks, without the host in between.
    fn resident(&self, span: Span, goal: Goal, chunks: &[Chunk]) -> Result<()> {
        let job = &self.jobs[span.job];
        let parts = chunks.iter().map(|_| self.filled()).collect::<Result<Vec<_>>>()?;
        let whole = Arc::new(Part::new(What::Matrix { job: span.job }, chunks.len(), !job.is_plain()));
        self.gpu.watch(DOING, || {
            let mut encoder = self.gpu.encoder("select");
            for (slot, chunk) in &parts {
                self.bring(&mut encoder, slot, *chunk)?;
            }
            match goal {
                Goal::Count(k, _) => self.select.count(&mut encoder, &parts, job, span.units as u32, k)?,
                Goal::UpTo(magnitude) => {
                    let key = job.key_at_most(magnitude);
                    self.select.up_to(self.gpu, &mut encoder, &parts, job, span.units as u32, key)?;
                }
            }
            for (i, (slot, chunk)) in parts.into_iter().enumerate() {
                self.select.mask(&mut encoder, &slot, chunk, job, &self.select.cut)?;
                let found = (i + 1 == chunks.len()).then_some((&self.select.cut, CUT_BYTES));
                self.submit_masked(encoder, (slot, chunk), &whole, found);
                encoder = self.gpu.encoder("mask");
            }
            Ok(())
        })
    }

    /// Chunks of whole rows, one after the other.
    fn rows(&self, job: usize, each: Each, chunks: &[Chunk]) -> Result<()> {
        let (of, cols) = (&self.jobs[job], self.jobs[job].units().cols);
        let (first, units) = (chunks[0].first / cols, chunks.iter().map(Chunk::units).sum::<u64>());
        let what = What::Rows { job, first, rows: units / cols, weights: units };
        let whole = Arc::new(Part::new(what, chunks.len(), !of.is_plain()));
        let scales = self.scorer.scales_of_rows(self, job, each)?;
        for i in 0..chunks.len() {
            let part = self.filled()?;
            self.gpu.watch(DOING, || {
                let mut encoder = self.gpu.encoder("rows");
                if i == 0 {
                    encoder.clear_buffer(&self.select.row_counters, 0, None);
                }
                if let Some((scales, k)) = &scales {
                    self.upload(&mut encoder, &part.0, part.1);
                    self.select.rows_scaled(&mut encoder, &part, of, scales, *k)?;
                } else {
                    self.bring(&mut encoder, &part.0, part.1)?;
                    self.select.rows(&mut encoder, &part, of, each)?;
                }
                let found = (i + 1 == chunks.len()).then_some((&self.select.row_counters, ENTRY));
                self.submit_masked(encoder, part, &whole, found);
                Ok(())
            })?;
        }
        Ok(())
    }
}
