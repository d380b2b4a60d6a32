//! A [`Rule`] becomes a [`Plan`], a plan is run: the façade over files and GPU.
//!
//! ```text
//! Rule + Checkpoint ─► Plan ─► scheduler ─► Output ─► Report
//! ```

mod plan;
mod report;
mod rule;
mod run;
mod verify;

pub use crate::{Scope, Target, quota};
pub use plan::{Plan, PlannedTensor};
pub use report::{Action, AdapterReport, Report, RuleReport, Seconds, TensorReport, Totals};
pub use rule::{Rule, Selection};
pub use run::{Options, Progress, Pruner};
pub use verify::{CutScope, Mismatch, TensorVerification, Verification, verify};
