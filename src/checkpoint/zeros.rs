//! Counting zeros, on the host.

use super::Checkpoint;
use crate::Result;

/// Bytes that are read at a time.
const BLOCK: u64 = 4 << 20;

impl Checkpoint {
    /// Zeros of either sign in tensor number `tensor`, and its weights in all; no weights for a type that holds no floats of
    /// 8, 16 or 32 bits. Reads the tensor block by block.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read_at`].
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn zeros(&self, tensor: usize) -> Result<(u64, u64)> {
        let info = &self.tensors()[tensor];
        let Some(dtype) = info.prunable() else { return Ok((0, 0)) };
        let (bytes, size) = (info.bytes(), dtype.size());
        let (mut zeros, mut block, mut at) = (0, Vec::new(), 0);
        while at < bytes {
            block.resize(BLOCK.min(bytes - at) as usize, 0);
            self.read_at(tensor, at, &mut block)?;
            zeros += (0..block.len() / size).filter(|&i| dtype.key(&block, i) == 0).count() as u64;
            at += block.len() as u64;
        }
        Ok((zeros, bytes / size as u64))
    }
}
