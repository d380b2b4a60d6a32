//! Counting passes over what is streamed, until they hold the cut: nearly always one.

use std::collections::BTreeMap;

use wgpu::BufferUsages as Usage;

use super::budget::Span;
use super::busy;
use super::driver::{DOING, Driver};
use super::ledger::StreamCut;
use super::pool::{Interval, Part, PoolStep, threshold};
use super::progress::Counted;
use super::results::{Entry, Results};
use super::sample::{bounds, sample};
use super::steps::{Goal, Of, Stream};
use super::stream::rest;
use crate::gpu::{Gpu, Tuning};
use crate::kernels::{COUNT_HEADS, Kernels, counted_bytes, counts_bytes, read_counts, window_words};
use crate::reference::{Counts, Window};
use crate::{Dtype, Result};

/// Bins of a pass over a source: each further pass reads everything again, so there are many. 8 MiB per element type.
const CAPACITY: u32 = 1 << 21;

/// Weights counted at most before the 32-bit counters are read back and cleared.
const FLUSH: u64 = 1 << 31;

/// What a pass counts into, for one element type.
struct Counter {
    window: Window,
    placed: wgpu::Buffer,
    counts: wgpu::Buffer,
    /// Read back so far: bins, and weights above the window's start.
    sum: Counts,
    /// Weights in `counts` that have not been read back.
    fresh: u64,
}

impl Counter {
    fn new(gpu: &Gpu, window: Window) -> Self {
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let size = counts_bytes(CAPACITY);
        let label = Some("stream counts");
        let counts =
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        let placed = gpu.buffer_with("stream window", &window_words(window));
        Self { window, placed, counts, sum: empty(window), fresh: 0 }
    }

    /// Waits for everything submitted, adds the bins to `sum`, and clears all; returns the counters, which are of the
    /// span in work or have been taken already.
    fn flush(&mut self, gpu: &Gpu) -> Result<[u64; 2]> {
        let bytes = counted_bytes(self.window);
        let counted = read_counts(&gpu.read_words(&self.counts, bytes)?, self.window, 0);
        self.sum.bins.iter_mut().zip(&counted.bins).for_each(|(sum, n)| *sum += n);
        self.fresh = 0;
        gpu.submit("flush", |encoder| encoder.clear_buffer(&self.counts, 0, Some(bytes)))?;
        Ok([counted.reached, counted.nonzero])
    }
}

fn empty(window: Window) -> Counts {
    Counts { bins: vec![0; window.bins as usize], ..Counts::default() }
}

/// A counting pass over all spans.
struct Pass<'a> {
    driver: &'a Driver<'a>,
    stream: &'a Stream,
    interval: Interval,
    counters: BTreeMap<Dtype, Counter>,
    results: Results,
    /// Non-zero weights of each span, as far as they were read back.
    nonzero: Vec<u64>,
    /// Spans whose entries in `results` have been added.
    taken: usize,
}

