//! A [`Plan`]: what happens to each tensor of a checkpoint, and why. Made from names, dtypes and shapes alone, so it
//! needs neither the weights nor a GPU.
//!
//! For each tensor the first of these that applies decides:
//!
//! 1. a dtype that lopper does not prune, or no weights at all: copied;
//! 2. matches `exclude`: copied;
//! 3. `include` is not empty: pruned where a glob of it matches, copied otherwise;
//! 4. `all`: pruned;
//! 5. fewer than two dimensions: copied;
//! 6. named like an embedding, an output head or a normalisation (`names.rs` says how that is told): copied;
//! 7. otherwise: pruned.

mod names;
mod selector;
#[cfg(test)]
mod tests;

use self::selector::Selector;
use super::{Action, Report, Rule, RuleReport, Scope, Seconds, Target, TensorReport, Totals, Unit};
use crate::checkpoint::{TensorInfo, quoted};
use crate::{Dtype, Error, Result, Shape};

/// What happens to one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// Pruned or copied.
    pub action: Action,
    /// Why, in words for a table and a report.
    pub reason: String,
    /// The number of the rule that prunes it.
    pub rule: Option<usize>,
    /// The element type of a tensor that is pruned; none for one that is copied.
    pub dtype: Option<Dtype>,
    /// `shape[0]` rows of the product of the other dimensions; one row for a tensor of fewer than two dimensions.
    pub shape: Shape,
    /// Rows and columns of what competes: its weights, or its rows, columns or blocks; for groups, the rows they lie in.
    pub units: Shape,
    /// How much of it goes, `sparsity_for` taken into account; none for a tensor that is copied.
    pub target: Option<Target>,
}

/// What happens to every tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One entry per tensor of the checkpoint, in the same order.
    pub tensors: Vec<PlannedTensor>,
}

impl Plan {
    /// Decides what `rule` does to these tensors.
    ///
    /// # Errors
    /// [`Error::Rule`] where [`Rule::check`] fails, a glob is malformed or matches no tensor, a sparsity of its own
    /// goes to no tensor that is pruned, nothing is selected, or more weights are to be kept than there are.
    pub fn new(rule: &Rule, checkpoint_tensors: &[TensorInfo]) -> Result<Plan> {
        rule.check()?;
        let mut selector = Selector::new(&rule.selection)?;
        let tensors: Vec<_> = checkpoint_tensors.iter().map(|t| selector.plan(t, rule)).collect();
        selector.check_all_used()?;
        let plan = Plan { tensors };
        plan.check_blocks(rule, checkpoint_tensors)?;
        if !plan.tensors.iter().any(|t| t.action == Action::Prune) {
            return Err(Error::Rule(match checkpoint_tensors.len() {
                0 => "there is nothing to prune: the checkpoint holds no tensors".into(),
                n => format!("nothing is selected: all {n} tensors would be copied; widen the selection"),
            }));
        }
        if let Target::Keep(keep) = rule.target {
            plan.check_keep(keep, rule.scope, rule.unit, checkpoint_tensors)?;
        }
        Ok(plan)
    }

    /// The report of a run that has not taken place: no adapter, no counts, no seconds.
    ///
    /// # Panics
    /// If `tensors` are not those the plan was made for.
    pub fn dry_report(&self, rule: &Rule, tensors: &[TensorInfo]) -> Report {
        assert_eq!(self.tensors.len(), tensors.len(), "a plan is reported with the tensors it was made for");
        let tensors: Vec<_> = self.tensors.iter().zip(tensors).map(|(plan, info)| plan.dry_report(info)).collect();
        Report {
            lopper: env!("CARGO_PKG_VERSION"),
            rule: RuleReport::from(rule),
            adapter: None,
            totals: Totals::of(&tensors),
            tensors,
            seconds: Seconds::default(),
            bytes_read: 0,
            bytes_written: 0,
            retries: Vec::new(),
        }
    }

    fn pruned<'a>(&'a self, infos: &'a [TensorInfo]) -> impl Iterator<Item = (&'a PlannedTensor, &'a TensorInfo)> {
        self.tensors.iter().zip(infos).filter(|(t, _)| t.action == Action::Prune)
    }

    /// A block that is larger than a matrix is most likely meant for another.
    fn check_blocks(&self, rule: &Rule, infos: &[TensorInfo]) -> Result<()> {
        let Unit::Block { rows, cols } = rule.unit else { return Ok(()) };
        for (_, info) in self.pruned(infos) {
            let have = rule.matrix(&info.shape);
            if u64::from(rows) > have.rows || u64::from(cols) > have.cols {
                return Err(Error::Rule(format!(
                    "blocks of {rows} by {cols} are larger than tensor {}, {} by {}: choose smaller ones, or exclude it",
                    quoted(&info.name),
                    have.rows,
                    have.cols
                )));
            }
        }
        Ok(())
    }

    fn check_keep(&self, keep: u64, scope: Scope, unit: Unit, infos: &[TensorInfo]) -> Result<()> {
        let pruned = || self.pruned(infos);
        let refuse = |have: u64, of: String| {
            let what = if unit == Unit::Weight { "weights".into() } else { format!("{}s", unit.name()) };
            Err(Error::Rule(format!("{keep} {what} are to be kept, but {of} has only {have}: keep fewer")))
        };
        if let Scope::Group(_) = scope {
            return Ok(());
        }
        if scope == Scope::Global {
            let all = pruned().fold(0, |sum: u64, (t, _)| sum.saturating_add(t.units.weights()));
            return if keep > all { refuse(all, "the selection".into()) } else { Ok(()) };
        }
        for (tensor, info) in pruned() {
            let (have, of) = match scope {
                Scope::Row => (tensor.units.cols, "a row of "),
                _ => (tensor.units.weights(), ""),
            };
            if keep > have {
                return refuse(have, format!("{of}tensor {}", quoted(&info.name)));
            }
        }
        Ok(())
    }
}

impl PlannedTensor {
    pub(super) fn dry_report(&self, info: &TensorInfo) -> TensorReport {
        TensorReport {
            name: info.name.clone(),
            dtype: info.dtype.to_string(),
            shape: info.shape.clone(),
            weights: self.shape.weights(),
            zeros_before: None,
            zeros: None,
            sparsity: None,
            cut: None,
            ties: None,
            ties_pruned: None,
            action: self.action,
            reason: self.reason.clone(),
        }
    }
}

fn prunable(dtype: safetensors::Dtype) -> Option<Dtype> {
    match dtype {
        safetensors::Dtype::F32 => Some(Dtype::F32),
        safetensors::Dtype::F16 => Some(Dtype::F16),
        safetensors::Dtype::BF16 => Some(Dtype::BF16),
        safetensors::Dtype::F8_E4M3 => Some(Dtype::F8E4M3),
        safetensors::Dtype::F8_E5M2 => Some(Dtype::F8E5M2),
        _ => None,
    }
}

/// The matrix that a tensor is seen as. Saturates only where a dimension of 0 makes the number of weights 0 anyway.
fn matrix(shape: &[u64]) -> Shape {
    match shape {
        [] => Shape::new(1, 1),
        [cols] => Shape::new(1, *cols),
        [rows, rest @ ..] => Shape::new(*rows, rest.iter().fold(1, |product: u64, dim| product.saturating_mul(*dim))),
    }
}
