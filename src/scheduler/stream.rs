//! Pools, and matrices larger than the slots: counted in passes over the source, then masked in one more.

use std::collections::BTreeMap;

use wgpu::BufferUsages as Usage;

use super::budget::Span;
use super::driver::{DOING, Driver, Goal};
use super::outcome::Found;
use super::pool::{Interval, Part, PoolStep, threshold};
use super::results::Entry;
use super::sample::{bounds, sample};
use crate::gpu::{Gpu, Tuning};
use crate::kernels::{COUNT_HEADS, Kernels, WINDOW_BYTES, counts_bytes, cut_words, read_counts, window_words};
use crate::reference::{Counts, Cut, Window};
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
    /// Read back so far.
    sum: Counts,
    /// Weights in `counts` that have not been read back.
    fresh: u64,
}

/// The cut of a set of spans: all keys below it go, and `go` of the `ties` equal to it.
struct StreamCut {
    common: u32,
    ties: u64,
    go: u64,
}

/// Finds the cut of `spans`, masks them under it, and notes what happened to each span's job.
pub fn run(driver: &Driver<'_>, spans: &[Span], goal: Goal, found: &mut [Found]) -> Result<()> {
    let (cut, zeros) = count(driver, spans, goal)?;
    mask(driver, spans, &cut)?;
    let words = driver.results.read(driver.gpu)?;
    let mut left = (cut.ties, cut.go);
    for (span, zeros) in spans.iter().zip(zeros) {
        let job = &driver.jobs[span.job];
        let (key, exact) = job.dtype.floor_key(cut.common);
        let mut ties = (0, 0);
        if exact {
            let now = Entry::of(&words, span.job).cut().left();
            ties = (left.0 - now.0, left.1 - now.1);
            left = now;
        }
        let magnitude = job.dtype.magnitude(key);
        if span.weights == job.shape.weights() {
            found[span.job] = Found::Streamed { zeros, magnitude, ties: ties.0, go: ties.1 };
        } else if let Goal::Count(k) = goal {
            found[span.job].add_row(zeros, zeros.max(k));
        }
    }
    Ok(())
}

impl Counter {
    fn new(gpu: &Gpu, window: Window) -> Self {
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let size = counts_bytes(CAPACITY);
        let label = Some("stream counts");
        let counts =
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        let placed = gpu.buffer_with("stream window", &window_words(window));
        debug_assert_eq!(placed.size(), WINDOW_BYTES);
        Self { window, placed, counts, sum: empty(window), fresh: 0 }
    }

    fn restart(&mut self, gpu: &Gpu, window: Window) {
        self.window = window;
        self.placed = gpu.buffer_with("stream window", &window_words(window));
        self.sum = empty(window);
        self.fresh = 0;
    }

    /// Waits for everything submitted, adds it to `sum`, and clears the bins and the counters of the last job.
    fn flush(&mut self, gpu: &Gpu) -> Result<u64> {
        let words = gpu.read_words(&self.counts)?;
        let counted = read_counts(&words, self.window, 0);
        self.sum.bins.iter_mut().zip(&counted.bins).for_each(|(sum, n)| *sum += n);
        self.sum.reached += counted.reached;
        self.fresh = 0;
        gpu.submit("flush", |encoder| encoder.clear_buffer(&self.counts, 0, None))?;
        Ok(counted.nonzero)
    }
}

fn empty(window: Window) -> Counts {
    Counts { bins: vec![0; window.bins as usize], ..Counts::default() }
}

/// The cut, and the zeros of each span: one counting pass, nearly always.
fn count(driver: &Driver<'_>, spans: &[Span], goal: Goal) -> Result<(StreamCut, Vec<u64>)> {
    let total: u64 = spans.iter().map(|s| s.weights).sum();
    let mut interval = match goal {
        Goal::Count(0) => Interval { low: 0, high: 1 },
        Goal::Count(k) => {
            let (low, high) = bounds(&mut sample(driver.jobs, spans, driver.source)?, k, total);
            Interval { low, high: high + 1 }
        }
        Goal::UpTo(magnitude) => {
            let key = Dtype::F32.key_at_most(magnitude);
            Interval { low: key, high: key + 1 }
        }
    };
    let kernels = Kernels::new(driver.gpu.device(), Tuning { capacity: CAPACITY, ..driver.gpu.tuning() });
    let mut counters: BTreeMap<Dtype, Counter> = BTreeMap::new();
    loop {
        driver.gpu.watch("allocating buffers", || {
            for span in spans {
                let dtype = driver.jobs[span.job].dtype;
                counters.entry(dtype).or_insert_with(|| Counter::new(driver.gpu, interval.window(dtype, CAPACITY)));
            }
            for (&dtype, counter) in &mut counters {
                counter.restart(driver.gpu, interval.window(dtype, CAPACITY));
            }
            Ok(())
        })?;
        let zeros = pass(driver, &kernels, spans, &mut counters)?;
        let part = |(&dtype, c): (&Dtype, &Counter)| Part { dtype, window: c.window, counts: c.sum.clone() };
        let parts: Vec<Part> = counters.iter().map(part).collect();
        match goal {
            Goal::Count(0) => return Ok((StreamCut { common: 0, ties: zeros.iter().sum(), go: 0 }, zeros)),
            Goal::Count(k) => match threshold(&parts, interval, k) {
                PoolStep::Found { common, ties, go } => return Ok((StreamCut { common, ties, go }, zeros)),
                PoolStep::Count(next) => interval = next,
            },
            Goal::UpTo(_) => {
                let ties = parts.iter().map(|part| part.at(interval.low)).sum();
                return Ok((StreamCut { common: interval.low, ties, go: ties }, zeros));
            }
        }
    }
}

