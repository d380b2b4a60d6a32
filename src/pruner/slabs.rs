//! Matrices that are not as they lie: read and written in slabs, each from many places of the tensor.

use std::sync::{Mutex, PoisonError};

use super::arrange::Arrangement;
use crate::Result;

/// Bytes of slabs that are read together: the more there are, the longer the stretches of the tensor.
const TOGETHER: u64 = 4 << 20;

/// The slabs that were read last, since they are asked for in pieces.
#[derive(Debug, Default)]
pub(super) struct Slabs(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// Of which matrix, from which slab on.
    of: Option<(usize, u64)>,
    bytes: Vec<u8>,
}

impl Slabs {
    /// Fills `buf` with bytes of matrix `number`, which has `total`, from byte `offset` on; `load(place, bytes)` reads
    /// stretches of the tensor.
    pub fn read(
        &self,
        number: usize,
        arrangement: &Arrangement,
        total: u64,
        mut offset: u64,
        mut buf: &mut [u8],
        mut load: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slab = arrangement.slab_bytes();
        while !buf.is_empty() {
            let here = |held: &Held| {
                let (of, first) = held.of?;
                let at = offset.checked_sub(first * slab).filter(|&at| of == number && at < held.bytes.len() as u64)?;
                Some(at as usize)
            };
            let at = match here(&held) {
                Some(at) => at,
                None => {
                    let first = offset / slab;
                    let bytes = ((TOGETHER / slab).max(1) * slab).min(total - first * slab);
                    held.of = None;
                    held.bytes.resize(bytes as usize, 0);
                    arrangement.gather(first, &mut held.bytes, &mut load)?;
                    held.of = Some((number, first));
                    (offset - first * slab) as usize
                }
            };
            let take = buf.len().min(held.bytes.len() - at);
            let (now, rest) = buf.split_at_mut(take);
            now.copy_from_slice(&held.bytes[at..at + take]);
            (buf, offset) = (rest, offset + take as u64);
        }
        Ok(())
    }
}
