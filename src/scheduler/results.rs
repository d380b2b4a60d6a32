//! What the GPU found: entries, each of a matrix or of a part of one.

use wgpu::BufferUsages as Usage;

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::{CUT_BYTES, CutWords};

/// Bytes of an entry: a cut, or 64 copies of two counters.
pub const ENTRY: u64 = 512;

/// Entries in a buffer on the GPU, which are read back together.
#[derive(Debug)]
pub struct Results(wgpu::Buffer);

/// An entry, read back.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a>(pub &'a [u32]);

impl Results {
    pub fn new(gpu: &Gpu, entries: usize) -> Self {
        let size = ENTRY * entries.max(1) as u64;
        let usage = Usage::COPY_DST | Usage::COPY_SRC;
        let label = Some("results");
        Self(gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false }))
    }

    /// Takes 64 copies of two counters from the start of a buffer.
    pub fn take_counters(&self, encoder: &mut wgpu::CommandEncoder, entry: usize, counters: &wgpu::Buffer) {
        encoder.copy_buffer_to_buffer(counters, 0, &self.0, entry as u64 * ENTRY, ENTRY);
    }

    /// All entries, once everything submitted so far is done.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<u32>> {
        gpu.read_words(&self.0, self.0.size())
    }
}

impl<'a> Entry<'a> {
    pub fn of(words: &'a [u32], number: usize) -> Self {
        let entry = ENTRY as usize / 4;
        Self(&words[number * entry..(number + 1) * entry])
    }

    pub fn cut(self) -> CutWords {
        *bytemuck::from_bytes(bytemuck::cast_slice(&self.0[..CUT_BYTES as usize / 4]))
    }

    /// The sums of both counters.
    pub fn counters(self) -> [u64; 2] {
        self.0.chunks_exact(2).fold([0; 2], |[a, b], pair| [a + u64::from(pair[0]), b + u64::from(pair[1])])
    }
}
