//! The bodies of the fuzz targets, for `fuzz/` and `tests/fuzz.rs`. They assert what must hold for any bytes. No part of
//! the API.

pub use crate::checkpoint::fuzzing::{header, index};
pub use crate::scheduler::fuzzing::planner;

use crate::checkpoint::{TensorInfo, check_list};
use crate::pruner::{Action, Plan, Recipe};

/// A recipe and made-up tensors: whatever they are, a plan is made or refused, and says the same as its report.
///
/// # Panics
/// If that does not hold.
pub fn plan(recipe: &Recipe, tensors: &[TensorInfo]) {
    if check_list(tensors).is_err() {
        return;
    }
    let Ok(plan) = Plan::new(recipe, tensors) else { return };
    assert_eq!(plan.tensors.len(), tensors.len());
    for (planned, info) in plan.tensors.iter().zip(tensors) {
        let pruned = planned.action == Action::Prune;
        assert_eq!((planned.dtype.is_some(), planned.target.is_some()), (pruned, pruned));
        assert_eq!((planned.rule.is_some(), planned.units.is_some()), (pruned, pruned));
        assert!(!planned.reason.is_empty());
        let Some(dtype) = planned.dtype else { continue };
        let weights = planned.shape.weights();
        assert!(weights > 0 && weights * dtype.size() as u64 == info.bytes());
        let units = planned.units.expect("as asserted");
        assert!(units.count <= weights && units.dense <= weights && units.go.unwrap_or(0) <= units.count);
    }
    let report = plan.dry_report(recipe, tensors);
    let pruned = plan.tensors.iter().filter(|t| t.action == Action::Prune);
    assert_eq!(report.totals.weights, pruned.map(|t| t.shape.weights()).sum::<u64>());
}
