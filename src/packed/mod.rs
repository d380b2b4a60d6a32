//! Packed checkpoints: of pruned matrices only what is not zero, and where it was. In the layouts of `compressed-tensors`
//! (vllm-project, up to 0.14.0), which other programs read, and in lopper's own, which goes straight into products.
//!
//! ```text
//! pruned checkpoint ─ pack ─► packed checkpoint ─┬─ unpack ─► the pruned checkpoint, byte for byte
//!                                               └─ SparseMatrix::load ─► products on the GPU
//! ```
//!
//! Instead of a weight `P.weight` of R × C there are, in the shard that had it,
//!
//! | [`Packing`] | tensors |
//! |---|---|
//! | `sparse-bitmask` | `P.compressed` `[kept]`, what is not +0.0, row by row; `P.bitmask` `U8 [R, ceil(C / 8)]`, column c in bit c % 8, from the least significant on; `P.row_offsets` `I64 [R]`, what is kept before each row; `P.shape` `I64 [2]` |
//! | `sparse-24-bitmask` | the same with exactly 2 of 4 kept, zeros among them: `P.compressed` `[R, C / 2]`, no offsets, `P.shape` `I64 [2, 1]` |
//! | `tiled-bitmask` | for a weight `X`: `X.values` `[kept]`; `X.bits` `U32 [R, ceil(C / 32)]`; `X.offsets` `U32 [R · ceil(C / 1024) + 1]`, what is kept before each tile of 1,024 columns, and in all; `X.shape` `I64 [rank]` |
//!
//! In the first two, `config.json` gets a `quantization_config`. The header of each shard, and the index, are kept in the
//! packed shards' metadata, so that unpacking gives the same files.
//!
//! Both work on the CPU, on all processors, in a few MiB for each thread: a weight is read, packed in about a nanosecond, and
//! written, which a way through a GPU's memory could only make longer. They read what they pack twice: sizes come first.

mod config;
mod decode;
mod encode;
mod kind;
mod pack;
mod parts;
mod prune;
mod spans;
mod unpack;

pub use kind::Packing;
pub use pack::{PackOptions, Packed, TensorLeft, TensorPacked, pack};
pub use prune::prune;
pub use unpack::{TensorUnpacked, Unpacked, unpack};
