//! What sparse products are worth on an adapter: against our dense product, and against the adapter's own roofs.
//!
//! ```text
//! roofs: read, copy, FMA
//! for each shape, element type, pattern and sparsity:
//!     weights, mask ─► dense, each format ─► held against a product in f64 ─► timed in turn, those that were right
//! ```
//!
//! What makes a figure honest here:
//!
//! - A kernel whose result is off is never timed, and is a [`Skip`] with its error.
//! - Dense and sparse take turns, round after round, so that what else the machine does falls on all of them alike.
//! - Matrices are used in turn, copies of them if they are small, so that none is found in a cache.
//! - GPU timestamps are used only where they agree with the clock on the wall over work that takes long; medians are given
//!   with their spread, and those that spread by more than [`STEADY`] are marked.
//! - The read roof is timed beside each product: its share is of the adapter as it was then, and products that were timed while
//!   it was faster or slower than in most of the run are marked, too.
//! - What time or memory did not suffice for is said, in [`Results::skipped`].
//!
//! Nothing is printed here.

mod case;
pub(crate) mod clock;
mod contrast;
pub(crate) mod data;
pub(crate) mod exact;
mod model;
mod results;
pub(crate) mod roofs;
mod run;
mod stored;

pub use case::{Asked, Pattern};
pub use contrast::{Contrast, Pair};
pub use model::{FASTEST, Model};
pub use results::{BreakEven, Case, Moment, Results, Roofs, STEADY, Skip, Total};
pub use run::{OnCase, run, run_model};

/// The shader of the roofs, for tests that parse and translate it: `(name, source, entry points)`.
#[doc(hidden)]
pub const SHADERS: &[(&str, &str, &[&str])] = &[("roofs", roofs::SOURCE, roofs::ENTRIES)];
