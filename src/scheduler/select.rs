//! Selection that stays on the GPU: records everything between a matrix in slots and its masks.

use wgpu::BufferUsages as Usage;

use super::budget::Chunk;
use super::slot::Slot;
use super::{Each, Engine, Job};
use crate::gpu::Gpu;
use crate::kernels::{
    CUT_BYTES, GroupRule, Kernels, MatrixView, NONZERO_BYTES, Numbers, Part, RowRule, SamplePlan, Scaled, WINDOW_BYTES,
    counts_bytes, rounds, window_words,
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
    pub fn new(Engine { gpu, kernels }: Engine<'_>) -> Self {
        let tuning = kernels.tuning();
        let buffer = |label, size| {
            let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
            let label = Some(label);
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        Self {
            kernels: kernels.clone(),
            samples: buffer("samples", 4 * u64::from(tuning.sample.max(1024))),
            window: buffer("window", WINDOW_BYTES),
            counts: buffer("counts", counts_bytes(tuning.capacity)),
            cut: buffer("cut", CUT_BYTES),
            row_counters: buffer("row counters", NONZERO_BYTES),
        }
    }

    /// Records: the cut of the `k` smallest of all these chunks together, which hold `weights` units.
    pub fn count(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        job: &Job,
        weights: u32,
        k: u64,
    ) -> Result<()> {
        let (views, dtype) = (views(parts, job), job.keys());
        let numbers = self.bracket(encoder, &views, dtype, weights, k, Quota::Count(k))?;
        let mut pass = compute_pass(encoder, "histogram, threshold");
        self.cut(&mut pass, &views, &numbers, rounds(dtype, self.kernels.tuning().capacity))
    }

    /// Records: the cut of all units with a key of at most `key`; `window` is left at it.
    pub fn up_to(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        parts: &[(Slot, Chunk)],
        job: &Job,
        weights: u32,
        key: u32,
    ) -> Result<()> {
        let words = gpu.buffer_with("fixed window", &window_words(Window { low: key, shift: 0, bins: 1 }));
        encoder.copy_buffer_to_buffer(&words, 0, &self.window, 0, WINDOW_BYTES);
        let plan = SamplePlan::new(weights.into(), 0, 0);
        let numbers = self.kernels.numbers(job.keys(), weights, Quota::UpTo(key), plan);
        let mut pass = compute_pass(encoder, "histogram, threshold");
        self.cut(&mut pass, &views(parts, job), &numbers, 1)
    }

    /// Records: the window about the `k`-th smallest, from a sample. Returns the numbers for what follows.
    fn bracket(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &[MatrixView<'_>],
        dtype: Dtype,
        weights: u32,
        k: u64,
        quota: Quota,
    ) -> Result<Numbers> {
        let plan = SamplePlan::new(weights.into(), k, self.kernels.tuning().sample);
        let numbers = self.kernels.numbers(dtype, weights, quota, plan);
        let parts = [&self.samples, &self.window].map(Part::from);
        let mut pass = compute_pass(encoder, "bracket");
        self.kernels.bracket_all(&mut pass, views, plan.taken, &numbers, parts)?;
        drop(pass);
        Ok(numbers)
    }

    /// Counts were created clear, and every threshold leaves them so.
    fn cut(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        views: &[MatrixView<'_>],
        numbers: &Numbers,
        rounds: u32,
    ) -> Result<()> {
        let parts = [&self.window, &self.counts, &self.cut].map(Part::from);
        self.kernels.cut_all(pass, views, numbers, parts, rounds)
    }

    /// Records: the mask of one chunk under `cut`, whose quota the next chunk carries on.
    pub fn mask(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        slot: &Slot,
        chunk: Chunk,
        job: &Job,
        cut: &wgpu::Buffer,
    ) -> Result<()> {
        let view = slot.view(chunk, job);
        let mut pass = compute_pass(encoder, "mask, settle");
        self.kernels.mask(&mut pass, &view, cut, &slot.mask, &slot.tiles)?;
        self.kernels.settle(&mut pass, &view, cut, &slot.mask, &slot.tiles, &slot.boundary)
    }

    /// Records: the mask of a chunk of whole rows.
    pub fn rows(&self, encoder: &mut wgpu::CommandEncoder, part: &(Slot, Chunk), job: &Job, each: Each) -> Result<()> {
        let (slot, chunk) = part;
        let (weights, view) = (chunk.units(), slot.view(*chunk, job));
        let k = match each {
            Each::Smallest { k } => k,
            Each::Group { keep, of } => {
                let mut pass = compute_pass(encoder, "group");
                return self.kernels.group(&mut pass, &view, GroupRule { keep, of }, &slot.mask, &self.row_counters);
            }
        };
        let share = u128::from(weights) * u128::from(k) / u128::from(chunk.cols);
        let views = std::slice::from_ref(&view);
        let numbers = self.bracket(encoder, views, job.keys(), weights as u32, share as u64, Quota::Count(k))?;
        let parts = [&self.window, &slot.mask, &self.row_counters].map(Part::from);
        let mut pass = compute_pass(encoder, "row");
        self.kernels.rows_by(&mut pass, &view, false, numbers.rows(), parts)
    }

    /// Records: the mask of a chunk of whole rows by weights times scales, `k` of each row. The chunk's keys are scratch.
    pub fn rows_scaled(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        (slot, chunk): &(Slot, Chunk),
        job: &Job,
        scales: &wgpu::Buffer,
        k: u64,
    ) -> Result<()> {
        let weights = MatrixView::dense(&slot.weights, 0, job.dtype, chunk.rows, chunk.cols);
        let scaled = Scaled { weights, scales: scales.into() };
        let share = u128::from(chunk.units()) * u128::from(k) / u128::from(chunk.cols);
        let plan = SamplePlan::new(chunk.units(), share as u64, self.kernels.tuning().sample);
        let doubts = slot.keys.as_ref().expect("where weights do not compete by their own bits");
        let mut pass = compute_pass(encoder, "row");
        self.kernels.sample_scaled(&mut pass, &scaled, plan.taken, 0, &self.samples)?;
        self.kernels.place(&mut pass, Dtype::F32, plan, &self.samples, &self.window)?;
        self.kernels.row_scaled(&mut pass, &scaled, RowRule { k: k as u32 }, &self.window, &slot.mask, doubts)
    }
}

fn views<'a>(parts: &'a [(Slot, Chunk)], job: &Job) -> Vec<MatrixView<'a>> {
    parts.iter().map(|(slot, chunk)| slot.view(*chunk, job)).collect()
}

pub fn compute_pass<'a>(encoder: &'a mut wgpu::CommandEncoder, label: &str) -> wgpu::ComputePass<'a> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None })
}
