//! What the weights of a checkpoint are like: one pass on the CPU, whose counts hold the answer to every sparsity at once.
//!
//! ```text
//! Checkpoint ─ survey ─► magnitudes of each tensor ─┬─► cut and relative error at any sparsity
//!                                                   └─ allocate ─► a sparsity for each tensor
//! ```

mod allocate;
mod compare;
mod magnitudes;
mod numbers;
mod survey;
mod tally;

pub use allocate::{Allocation, allocate};
pub use compare::{Comparison, Other, TensorComparison, compare};
pub use magnitudes::{Magnitudes, Point};
pub use survey::{Norms, Quantile, SHARES, SPARSITIES, TensorSurvey, Values, survey};
