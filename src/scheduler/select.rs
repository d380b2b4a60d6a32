//! Selection that stays on the GPU: records everything between a matrix in slots and its masks.

use wgpu::BufferUsages as Usage;

use super::budget::Chunk;
use super::slot::Slot;
use crate::gpu::Gpu;
use crate::kernels::{
    CUT_BYTES, Kernels, RowRule, SamplePlan, ThresholdRule, WINDOW_BYTES, counts_bytes, rounds, window_words,
};
use crate::reference::{Quota, Window};
use crate::{Dtype, Result};

/// The buffers between the stages. Tasks use them one after the other, in the order of the queue.
#[derive(Debug)]
pub struct Select {
    pub kernels: Kernels,
    samples: wgpu::Buffer,
    window: wgpu::Buffer,
    counts: wgpu::Buffer,
    pub cut: wgpu::Buffer,
    pub row_counters: wgpu::Buffer,
}

impl Select {
    pub fn new(gpu: &Gpu) -> Self {
        let tuning = gpu.tuning();
        let buffer = |label, size| {
            let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
            let label = Some(label);
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        Self {
            kernels: Kernels::new(gpu.device(), tuning),
            samples: buffer("samples", 4 * u64::from(tuning.sample.max(1024))),
            window: buffer("window", WINDOW_BYTES),
            counts: buffer("counts", counts_bytes(tuning.capacity)),
            cut: buffer("cut", CUT_BYTES),
            row_counters: buffer("row counters", 512),
        }
    }

    /// Records: the cut of the `k` smallest of all these chunks together, which hold `weights` weights.
    pub fn count(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        dtype: Dtype,
        weights: u32,
        k: u64,
    ) -> Result<()> {
        self.bracket(encoder, parts, dtype, weights.into(), k)?;
        let capacity = self.kernels.tuning().capacity;
        let rule = ThresholdRule { dtype, weights, quota: Quota::Count(k) };
        self.rounds(encoder, parts, rule, rounds(dtype, capacity))
    }

    /// Records: the cut of all weights with a key of at most `key`; `window` is left at it.
    pub fn up_to(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        dtype: Dtype,
        weights: u32,
        key: u32,
    ) -> Result<()> {
        let words = gpu.buffer_with("fixed window", &window_words(Window { low: key, shift: 0, bins: 1 }));
        encoder.copy_buffer_to_buffer(&words, 0, &self.window, 0, WINDOW_BYTES);
        self.rounds(encoder, parts, ThresholdRule { dtype, weights, quota: Quota::UpTo(key) }, 1)
    }

    /// Records: the window about the `k`-th smallest, from a sample that is shared out by the chunks' sizes.
    fn bracket(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        dtype: Dtype,
        weights: u64,
        k: u64,
    ) -> Result<()> {
        let plan = SamplePlan::new(weights, k, self.kernels.tuning().sample);
        let mut pass = compute_pass(encoder, "bracket");
        let (mut at, mut seen) = (0, 0);
        for (slot, chunk) in parts {
            seen += chunk.weights();
            let until = (u128::from(plan.taken) * u128::from(seen) / u128::from(weights)) as u32;
            if until > at {
                self.kernels.sample(&mut pass, &slot.view(*chunk, dtype), until - at, at, &self.samples)?;
            }
            at = until;
        }
        self.kernels.place(&mut pass, dtype, plan, &self.samples, &self.window)
    }

    fn rounds(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        rule: ThresholdRule,
        rounds: u32,
    ) -> Result<()> {
        // Created clear, and left clear by every threshold.
        let mut pass = compute_pass(encoder, "histogram, threshold");
        for _ in 0..rounds {
            for (slot, chunk) in parts {
                self.kernels.histogram(&mut pass, &slot.view(*chunk, rule.dtype), &self.window, &self.counts)?;
            }
            self.kernels.threshold(&mut pass, rule, &self.window, &self.counts, &self.cut)?;
        }
        Ok(())
    }

    /// Records: the mask of one chunk under `cut`, whose quota the next chunk carries on.
    pub fn mask(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        slot: &Slot,
        chunk: Chunk,
        dtype: Dtype,
        cut: &wgpu::Buffer,
    ) -> Result<()> {
        let view = slot.view(chunk, dtype);
        let mut pass = compute_pass(encoder, "mask, settle");
        self.kernels.mask(&mut pass, &view, cut, &slot.mask, &slot.tiles)?;
        self.kernels.settle(&mut pass, &view, cut, &slot.mask, &slot.tiles, &slot.boundary)
    }

    /// Records: the mask of a chunk of whole rows.
    pub fn rows(&self, encoder: &mut wgpu::CommandEncoder, part: &(Slot, Chunk), dtype: Dtype, k: u32) -> Result<()> {
        let (slot, chunk) = part;
        let share = u128::from(chunk.weights()) * u128::from(k) / u128::from(chunk.cols);
        self.bracket(encoder, std::slice::from_ref(part), dtype, chunk.weights(), share as u64)?;
        let view = slot.view(*chunk, dtype);
        let mut pass = compute_pass(encoder, "row");
        self.kernels.row(&mut pass, &view, RowRule { k }, &self.window, &slot.mask, &self.row_counters)
    }
}

pub fn compute_pass<'a>(encoder: &'a mut wgpu::CommandEncoder, label: &str) -> wgpu::ComputePass<'a> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None })
}
