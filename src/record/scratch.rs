//! What lies where in the scratch buffer: pure arithmetic.

use crate::gpu::Tuning;
use crate::kernels::{
    BOUNDARY_BYTES, MatrixView, NONZERO_BYTES, Part, WINDOW_BYTES, counts_bytes, mask_bytes, tiles_bytes,
};

/// Byte ranges, each starting at a multiple of 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    samples: (u64, u64),
    window: (u64, u64),
    counts: (u64, u64),
    boundary: (u64, u64),
    nonzero: (u64, u64),
    tiles: (u64, u64),
    mask: (u64, u64),
    /// Bytes in all.
    pub size: u64,
}

impl Layout {
    /// For matrices pruned one after the other; `masks` says whether their masks lie here too.
    pub fn new(tuning: Tuning, matrices: &[MatrixView<'_>], masks: bool) -> Self {
        let most = |bytes: fn(&MatrixView<'_>) -> u64| matrices.iter().map(bytes).max().unwrap_or(4);
        let mut end = 0;
        let mut take = |bytes: u64| {
            let range = (end, bytes);
            end += bytes.next_multiple_of(256);
            range
        };
        Self {
            samples: take(4 * u64::from(tuning.sample.max(1024))),
            window: take(WINDOW_BYTES),
            counts: take(counts_bytes(tuning.capacity)),
            boundary: take(BOUNDARY_BYTES),
            nonzero: take(NONZERO_BYTES),
            tiles: take(most(tiles_bytes)),
            mask: take(if masks { most(mask_bytes) } else { 4 }),
            size: end,
        }
    }

    /// The parts of a buffer.
    pub fn of(self, buffer: &wgpu::Buffer) -> Scratch<'_> {
        let part = |(offset, size)| Part { buffer, offset, size };
        Scratch {
            samples: part(self.samples),
            window: part(self.window),
            counts: part(self.counts),
            boundary: part(self.boundary),
            nonzero: part(self.nonzero),
            tiles: part(self.tiles),
            mask: part(self.mask),
        }
    }
}

/// The parts of a scratch buffer.
#[derive(Debug, Clone, Copy)]
pub struct Scratch<'a> {
    pub samples: Part<'a>,
    pub window: Part<'a>,
    pub counts: Part<'a>,
    pub boundary: Part<'a>,
    pub nonzero: Part<'a>,
    pub tiles: Part<'a>,
    pub mask: Part<'a>,
}
