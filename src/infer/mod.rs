//! Networks run on data: what they say, how right it is, how their neurons act, how long it takes.
//!
//! ```text
//! checkpoint ─ load ─► Data ──┐
//!                  Network ───┴─ Runner ─► outputs ─► accuracy, distance
//!                                   └────► Activations: norms of inputs, means of outputs ─► scores for pruning
//! ```
//!
//! Sums of activations are `f64` on the host; outputs are the network's, `f32`.

mod activations;
mod data;
mod judge;
mod runner;

pub use activations::Activations;
pub use data::Data;
pub use judge::{accuracy, distance};
pub use runner::Runner;
