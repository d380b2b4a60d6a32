//! The kernels' knobs, searched on an adapter, and the table in which they are kept.
//!
//! ```text
//! tasks: prunings and products of sizes in use, on random weights
//! for each knob: a step up, a step down ─► same results? ─► timed in turn with the knobs so far ─► the better stay
//! at last: all tasks, with the knobs for the adapter's class and with those that were found, timed in turn
//! ```
//!
//! Knobs change times, never results: candidates whose results differ are not timed, let alone kept. What was found holds for
//! one adapter and driver, and for the version of lopper whose kernels were timed; a [`Table`] knows them all. Give it to a
//! device with [`Gpu::with_tuning`](crate::gpu::Gpu::with_tuning), or to [`Lopper::with_tuning`](crate::Lopper::with_tuning).

mod knob;
mod search;
mod table;
mod task;

#[doc(hidden)]
pub use search::tune_at;
pub use search::{Gain, OnStep, Step, Tuned, tune};
pub use table::{Found, Table};
