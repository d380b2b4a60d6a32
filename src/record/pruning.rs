//! [`Pruning`]: prepared once, recorded any number of times.

use std::sync::Arc;

use super::readback::{Readback, Shelf};
use super::stats::{self, RECORD_BYTES, Stats, Unit};
use crate::gpu::Dispatch;
use crate::kernels::Part;

/// A pruning of certain matrices, ready to be recorded any number of times, also on several threads.
///
/// It holds the buffers that it works on. Recordings that share scratch must not run at the same time on different
/// queues; on one queue they run one after the other.
#[derive(Debug)]
pub struct Pruning {
    pub(super) device: wgpu::Device,
    pub(super) dispatches: Vec<Dispatch>,
    /// Whether records are counters, not cuts.
    pub(super) counters: bool,
    pub(super) apply: bool,
    pub(super) units: Arc<[Unit]>,
    /// One record for each unit.
    pub(super) found: wgpu::Buffer,
    /// Where masks go, unless they are scratch: `(buffer, offset, bytes)`.
    pub(super) masks: Vec<(wgpu::Buffer, u64, u64)>,
    pub(super) shelf: Shelf,
    pub(super) profiler: std::sync::OnceLock<super::profile::Profiler>,
}

impl Pruning {
    /// Records it in a compute pass of its own.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("lopper prune"), timestamp_writes: None };
        self.record_in(&mut encoder.begin_compute_pass(&descriptor));
    }

    /// Records it in an open compute pass. Pipeline and bind group 0 are others afterwards.
    pub fn record_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            dispatch.replay(pass);
        }
    }

    /// How many dispatches that takes.
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// Where the mask of each matrix goes, in the descriptor's order; nothing for masks in scratch.
    pub fn masks(&self) -> impl ExactSizeIterator<Item = Part<'_>> {
        self.masks.iter().map(|(buffer, offset, size)| Part { buffer, offset: *offset, size: *size })
    }

    /// Records, after [`Pruning::record`]: a copy of what it found, which means nothing before the first one has run. The
    /// future completes when the commands have been submitted, are done, and the device is polled by anyone. Buffers are
    /// reused from one that was awaited to the next.
    pub fn stats(&self, encoder: &mut wgpu::CommandEncoder) -> Readback<Stats> {
        let size = self.units.len() as u64 * RECORD_BYTES;
        let (units, counters, apply) = (self.units.clone(), self.counters, self.apply);
        Readback::record(
            &self.device,
            encoder,
            &self.shelf,
            size,
            |encoder, to| encoder.copy_buffer_to_buffer(&self.found, 0, to, 0, size),
            move |bytes| stats::decode(&units, counters, apply, bytes),
        )
    }
}