/// The cut, and the zeros of each span.
pub fn count(driver: &Driver<'_>, stream: &Stream) -> Result<(StreamCut, Vec<u64>)> {
    let total: u64 = stream.spans.iter().map(|s| s.units).sum();
    let mut past = past(driver, stream);
    let mut interval = match (&past, stream.goal) {
        (Some(past), _) => Interval { low: past.low, high: past.high },
        (_, Goal::Count(0, _)) => Interval { low: 0, high: 1 },
        // A sample of what is read in whole rows only would cost a pass.
        (_, Goal::Count(..)) if stream.spans.iter().any(|span| driver.jobs[span.job].slab > 0) => Interval::ALL,
        (_, Goal::Count(k, _)) => {
            driver.live.begin_sample();
            let (low, high) = bounds(sample(driver.jobs, &stream.spans, driver.source)?, k, total);
            Interval { low, high: high + 1 }
        }
        (_, Goal::UpTo(magnitude)) => {
            // One matrix, so there is one type.
            let job = &driver.jobs[stream.spans[0].job];
            let key = job.keys().common_key(job.key_at_most(magnitude));
            Interval { low: key, high: key + 1 }
        }
    };
    let kernels = Kernels::new(driver.gpu.device(), Tuning { capacity: CAPACITY, ..driver.gpu.tuning() });
    loop {
        let mut pass = Pass::new(driver, stream, interval)?;
        let at = past.take().map_or(0, |past| pass.go_on(past));
        let zeros = pass.run(&kernels, at)?;
        let part = |(dtype, c): (Dtype, Counter)| Part { dtype, window: c.window, counts: c.sum };
        let parts: Vec<Part> = pass.counters.into_iter().map(part).collect();
        match stream.goal {
            Goal::Count(0, _) => {
                return Ok((StreamCut { common: 0, ties: zeros.iter().sum(), go: 0, goes: Some(0) }, zeros));
            }
            Goal::Count(k, policy) => match threshold(&parts, interval, k) {
                PoolStep::Found { common, ties, go: exact } => {
                    let go = policy.go(ties, exact);
                    return Ok((StreamCut { common, ties, go, goes: Some(k - exact + go) }, zeros));
                }
                PoolStep::Count(next) => interval = next,
            },
            Goal::UpTo(_) => {
                let ties = parts.iter().map(|part| part.at(interval.low)).sum();
                return Ok((StreamCut { common: interval.low, ties, go: ties, goes: None }, zeros));
            }
        }
    }
}

/// How far an earlier run has come with this count; none if it is not whole.
fn past(driver: &Driver<'_>, stream: &Stream) -> Option<Counted> {
    let (Of::Task(task), (Some(first), Some(last))) = (stream.of, (stream.spans.first(), stream.spans.last())) else {
        return None;
    };
    let jobs = &driver.jobs[first.job..=last.job];
    let past = Counted::from_bytes(driver.counted?, task, jobs)?;
    let interval = Interval { low: past.low, high: past.high };
    let holds = |dtype: Dtype| {
        let bins = interval.window(dtype, CAPACITY).bins as usize;
        past.types.iter().filter(|(other, _, counts)| *other == dtype && counts.len() == bins).count() == 1
    };
    let mut at = past.weights;
    for job in jobs {
        let here = at.min(job.units().weights());
        if !job.is_whole(here) {
            return None;
        }
        at -= here;
    }
    jobs.iter().all(|job| holds(job.keys())).then_some(past)
}

impl<'a> Pass<'a> {
    fn new(driver: &'a Driver<'a>, stream: &'a Stream, interval: Interval) -> Result<Self> {
        driver.gpu.watch("allocating buffers", || {
            let mut counters = BTreeMap::new();
            for span in &stream.spans {
                let dtype = driver.jobs[span.job].keys();
                let window = interval.window(dtype, CAPACITY);
                counters.entry(dtype).or_insert_with(|| Counter::new(driver.gpu, window));
            }
            let (spans, results) = (stream.spans.len(), Results::new(driver.gpu, stream.spans.len()));
            Ok(Self { driver, stream, interval, counters, results, nonzero: vec![0; spans], taken: 0 })
        })
    }

    /// Goes on from what an earlier run counted; returns how many weights those are.
    fn go_on(&mut self, past: Counted) -> u64 {
        self.nonzero = past.nonzero;
        for (dtype, reached, bins) in past.types {
            if let Some(counter) = self.counters.get_mut(&dtype) {
                counter.sum.reached = reached;
                counter.sum.bins = bins;
            }
        }
        past.weights
    }

