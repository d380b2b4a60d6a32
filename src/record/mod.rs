//! Prunes weights where they are: in buffers of a program that has its own device, in that program's command stream.
//!
//! ```text
//!  Lopper::new(&device)                        once; cheap to clone, Send + Sync
//!     │ prepare(&PruneDescriptor)              once per set of matrices: checks, pipelines, bind groups, scratch
//!     ▼
//!  Pruning ── record(&mut encoder) ──►  [quota] ► sample, place ► histogram, threshold … ► mask, settle ► apply
//!     │                                  every frame; only dispatches: nothing is allocated, submitted, waited for
//!     └─ stats(&mut encoder) ──► Readback<Stats>: a future that the caller's own polling completes
//! ```
//!
//! Guarantees:
//!
//! - **A guest.** Nothing here submits, polls, waits, maps, or touches the queue; handlers for uncaptured errors and for
//!   a lost device stay the caller's.
//! - **Exact.** As many weights go as asked, ties lowest index first, as everywhere in lopper: the same bits as
//!   [`crate::reference`] computes, on every adapter.
//! - **Checked.** [`Lopper::prepare`] refuses what wgpu would refuse while recording: bounds, alignment, usages, overlaps,
//!   limits, buffers of another device. It cannot know an encoder of another device, since wgpu does not tell, nor that
//!   a buffer or the device is destroyed later: those wgpu reports to the caller's handler, at `CommandEncoder::finish`
//!   and `Queue::submit`.
//!
//! What it refuses: a set of matrices of different element types under one cut (files can; see [`crate::pruner`]), and
//! matrices or sets of more than 2³² − 2 weights.
//!
//! [`Arena`] keeps prunings and their scratch from frame to frame for callers who would rather not. The single stages
//! are in [`crate::kernels`]; [`Lopper::kernels`] records them.

mod arena;
mod check;
mod descriptor;
mod lopper;
mod prepare;
mod profile;
mod pruning;
mod readback;
mod scratch;
mod stats;

pub use arena::Arena;
pub use descriptor::{Amount, Masks, PruneDescriptor};
pub use lopper::Lopper;
pub use profile::Stage;
pub use pruning::Pruning;
pub use readback::Readback;
pub use stats::{Stats, UnitStats};
