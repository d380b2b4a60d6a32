//! How sparse a layer's weights are.

use crate::Result;
use crate::checkpoint::Checkpoint;

/// Bytes that are read at a time.
const BLOCK: u64 = 4 << 20;

/// Zeros of either sign in a tensor, and its weights in all; none of a tensor that is missing or has no float type.
///
/// # Errors
/// Those of reading.
pub fn zeros(checkpoint: &Checkpoint, tensor: &str) -> Result<(u64, u64)> {
    let place = checkpoint.tensors().iter().position(|info| info.name == tensor);
    let Some((place, dtype)) = place.and_then(|i| Some((i, checkpoint.tensors()[i].prunable()?))) else {
        return Ok((0, 0));
    };
    let (bytes, size) = (checkpoint.tensors()[place].bytes(), dtype.size());
    let (mut zeros, mut block, mut at) = (0, Vec::new(), 0);
    while at < bytes {
        block.resize(BLOCK.min(bytes - at) as usize, 0);
        checkpoint.read_at(place, at, &mut block)?;
        zeros += (0..block.len() / size).filter(|&i| dtype.key(&block, i) == 0).count() as u64;
        at += block.len() as u64;
    }
    Ok((zeros, bytes / size as u64))
}