    /// Counts from weight number `at` on; returns the zeros of each span.
    fn run(&mut self, kernels: &Kernels, mut at: u64) -> Result<Vec<u64>> {
        let Self { driver, stream, .. } = *self;
        let rest = rest(&stream.spans, at);
        for (_, span) in &rest {
            driver.ask(busy::Pass::Count, driver.budget.chunks(*span, &driver.jobs[span.job]));
        }
        let resumable = driver.ledger.is_kept() && matches!(stream.of, Of::Task(_));
        if resumable && at == 0 {
            // The sample was worth its reading.
            driver.ledger.counted(|| self.counted(0))?;
        }
        let mut since = 0;
        for (number, span) in rest {
            let job = &driver.jobs[span.job];
            let dtype = job.keys();
            for (part, _) in driver.budget.chunks(span, job).enumerate() {
                let (slot, chunk) = match driver.filled() {
                    Ok(filled) => filled,
                    Err(stopped) => {
                        // What is counted by now is not lost, if the GPU still does what it is told. Before a span's first
                        // chunk the counters are still those of the span before, which are taken already.
                        let in_work = (part > 0).then_some(dtype);
                        if resumable && self.collect(number, in_work).is_ok() {
                            driver.ledger.counted(|| self.counted(at))?;
                        }
                        return Err(stopped);
                    }
                };
                let counter = self.counters.get_mut(&dtype).expect("every type has a counter");
                driver.gpu.watch(DOING, || {
                    let mut encoder = driver.gpu.encoder("count");
                    if part == 0 {
                        encoder.clear_buffer(&counter.counts, 0, Some(8 * u64::from(COUNT_HEADS)));
                    }
                    driver.bring(&mut encoder, &slot, chunk)?;
                    let mut compute = super::select::compute_pass(&mut encoder, "histogram");
                    kernels.histogram(&mut compute, &slot.view(chunk, job), &counter.placed, &counter.counts)?;
                    drop(compute);
                    driver.submit_counted(encoder, slot, chunk);
                    Ok(())
                })?;
                counter.fresh += chunk.units();
                at += chunk.units();
                since += 1;
                // Once a ring: it waits for the GPU, and writes some MB.
                let keep = resumable && since >= driver.budget.slots;
                if counter.fresh > FLUSH || keep {
                    self.collect(number, Some(dtype))?;
                    since = 0;
                }
                if keep {
                    driver.ledger.counted(|| self.counted(at))?;
                }
            }
            let counts = &self.counters[&dtype].counts;
            driver.gpu.submit("counted", |encoder| self.results.take_counters(encoder, number, counts))?;
        }
        self.collect(stream.spans.len(), None)?;
        let mut zeros = Vec::with_capacity(stream.spans.len());
        for (&Span { job, units, .. }, &nonzero) in stream.spans.iter().zip(&self.nonzero) {
            let counter = self.counters.get_mut(&driver.jobs[job].keys()).expect("every type has a counter");
            counter.sum.weights += units;
            counter.sum.nonzero += nonzero;
            zeros.push(units - nonzero);
        }
        Ok(zeros)
    }

    /// Reads back all that has been counted: of the spans before number `now`, and of that one, which is of type
    /// `dtype` and in work, as far as it goes.
    fn collect(&mut self, now: usize, dtype: Option<Dtype>) -> Result<()> {
        let gpu = self.driver.gpu;
        if self.taken < now {
            let words = self.results.read(gpu)?;
            for number in self.taken..now {
                let [reached, nonzero] = Entry::of(&words, number).counters();
                let dtype = self.driver.jobs[self.stream.spans[number].job].keys();
                self.counters.get_mut(&dtype).expect("every type has a counter").sum.reached += reached;
                self.nonzero[number] += nonzero;
            }
            self.taken = now;
        }
        for (&other, counter) in &mut self.counters {
            if counter.fresh == 0 {
                continue;
            }
            let [reached, nonzero] = counter.flush(gpu)?;
            if dtype == Some(other) {
                counter.sum.reached += reached;
                self.nonzero[now] += nonzero;
            }
        }
        Ok(())
    }

    /// What has been counted up to weight number `at`, all of it collected.
    fn counted(&self, at: u64) -> Counted {
        let Of::Task(task) = self.stream.of else { return Counted::default() };
        let types =
            self.counters.iter().map(|(&dtype, counter)| (dtype, counter.sum.reached, counter.sum.bins.clone()));
        let Interval { low, high } = self.interval;
        let (nonzero, types) = (self.nonzero.clone(), types.collect());
        Counted { task: task as u64, low, high, weights: at, nonzero, types }
    }
}
