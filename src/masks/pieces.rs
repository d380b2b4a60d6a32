//! Tensors cut into pieces, which threads take one after the other.

use crate::shared::shared_bytes;
use crate::{OnBytes, Result};

/// Bytes that a piece takes at most where it is read.
const PIECE: u64 = 1 << 20;

/// A run of weights of one tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// Which tensor.
    pub tensor: usize,
    /// Its first weight.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Piece {
    /// Bytes of its mask.
    pub fn mask_bytes(self) -> usize {
        self.count.div_ceil(8) as usize
    }
}

/// Tensors, and into what they are cut.
pub(crate) struct Pieces {
    /// Of each tensor, its weights, weights of a piece, and number of its first piece.
    tensors: Vec<(u64, u64, u64)>,
    all: u64,
}

impl Pieces {
    /// Cuts tensors of so many weights each, of which so many bits are read for each weight. Each piece but the last is of
    /// whole bytes of a mask.
    pub fn new(tensors: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all = 0;
        let tensors = tensors.into_iter().map(|(weights, width)| {
            let count = (8 * PIECE / width).next_multiple_of(8);
            let first = all;
            all += weights.div_ceil(count);
            (weights, count, first)
        });
        let tensors = tensors.collect();
        Self { tensors, all }
    }

    /// Has each piece done once, on all processors, each with a `T` of its own; all of these come back. `progress` is told
    /// the bytes that `each` returns, of so many in all.
    ///
    /// # Errors
    /// That of a piece; [`Error::Cancelled`] where it was stopped.
    pub fn each<T: Send>(
        &self,
        total: u64,
        progress: OnBytes<'_>,
        new: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, Piece) -> Result<u64> + Sync,
    ) -> Result<Vec<T>> {
        shared_bytes(self.all, (0, total), progress, new, |own, number| each(own, self.get(number)))
    }

    fn get(&self, number: u64) -> Piece {
        // The last tensor whose first piece is no later: those before it with the same have none.
        let tensor = self.tensors.partition_point(|(.., first)| *first <= number) - 1;
        let (weights, count, first) = self.tensors[tensor];
        let at = (number - first) * count;
        Piece { tensor, first: at, count: count.min(weights - at) }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Error;

    #[test]
    fn pieces_cover_every_weight_once() {
        let lengths = [0, 5, 1 << 21, 0, (1 << 20) + 3, 8, 0];
        let pieces = Pieces::new(lengths.map(|weights| (weights, 16)));
        let found = Mutex::new(Vec::new());
        let count = |_: &mut (), piece: Piece| {
            found.lock().unwrap().push((piece.tensor, piece.first, piece.count));
            Ok(piece.count)
        };
        let most = AtomicU64::new(0);
        let progress = |done, total| {
            assert_eq!(total, 77);
            most.fetch_max(done, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        pieces.each(77, &progress, || (), count).unwrap();
        let mut found = found.into_inner().unwrap();
        found.sort_unstable();
        for (tensor, weights) in lengths.into_iter().enumerate() {
            let mut end = 0;
            for (_, first, count) in found.iter().filter(|piece| piece.0 == tensor) {
                assert_eq!((*first, first % 8), (end, 0));
                end += count;
            }
            assert_eq!(end, weights, "tensor {tensor}");
        }
        assert_eq!(most.into_inner(), lengths.iter().sum::<u64>());
        let stopped = pieces.each(1, &|_, _| ControlFlow::Break(()), || (), |_, piece| Ok(piece.count));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
