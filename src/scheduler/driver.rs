//! The driver: asks the reader for chunks, records kernels on them, hands them to the finishers, task by task.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::Instant;

use super::budget::{Budget, Chunk, Span};
use super::finish::{Finisher, Submitted};
use super::outcome::{self, Found};
use super::results::{Entry, Results};
use super::ring::{Ring, StopOnPanic};
use super::select::Select;
use super::slot::Slot;
use super::stream;
use super::{Job, Outcome, Sink, Source, Task, Times};
use crate::gpu::Gpu;
use crate::{Error, Result};

/// What the GPU fails at, if it does.
pub const DOING: &str = "running kernels";

/// Threads that finish chunks.
const FINISHERS: usize = 2;

pub struct Driver<'a> {
    pub gpu: &'a Gpu,
    pub jobs: &'a [Job],
    pub source: &'a dyn Source,
    pub budget: Budget,
    pub select: Select,
    pub results: Results,
    loads: mpsc::Sender<Chunk>,
    filled: mpsc::Receiver<(Slot, Chunk)>,
    submitted: mpsc::Sender<Submitted>,
    /// Tasks whose chunks have been asked for ahead of their turn.
    asked: usize,
}

/// A task, cut to what the slots can hold.
enum Step {
    /// Chunks that stay in their slots until they are masked.
    Resident { span: Span, goal: Goal, chunks: Vec<Chunk> },
    /// Chunks of whole rows, each by itself.
    Rows { job: usize, k: u32, chunks: Vec<Chunk> },
    /// Spans under one cut, read once to count and once to mask.
    Stream { spans: Vec<Span>, goal: Goal },
}

/// Which weights go: so many of the smallest, or all up to a magnitude.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    Count(u64),
    UpTo(f64),
}

pub fn run(
    gpu: &Gpu,
    jobs: &[Job],
    tasks: &[Task],
    source: &dyn Source,
    sink: &dyn Sink,
    budget: Budget,
) -> Result<(Vec<Outcome>, Times)> {
    let steps: Vec<Step> = tasks.iter().flat_map(|task| steps(jobs, budget, task)).collect();
    let largest =
        steps.iter().map(|step| if let Step::Resident { chunks, .. } = step { chunks.len() } else { 1 }).max();
    let ring = &Ring::new(gpu, budget.for_chunks(largest.unwrap_or(1)));
    let kept: Vec<AtomicU64> = jobs.iter().map(|_| AtomicU64::new(0)).collect();
    let mut times = Times::default();
    let (loads, to_load) = mpsc::channel();
    let (fills, filled) = mpsc::channel();
    let (submitted, to_finish) = mpsc::channel();
    let to_finish = Mutex::new(to_finish);
    let finisher = Finisher { gpu, ring, jobs, kept: &kept };
    let found = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(ring, jobs, source, to_load, fills));
        let finishers: Vec<_> = (0..FINISHERS).map(|_| scope.spawn(|| finisher.run(&to_finish, sink))).collect();
        let _guard = StopOnPanic(ring);
        let buffers = gpu.watch("allocating buffers", || Ok((Select::new(gpu), Results::new(gpu, jobs.len()))));
        // Dropping the driver hangs up on the other threads, which ends them.
        let found = buffers
            .and_then(|(select, results)| {
                Driver { gpu, jobs, source, budget, select, results, loads, filled, submitted, asked: 0 }.run(&steps)
            })
            .map_err(|error| ring.fail(error));
        times.read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        for finisher in finishers {
            let (wait, write) = finisher.join().unwrap_or_else(|panic| resume_unwind(panic));
            times.wait += wait;
            times.write += write;
        }
        found
    });
    ring.result()?;
    gpu.check()?;
    let (found, words) = found.map_err(|()| Error::Cancelled)?;
    let kept: Vec<u64> = kept.into_iter().map(AtomicU64::into_inner).collect();
    outcome::check(jobs, tasks, &kept)?;
    let outcome = |job: usize| found[job].outcome(&jobs[job], Entry::of(&words, job), kept[job]);
    Ok(((0..jobs.len()).map(outcome).collect(), times))
}

/// The reader: fills slots in the order of the loads. Returns the seconds it read.
fn read(
    ring: &Ring<'_>,
    jobs: &[Job],
    source: &dyn Source,
    loads: mpsc::Receiver<Chunk>,
    filled: mpsc::Sender<(Slot, Chunk)>,
) -> f64 {
    let _guard = StopOnPanic(ring);
    let (mut seconds, mut block) = (0.0, Vec::new());
    while let Ok(chunk) = loads.recv() {
        let Some(mut slot) = ring.take() else { break };
        let start = Instant::now();
        let size = jobs[chunk.job].dtype.size() as u64;
        let bytes = chunk.weights() * size;
        let done =
            slot.fill(bytes as usize, &mut block, |at, buf| source.read(chunk.job, chunk.first * size + at, buf));
        seconds += start.elapsed().as_secs_f64();
        if let Err(error) = done {
            ring.fail(error);
            break;
        }
        if filled.send((slot, chunk)).is_err() {
            break;
        }
    }
    seconds
}

