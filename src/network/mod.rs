//! Layers and chains of them: forward passes of pruned models in a caller's commands.
//!
//! ```text
//! TOML, checkpoint ─ load ─► Network ─ prepare ─► Forward ─ record ─► y = layers of x, any number of times
//!                              └ Linear: weights, dense or sparse; bias; activation
//! ```
//!
//! A chain in TOML, layers in order, tensors by their names in the checkpoint:
//!
//! ```toml
//! checkpoint = "model.safetensors"   # file or folder, from this file's folder; may be left out
//!
//! [[layer]]
//! weight = "fc1.weight"    # [outputs, inputs]
//! bias = "fc1.bias"        # if there is one: [outputs]
//! activation = "relu"      # none, relu, gelu or silu
//!
//! [[layer]]
//! weight = "fc2.weight"
//! ```
//!
//! Nothing here submits or waits. A forward pass has its own buffers between layers; recordings of one pass, and of passes
//! that share [`Kernels`](crate::kernels::Kernels), are for one queue.

mod chain;
mod forward;
mod linear;
mod load;

pub use chain::{Chain, Layer};
pub use forward::{Forward, Network};
pub use linear::Linear;
pub use load::Storage;
