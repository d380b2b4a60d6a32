//! A [`Rule`] becomes a [`Plan`], a plan is run: the façade over files and GPU.
//!
//! ```text
//! prune:          Rule + Checkpoint ─► Plan ─► scheduler ─► Output ─► Report
//! prune_tensors:  Rule + Source     ─► Plan ─► scheduler ─► Sink   ─► Report
//! ```

mod ends;
mod plan;
mod report;
mod resume;
mod rule;
mod run;
mod schedule;
mod shards;
mod verify;
mod work;

pub use crate::checkpoint::Earlier;
pub use crate::{Scope, Target, quota};
pub use ends::{Sink, Source};
pub use plan::{Plan, PlannedTensor};
pub use report::{Action, AdapterReport, Report, RuleReport, Seconds, TensorReport, Totals};
pub use rule::{Rule, Selection};
pub use run::{Options, Progress, Pruner};
pub use verify::{CutScope, Mismatch, TensorVerification, Verification, verify};
