//! Structure that really goes: neurons, attention heads and layers leave a checkpoint, and what is left is dense, smaller, and
//! computes what the model computes in which they are masked.
//!
//! ```text
//! names, a network, or a recipe ─► Couplings: which rows, columns and tensors go together
//!                                     │
//! Checkpoint ─ norms, or a file ─► scores ─ Amount ─► units that stay ─┬─► shapes, config.json: a plan
//!                                              moments of inputs ─► biases ┘      │
//!                                                              Checkpoint ─ gather ─► Fresh
//! ```
//!
//! All of it runs on the CPU: two passes over files, whose scores do not depend on the number of threads. Counts are exact, and of
//! units with the same score those of the lowest index go first, as everywhere in lopper. [`Amount`] says how much, [`Score`] what
//! goes first. Nothing is written before everything about names, sizes and counts has been checked.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use lopper::Target;
//! use lopper::checkpoint::{Checkpoint, Unfinished};
//! use lopper::shrink::{Amount, Config, Kind, Options, by_names, shrink};
//!
//! # fn main() -> lopper::Result<()> {
//! let checkpoint = Checkpoint::open(Path::new("llama"))?;
//! let config = Config::of(&checkpoint)?;
//! let couplings = by_names(Kind::Neuron, checkpoint.tensors(), config.as_ref())?;
//! let options = Options::new(Amount { round_to: 64, ..Amount::new(Target::Sparsity(0.25)) });
//! let progress = |_, _, _| ControlFlow::Continue(());
//! let report = shrink(&checkpoint, &couplings, Path::new("smaller"), &options, &Unfinished::default(), &progress)?;
//! println!("{} of {} bytes are left", report.tensor_bytes[1], report.tensor_bytes[0]);
//! # Ok(())
//! # }
//! ```

mod chain;
mod choose;
mod compensate;
mod config;
mod couple;
mod coupling;
mod gather;
mod glob;
mod norms;
mod patterns;
mod plan;
mod problem;
mod report;
mod run;
mod runs;
mod score;
mod tiles;

pub use chain::of_chain;
pub use choose::Amount;
pub use config::Config;
pub use couple::{Couple, CoupleMember, of_couples};
pub use coupling::{Coupling, Couplings, Kind, Member, Place};
pub use patterns::find as by_names;
pub use problem::Problem;
pub use report::{ConsumerReport, CouplingReport, Report, Seconds, TensorReport};
pub use run::{METADATA_KEY, OnPass, Options, Outlook, Pass, outlook, shrink};
pub use score::{Combine, Score, Side};

/// The `[[couple]]` of a recipe, from a file or from text.
pub mod recipe {
    pub use super::couple::{from_toml, read};
}
