//! What the GPU found, one entry per job, read back once at the end.

use wgpu::BufferUsages as Usage;

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::{CUT_BYTES, CutWords};

/// Bytes of an entry: a cut, or 64 copies of two counters.
const ENTRY: u64 = 512;

/// Entries in a buffer on the GPU.
#[derive(Debug)]
pub struct Results(wgpu::Buffer);

/// One job's entry, read back.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a>(&'a [u32]);

impl Results {
    pub fn new(gpu: &Gpu, jobs: usize) -> Self {
        let size = ENTRY * jobs.max(1) as u64;
        let usage = Usage::COPY_DST | Usage::COPY_SRC;
        let label = Some("results");
        Self(gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false }))
    }

    pub fn take_cut(&self, encoder: &mut wgpu::CommandEncoder, job: usize, cut: &wgpu::Buffer) {
        encoder.copy_buffer_to_buffer(cut, 0, &self.0, job as u64 * ENTRY, CUT_BYTES);
    }

    /// Takes 64 copies of two counters from the start of a buffer.
    pub fn take_counters(&self, encoder: &mut wgpu::CommandEncoder, job: usize, counters: &wgpu::Buffer) {
        encoder.copy_buffer_to_buffer(counters, 0, &self.0, job as u64 * ENTRY, ENTRY);
    }

    /// All entries, once everything submitted so far is done.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<u32>> {
        gpu.read_words(&self.0)
    }
}

impl<'a> Entry<'a> {
    pub fn of(words: &'a [u32], job: usize) -> Self {
        let entry = ENTRY as usize / 4;
        Self(&words[job * entry..(job + 1) * entry])
    }

    pub fn cut(self) -> CutWords {
        *bytemuck::from_bytes(bytemuck::cast_slice(&self.0[..CUT_BYTES as usize / 4]))
    }

    /// The sums of both counters.
    pub fn counters(self) -> [u64; 2] {
        self.0.chunks_exact(2).fold([0; 2], |[a, b], pair| [a + u64::from(pair[0]), b + u64::from(pair[1])])
    }
}