/// Cuts a task to what the slots can hold.
fn steps(jobs: &[Job], budget: Budget, task: &Task) -> Vec<Step> {
    let matrix = |job: usize, goal| {
        let span = Span::whole(job, &jobs[job]);
        let chunks: Vec<Chunk> = budget.chunks(span, jobs[job].dtype.size()).collect();
        // Counters on the GPU have 32 bits.
        if budget.resident(chunks.len()) && span.weights < 1 << 31 {
            Step::Resident { span, goal, chunks }
        } else {
            Step::Stream { spans: vec![span], goal }
        }
    };
    match *task {
        Task::Matrix { job, k } => vec![matrix(job, Goal::Count(k))],
        Task::UpTo { job, magnitude } => vec![matrix(job, Goal::UpTo(magnitude))],
        Task::Rows { job, k } => match budget.row_chunks(job, &jobs[job]) {
            Some(chunks) => vec![Step::Rows { job, k: k as u32, chunks: chunks.collect() }],
            None => {
                let shape = jobs[job].shape;
                let row = |r| Span { job, first: r * shape.cols, weights: shape.cols };
                (0..shape.rows).map(|r| Step::Stream { spans: vec![row(r)], goal: Goal::Count(k) }).collect()
            }
        },
        Task::Pool { jobs: ref pool, k } => {
            let spans = pool.clone().map(|job| Span::whole(job, &jobs[job])).collect();
            vec![Step::Stream { spans, goal: Goal::Count(k) }]
        }
    }
}

impl Driver<'_> {
    /// Asks for chunks; they arrive in this order.
    pub fn ask(&self, chunks: impl Iterator<Item = Chunk>) {
        // If the reader is gone, `filled` says so.
        for chunk in chunks {
            let _ = self.loads.send(chunk);
        }
    }

    /// The next chunk that was asked for, in its slot.
    pub fn filled(&self) -> Result<(Slot, Chunk)> {
        self.filled.recv().map_err(|_| Error::Cancelled)
    }

    /// Submits, and lets the finishers write the chunk once its mask is there.
    pub fn submit_masked(&self, mut encoder: wgpu::CommandEncoder, mut slot: Slot, chunk: Chunk) {
        slot.download(&mut encoder, u64::from(chunk.rows) * u64::from(chunk.cols.div_ceil(32)));
        let submission = self.gpu.queue().submit([encoder.finish()]);
        slot.map_results();
        self.hand_over(Submitted { slot, chunk, submission, masked: true });
    }

    /// Submits, and lets the finishers free the slot once the chunk is counted.
    pub fn submit_counted(&self, encoder: wgpu::CommandEncoder, slot: Slot, chunk: Chunk) {
        let submission = self.gpu.queue().submit([encoder.finish()]);
        self.hand_over(Submitted { slot, chunk, submission, masked: false });
    }

    fn hand_over(&self, submitted: Submitted) {
        // Finishers end only after the driver has.
        drop(self.submitted.send(submitted));
    }

    fn run(mut self, steps: &[Step]) -> Result<(Vec<Found>, Vec<u32>)> {
        let mut found = vec![Found::default(); self.jobs.len()];
        for i in 0..steps.len() {
            self.ask_ahead(steps, i);
            match &steps[i] {
                Step::Resident { span, goal, chunks } => self.resident(*span, *goal, chunks, &mut found)?,
                Step::Rows { job, k, chunks } => self.rows(*job, *k, chunks, &mut found)?,
                Step::Stream { spans, goal } => stream::run(&self, spans, *goal, &mut found)?,
            }
            self.gpu.check()?;
        }
        let words = self.results.read(self.gpu)?;
        Ok((found, words))
    }

    /// Asks for the chunks of step `i` and of those after it, up to one whose passes are not known beforehand.
    fn ask_ahead(&mut self, steps: &[Step], i: usize) {
        self.asked = self.asked.max(i);
        while let Some(Step::Resident { chunks, .. } | Step::Rows { chunks, .. }) = steps.get(self.asked) {
            self.ask(chunks.iter().copied());
            self.asked += 1;
        }
        // A stream asks for its own.
        if self.asked == i {
            self.asked += 1;
        }
    }

    /// All chunks in slots, their cut, then their masks, without the host in between.
    fn resident(&self, span: Span, goal: Goal, chunks: &[Chunk], found: &mut [Found]) -> Result<()> {
        let dtype = self.jobs[span.job].dtype;
        let parts = chunks.iter().map(|_| self.filled()).collect::<Result<Vec<_>>>()?;
        found[span.job] = Found::Cut;
        self.gpu.watch(DOING, || {
            let mut encoder = self.gpu.encoder("select");
            for (slot, chunk) in &parts {
                slot.upload(&mut encoder, chunk.weights() * dtype.size() as u64);
            }
            match goal {
                Goal::Count(k) => self.select.count(&mut encoder, &parts, dtype, span.weights as u32, k)?,
                Goal::UpTo(magnitude) => {
                    let key = dtype.key_at_most(magnitude);
                    self.select.up_to(self.gpu, &mut encoder, &parts, dtype, span.weights as u32, key)?;
                }
            }
            self.results.take_cut(&mut encoder, span.job, &self.select.cut);
            for (slot, chunk) in parts {
                self.select.mask(&mut encoder, &slot, chunk, dtype, &self.select.cut)?;
                self.submit_masked(encoder, slot, chunk);
                encoder = self.gpu.encoder("mask");
            }
            Ok(())
        })
    }

    fn rows(&self, job: usize, k: u32, chunks: &[Chunk], found: &mut [Found]) -> Result<()> {
        let dtype = self.jobs[job].dtype;
        found[job] = Found::Rows;
        for i in 0..chunks.len() {
            let part = self.filled()?;
            self.gpu.watch(DOING, || {
                let mut encoder = self.gpu.encoder("rows");
                if i == 0 {
                    encoder.clear_buffer(&self.select.row_counters, 0, None);
                }
                part.0.upload(&mut encoder, part.1.weights() * dtype.size() as u64);
                self.select.rows(&mut encoder, &part, dtype, k)?;
                if i + 1 == chunks.len() {
                    self.results.take_counters(&mut encoder, job, &self.select.row_counters);
                }
                self.submit_masked(encoder, part.0, part.1);
                Ok(())
            })?;
        }
        Ok(())
    }
}
