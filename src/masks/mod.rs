//! Masks as files: one bit for each weight, taken from a pruned checkpoint, combined, compared, grown anew, and applied to
//! another checkpoint.
//!
//! ```text
//! mask file, torch's masks, zeros of a checkpoint ─► Masks ─┬─ extract, combine, invert, regrow ─► mask file
//!                                                          ├─ apply ─► a checkpoint with those weights at 0
//!                                                          └─ diff, stats
//! ```
//!
//! # The file
//!
//! A safetensors file whose `__metadata__` has `lopper.mask` = `1`, and for a weight `X` of `n` numbers:
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `X.mask` | `U8 [ceil(n / 8)]` | bit `i % 8`, from the least significant on, of byte `i / 8`: 1 where weight `i`, counted row-major, is kept. Bits behind the last weight are 0 |
//! | `X.shape` | `I64 [rank]` | the weight's shape |
//!
//! In numpy: `np.unpackbits(mask, count=shape.prod(), bitorder="little").reshape(shape)`.
//!
//! # Where it runs
//!
//! On the CPU, on all processors: a mask is read and written once, and a few operations a word are done before the next one
//! has arrived from the disk. Memory is a few MiB for each thread, whatever the masks' sizes.

mod apply;
mod bits;
mod combine;
mod diff;
mod file;
mod open;
mod pieces;
mod regrow;
mod stats;

pub use apply::{Applied, ApplyOptions, TensorApplied, apply};
pub use combine::{Operation, combine, extract, invert};
pub use diff::{Comparison, Other, TensorDiff, diff};
pub use file::{MaskTo, TensorKept, Written};
pub use open::{MaskInfo, Masks};
pub use regrow::{Regrow, Regrown, TensorRegrown, regrow};
pub use stats::{TensorStats, stats};
