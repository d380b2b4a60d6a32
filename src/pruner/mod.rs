//! A [`Recipe`] of [`Rule`]s becomes a [`Plan`], a plan is run: the façade over files and GPU.
//!
//! ```text
//! prune:          Recipe + Checkpoint ─► Plan ─► scheduler ─► Output ─► Report
//! prune_tensors:  Recipe + Source     ─► Plan ─► scheduler ─► Sink   ─► Report
//! ```

mod arrange;
mod compat;
#[cfg(feature = "containers")]
mod container;
mod ends;
mod meter;
mod owl;
mod plan;
mod recipe;
mod remaining;
mod report;
mod resume;
mod rule;
mod run;
mod score;
mod scores;
mod selected;
mod shards;
mod slabs;
mod tasks;
mod verify;
mod work;

pub use crate::checkpoint::Earlier;
pub use crate::scheduler::{Busy, Pass, Stage, Times};
pub use crate::{Norm, Scope, Target, Unit, quota};
pub use compat::Compat;
pub use ends::{Sink, Source};
pub use meter::{OnProgress, Progress};
pub use owl::outlier_shares;
pub use plan::{Plan, PlannedTensor, Units};
pub use recipe::Recipe;
#[doc(hidden)]
pub use recipe::{Draft, ScoreWord, UnitWord, words};
pub use report::{Action, AdapterReport, Report, RuleReport, Seconds, TensorReport, Totals};
pub use rule::{Layout, Rule, Selection};
pub use run::{Options, Pruner};
pub use score::Score;
pub(crate) use selected::{selected, selected_by, selected_of};
pub use verify::{Against, CutScope, Mismatch, TensorVerification, Verification, verify};
