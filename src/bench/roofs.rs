//! read, copy, FMA: what the adapter does at most.

use wgpu::BufferUsages as Usage;

use super::clock::{Clock, Entry, moment};
use super::data::Random;
use super::results::Roofs;
use crate::Result;
use crate::gpu::{Binding, Dispatch, Gpu, Kernel, KernelSpec, dispatch};

pub const SOURCE: &str = include_str!("../../shaders/roofs.wgsl");

const fn spec(entry: &'static str) -> KernelSpec {
    let bindings = &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)];
    KernelSpec { label: entry, source: SOURCE, entry, bindings }
}

/// Bytes that are read: past the cache of a CPU, within what every device binds; and of a GPU, some of which hold 128 MiB.
const BYTES: u64 = 128 << 20;
const BYTES_OF_GPU: u64 = 512 << 20;

/// Bytes that are used in turn, so that none of them is still in the adapter's cache.
pub fn past_caches(gpu: &Gpu) -> u64 {
    if gpu.tuning().simd { BYTES } else { BYTES_OF_GPU }
}

/// Ways to read, to copy and to multiply: the fastest is the roof.
pub const ENTRIES: &[&str] = &["read_all", "read_near", "copy_all", "copy_near", "fma_all", "fma_wide"];

/// Operations of a thread of `fma_all` and of `fma_wide`.
const OPERATIONS: f64 = 196_608.0;

/// Reading, to be timed beside what is measured: machines are not as fast from one minute to the next.
pub struct Pulse {
    pub entry: Entry,
    /// Bytes that it reads.
    pub bytes: u64,
}

/// Measures all in turn. The clock is compared over the multiply-adds, which take long and move nothing.
pub fn measure(gpu: &Gpu, clock: &mut Clock<'_>) -> Result<(Roofs, Pulse)> {
    let bytes = past_caches(gpu).min(gpu.max_binding()) & !63;
    let mut entries = gpu.watch("allocating buffers", || {
        let from = filled(gpu, bytes);
        let to = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("roofs"),
            size: bytes,
            usage: Usage::STORAGE,
            mapped_at_creation: false,
        });
        let tuning = gpu.tuning();
        let share = dispatch::share((bytes / 64) as u32, tuning.workgroup, tuning.workgroups);
        Ok(Vec::from_iter(ENTRIES.iter().map(|&entry| {
            let kernel = Kernel::new(gpu.device(), spec(entry), &[("WORKGROUP", tuning.workgroup.into())]);
            let size = uniform(gpu, [(bytes / 64) as u32, share.span, 0, 0]);
            let buffers = [&size, &from, &to].map(wgpu::Buffer::as_entire_buffer_binding);
            let workgroups = if entry.starts_with("fma") { tuning.workgroups } else { share.workgroups };
            let mut dispatches: Vec<Dispatch> = Vec::new();
            kernel.dispatch(gpu.device(), &mut dispatches, &buffers, workgroups);
            Entry::new(entry, vec![dispatches])
        })))
    })?;
    clock.compare(&mut entries[4])?;
    let times = clock.race(&mut entries)?;
    let moments = Vec::from_iter(times.iter().map(|seconds| moment(seconds)));
    let faster = |a: usize, b: usize| if moments[b].seconds < moments[a].seconds { b } else { a };
    let reads = faster(0, 1);
    let [read, copy, fma] = [reads, faster(2, 3), faster(4, 5)].map(|i| moments[i]);
    let operations = f64::from(gpu.tuning().workgroup) * f64::from(gpu.tuning().workgroups) * OPERATIONS;
    let roofs = Roofs {
        read: bytes as f64 / read.seconds,
        copy: 2.0 * bytes as f64 / copy.seconds,
        fma: operations / fma.seconds,
        spread: read.spread.max(copy.spread).max(fma.spread),
    };
    Ok((roofs, Pulse { entry: entries.swap_remove(reads), bytes }))
}

fn uniform(gpu: &Gpu, words: [u32; 4]) -> wgpu::Buffer {
    let usage = Usage::UNIFORM | Usage::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: Some("roofs"), size: 16, usage, mapped_at_creation: true };
    let buffer = gpu.device().create_buffer(&descriptor);
    if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
        mapped.copy_from_slice(bytemuck::cast_slice(&words));
    }
    buffer.unmap();
    buffer
}

/// Numbers from 0.5 on and below 1, whose sums and products stay numbers that no unit is slow with.
fn filled(gpu: &Gpu, bytes: u64) -> wgpu::Buffer {
    let (label, usage) = (Some("roofs"), Usage::STORAGE | Usage::COPY_DST);
    let buffer =
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size: bytes, usage, mapped_at_creation: true });
    let mut random = Random::new(3);
    let block: Vec<u8> =
        (0..1 << 16).flat_map(|_| (0.5 + 0.5 * random.share() as f32).min(0.99).to_le_bytes()).collect();
    if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
        for at in (0..bytes as usize).step_by(block.len()) {
            let some = block.len().min(bytes as usize - at);
            mapped.slice(at..at + some).copy_from_slice(&block[..some]);
        }
    }
    buffer.unmap();
    buffer
}
