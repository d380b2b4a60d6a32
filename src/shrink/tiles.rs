//! A tensor as a matrix, read in tiles of bounded size, as numbers.

use std::ops::Range;

use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::inspect::numbers;
use crate::{Dtype, Result};

/// Weights of a tile, at most.
const TILE: u64 = 1 << 20;

/// Rows of a tile, and columns, at most.
const SIDE: u64 = 1 << 16;

/// A tensor of two dimensions or more: rows, and all else of each.
pub(super) struct Grid {
    tensor: usize,
    dtype: Dtype,
    rows: u64,
    cols: u64,
    /// Weights of a place of the second dimension.
    pub inner: u64,
}

/// A part of it.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    pub rows: Range<u64>,
    pub cols: Range<u64>,
}

/// Buffers of a thread.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl Grid {
    /// None where it has fewer dimensions, no weights, or none that are floats.
    pub fn new(tensor: usize, info: &TensorInfo) -> Option<Self> {
        let weights: u64 = info.shape.iter().product();
        let (&rows, &cols) = (info.shape.first()?, info.shape.get(1)?);
        let dtype = info.prunable().filter(|_| weights > 0)?;
        Some(Self { tensor, dtype, rows, cols: weights / rows, inner: weights / rows / cols })
    }

    /// All of it, row by row of tiles.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> {
        let across = self.cols.min(SIDE);
        let down = (TILE / across).clamp(1, SIDE);
        let (rows, cols) = (self.rows, self.cols);
        (0..rows.div_ceil(down)).flat_map(move |r| {
            (0..cols.div_ceil(across)).map(move |c| Tile {
                rows: r * down..rows.min((r + 1) * down),
                cols: c * across..cols.min((c + 1) * across),
            })
        })
    }

    /// Bytes of a tile.
    pub fn bytes(&self, tile: &Tile) -> u64 {
        (tile.rows.end - tile.rows.start) * (tile.cols.end - tile.cols.start) * self.dtype.size() as u64
    }

    /// Reads a tile, row by row.
    pub fn read(
        &self,
        checkpoint: &Checkpoint,
        tile: &Tile,
        Scratch { bytes, values }: &mut Scratch,
        mut each: impl FnMut(&[f32]),
    ) -> Result<()> {
        let size = self.dtype.size() as u64;
        let (rows, cols) = (tile.rows.end - tile.rows.start, tile.cols.end - tile.cols.start);
        // Whole rows lie one behind the other.
        let at_once = if cols == self.cols { rows } else { 1 };
        bytes.resize((at_once * cols * size) as usize, 0);
        values.resize(cols as usize, 0.0);
        for row in tile.rows.clone().step_by(at_once as usize) {
            checkpoint.read_at(self.tensor, (row * self.cols + tile.cols.start) * size, bytes)?;
            for row in bytes.chunks_exact((cols * size) as usize) {
                numbers(self.dtype, row, values);
                each(values);
            }
        }
        Ok(())
    }
}