/// One counting pass over all spans; returns the zeros of each.
fn pass(
    driver: &Driver<'_>,
    kernels: &Kernels,
    spans: &[Span],
    counters: &mut BTreeMap<Dtype, Counter>,
) -> Result<Vec<u64>> {
    for span in spans {
        driver.ask(driver.budget.chunks(*span, driver.jobs[span.job].dtype.size()));
    }
    // Non-zero weights per span: flushed ones here, the rest from `results` at the end of the pass.
    let mut nonzero = vec![0; spans.len()];
    for (i, span) in spans.iter().enumerate() {
        let dtype = driver.jobs[span.job].dtype;
        let counter = counters.get_mut(&dtype).expect("every type has a counter");
        for (part, _) in driver.budget.chunks(*span, dtype.size()).enumerate() {
            let (slot, chunk) = driver.filled()?;
            driver.gpu.watch(DOING, || {
                let mut encoder = driver.gpu.encoder("count");
                if part == 0 {
                    encoder.clear_buffer(&counter.counts, 0, Some(8 * u64::from(COUNT_HEADS)));
                }
                slot.upload(&mut encoder, chunk.weights() * dtype.size() as u64);
                let mut compute = super::select::compute_pass(&mut encoder, "histogram");
                kernels.histogram(&mut compute, &slot.view(chunk, dtype), &counter.placed, &counter.counts)?;
                drop(compute);
                driver.submit_counted(encoder, slot, chunk);
                Ok(())
            })?;
            counter.fresh += chunk.weights();
            counter.sum.weights += chunk.weights();
            if counter.fresh > FLUSH {
                nonzero[i] += counter.flush(driver.gpu)?;
            }
        }
        driver.gpu.submit("counted", |encoder| driver.results.take_counters(encoder, span.job, &counter.counts))?;
    }
    let words = driver.results.read(driver.gpu)?;
    let mut zeros = Vec::with_capacity(spans.len());
    for (span, flushed) in spans.iter().zip(nonzero) {
        let [reached, rest] = Entry::of(&words, span.job).counters();
        let counter = counters.get_mut(&driver.jobs[span.job].dtype).expect("every type has a counter");
        counter.sum.reached += reached;
        counter.sum.nonzero += flushed + rest;
        zeros.push(span.weights - flushed - rest);
    }
    for counter in counters.values_mut() {
        // What the last job reached has been taken from `results` already.
        let reached = counter.sum.reached;
        counter.flush(driver.gpu)?;
        counter.sum.reached = reached;
    }
    Ok(zeros)
}

/// Masks all spans under one cut: ties go lowest index first, in the order of the spans.
fn mask(driver: &Driver<'_>, spans: &[Span], cut: &StreamCut) -> Result<()> {
    for span in spans {
        driver.ask(driver.budget.chunks(*span, driver.jobs[span.job].dtype.size()));
    }
    let total = spans.iter().map(|s| s.weights).sum();
    let words = |cut: Cut| cut_words(cut, total);
    let shared = Cut { key: 0, ties: cut.ties, go: cut.go, zeros: 0 };
    let buffer = |label, words| {
        let new = || Ok(driver.gpu.buffer_with(label, bytemuck::cast_slice(&[words])));
        driver.gpu.watch("allocating buffers", new)
    };
    let carried = buffer("pool cut", words(shared))?;
    for span in spans {
        let dtype = driver.jobs[span.job].dtype;
        let (key, exact) = dtype.floor_key(cut.common);
        // Types that have no such value lose all up to the next smaller one, whatever the quota among ties.
        let all = words(Cut { key, ties: u64::MAX, go: u64::MAX, zeros: 0 });
        let spelled = buffer("spelled cut", all)?;
        for _ in driver.budget.chunks(*span, dtype.size()) {
            let (slot, chunk) = driver.filled()?;
            driver.gpu.watch(DOING, || {
                let mut encoder = driver.gpu.encoder("mask");
                slot.upload(&mut encoder, chunk.weights() * dtype.size() as u64);
                let used = if exact {
                    encoder.copy_buffer_to_buffer(&spelled, 0, &carried, 0, 4);
                    &carried
                } else {
                    &spelled
                };
                driver.select.mask(&mut encoder, &slot, chunk, dtype, used)?;
                driver.submit_masked(encoder, slot, chunk);
                Ok(())
            })?;
        }
        // What is left of the quota tells how many ties this job had, and how many of them went.
        driver.gpu.submit("quota left", |encoder| driver.results.take_cut(encoder, span.job, &carried))?;
    }
    Ok(())
}
