//! GPU time per stage, by timestamp queries.

use super::pruning::Pruning;
use super::readback::{Readback, Shelf};
use crate::{Error, Result};

/// What one kind of kernel took.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The kernel's label.
    pub label: &'static str,
    /// Its dispatches.
    pub dispatches: usize,
    /// Seconds on the GPU, from the first one's begin to the last one's end where they follow each other.
    pub seconds: f64,
}

/// Pairs of timestamps at most: what a query set holds.
const MOST: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Bytes of a pair.
const PAIR: u64 = 16;

/// What it takes to time a pruning; made at its first profile.
#[derive(Debug)]
pub(super) struct Profiler {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    shelf: Shelf,
}

impl Pruning {
    /// Dispatches of the same kernel that follow each other.
    fn stretches(&self) -> Vec<(&'static str, usize)> {
        let mut stretches: Vec<(&'static str, usize)> = Vec::new();
        for dispatch in &self.dispatches {
            match stretches.last_mut() {
                Some((label, count)) if *label == dispatch.label() => *count += 1,
                _ => stretches.push((dispatch.label(), 1)),
            }
        }
        stretches
    }

    /// Records it with a pass and two timestamps for each stretch of one kernel: seconds per stage, when the commands are
    /// done and the device is polled. Slower than [`Pruning::record`], which it stands for.
    ///
    /// Software adapters give the times at which commands are seen, not those at which they run.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device lacks `TIMESTAMP_QUERY`, or there are more stretches than a query set holds.
    pub fn profile(&self, encoder: &mut wgpu::CommandEncoder, queue: &wgpu::Queue) -> Result<Readback<Vec<Stage>>> {
        let stretches = self.stretches();
        let refused = |message: String| Err(Error::Gpu { doing: "profiling", message });
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return refused("the device was opened without the feature TIMESTAMP_QUERY".into());
        }
        if stretches.len() > MOST {
            return refused(format!("{} stretches of kernels, {MOST} can be timed", stretches.len()));
        }
        let size = stretches.len() as u64 * PAIR;
        if stretches.is_empty() {
            // wgpu makes no query set of nothing.
            let shelf = Shelf::default();
            return Ok(Readback::record(&self.device, encoder, &shelf, size, |_, _| {}, |_| Vec::new()));
        }
        let profiler = self.profiler.get_or_init(|| Profiler::new(&self.device, stretches.len() as u32));
        let mut rest = self.dispatches.iter();
        for (i, &(label, count)) in stretches.iter().enumerate() {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &profiler.queries,
                beginning_of_pass_write_index: Some(2 * i as u32),
                end_of_pass_write_index: Some(2 * i as u32 + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            rest.by_ref().take(count).for_each(|dispatch| dispatch.replay(&mut pass));
        }
        encoder.resolve_query_set(&profiler.queries, 0..2 * stretches.len() as u32, &profiler.resolved, 0);
        let seconds_per_tick = f64::from(queue.get_timestamp_period()) * 1e-9;
        Ok(Readback::record(
            &self.device,
            encoder,
            &profiler.shelf,
            size,
            |encoder, to| encoder.copy_buffer_to_buffer(&profiler.resolved, 0, to, 0, size),
            move |bytes| sum(&stretches, seconds_per_tick, bytes),
        ))
    }
}

impl Profiler {
    fn new(device: &wgpu::Device, pairs: u32) -> Self {
        let label = Some("lopper profile");
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label,
            ty: wgpu::QueryType::Timestamp,
            count: 2 * pairs,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label,
            size: u64::from(pairs) * PAIR,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Self { queries, resolved, shelf: Shelf::default() }
    }
}

/// One stage per label, in the order of their first dispatches.
fn sum(stretches: &[(&'static str, usize)], seconds_per_tick: f64, bytes: &[u8]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (&(label, dispatches), pair) in stretches.iter().zip(bytes.chunks_exact(PAIR as usize)) {
        let [begin, end]: [u64; 2] = bytemuck::pod_read_unaligned(pair);
        let seconds = end.saturating_sub(begin) as f64 * seconds_per_tick;
        match stages.iter_mut().find(|stage| stage.label == label) {
            Some(stage) => {
                stage.dispatches += dispatches;
                stage.seconds += seconds;
            }
            None => stages.push(Stage { label, dispatches, seconds }),
        }
    }
    stages
}
