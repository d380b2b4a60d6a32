//! Sparse matrices in buffers, and their products.
//!
//! ```text
//! weights, bits ─ pack ─► SparseMatrix ─ matmul ─► y = activation(W · x + bias)
//!                             │  └────── unpack ─► weights, +0.0 where nothing is kept, bit for bit
//!                             ├ download, upload ─ the words of both buffers, on the host: reference::Packed
//!                             └ load ─ the words of both buffers, in a file
//! ```
//!
//! What is not kept is not multiplied: where a dense product has 0 · ∞ or 0 · NaN for a pruned weight, and so NaN, a sparse
//! one has nothing. Kept weights, zeros among them, multiply as IEEE 754 says, as far as the adapter does; but weights of +0.0 are
//! not multiplied in MACKO, which has them where nothing is.
//!
//! Which [`Format`] pays depends on adapter and sparsity: [`Format::auto`] says what it would take, and why.

mod auto;
pub(crate) mod file;
mod matrix;
mod pack;

pub use crate::Format;
pub use auto::Choice;
pub use matrix::SparseMatrix;
