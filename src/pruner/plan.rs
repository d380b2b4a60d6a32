//! A [`Plan`]: what happens to each tensor of a checkpoint, and why. Made from names, dtypes and shapes alone, so it
//! needs neither the weights nor a GPU.
//!
//! About each tensor the last rule that selects it decides. A dtype that lopper does not prune, and a tensor without
//! weights, no rule selects. Otherwise the first of these that applies says whether a rule does:
//!
//! 1. matches `exclude`: no;
//! 2. `include` is not empty: yes where a glob of it matches, else no;
//! 3. `all`: yes;
//! 4. fewer than two dimensions: no;
//! 5. named like an embedding, an output head or a normalisation (`names.rs` says how that is told): no;
//! 6. otherwise: yes.
//!
//! What no rule selects is copied.

mod check;
mod names;
mod selector;
#[cfg(test)]
mod tests;
mod units;

use self::selector::{Selector, Why};
pub use self::units::Units;
use super::arrange::Axes;
use super::{Action, Layout, Recipe, Report, Rule, RuleReport, Seconds, Target, TensorReport, Times, Totals};
use crate::checkpoint::TensorInfo;
use crate::{Dtype, Error, Result, Shape};

/// What happens to one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// Pruned or copied.
    pub action: Action,
    /// Why, in words for a table and a report.
    pub reason: String,
    /// The rule that decided, by its place in the recipe from 0 on; none for a tensor that is copied.
    pub rule: Option<usize>,
    /// The element type of a tensor that is pruned; none for one that is copied.
    pub dtype: Option<Dtype>,
    /// Outputs, and inputs times kernel, in the layout that the rule says; one row for a tensor of fewer than two
    /// dimensions.
    pub shape: Shape,
    /// How much of it goes, `sparsity_for` taken into account; none for a tensor that is copied.
    pub target: Option<Target>,
    /// What of it competes, and how much of that goes; none for a tensor that is copied.
    pub units: Option<Units>,
}

/// What happens to every tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One entry per tensor of the checkpoint, in the same order.
    pub tensors: Vec<PlannedTensor>,
}

impl Plan {
    /// Decides what `recipe` does to these tensors.
    ///
    /// # Errors
    /// [`Error::Rule`], with the rule's number where there are several, where
    /// - there is no rule, or [`Rule::check`] fails for one;
    /// - a glob is malformed, matches no tensor, or gives a sparsity of its own to no tensor that is pruned;
    /// - nothing is selected, or a rule gets no tensor because it selects none or later ones decide about all of them;
    /// - a block is larger than a tensor, or more is to be kept than there is.
    pub fn new(recipe: &Recipe, checkpoint_tensors: &[TensorInfo]) -> Result<Plan> {
        if recipe.rules.is_empty() {
            return Err(Error::Rule("the recipe has no rules".into()));
        }
        let mut rules = Vec::with_capacity(recipe.rules.len());
        for (r, rule) in recipe.rules.iter().enumerate() {
            let selector = rule.check().and_then(|()| Selector::new(&rule.selection));
            rules.push((rule, selector.map_err(|error| check::of_rule(recipe, r, error))?));
        }
        let plan = Plan { tensors: checkpoint_tensors.iter().map(|info| planned(&mut rules, info)).collect() };
        plan.check(recipe, &rules, checkpoint_tensors)?;
        Ok(plan)
    }

    /// The report of a run that has not taken place: no adapter, no counts, no seconds.
    ///
    /// # Panics
    /// If `tensors` are not those the plan was made for.
    pub fn dry_report(&self, recipe: &Recipe, tensors: &[TensorInfo]) -> Report {
        assert_eq!(self.tensors.len(), tensors.len(), "a plan is reported with the tensors it was made for");
        let tensors: Vec<_> = self.tensors.iter().zip(tensors).map(|(plan, info)| plan.dry_report(info)).collect();
        Report {
            lopper: env!("CARGO_PKG_VERSION"),
            recipe: recipe.to_toml(),
            rules: recipe.rules.iter().map(RuleReport::from).collect(),
            adapter: None,
            totals: Totals::of(&tensors),
            tensors,
            seconds: Seconds::default(),
            waiting: Times::default(),
            bytes_read: 0,
            bytes_written: 0,
            retries: Vec::new(),
        }
    }
}

/// Decides about one tensor.
fn planned(rules: &mut [(&Rule, Selector)], info: &TensorInfo) -> PlannedTensor {
    let axes = |layout| Axes::new(&info.shape, layout);
    let (dtype, has_weights) = (info.prunable(), axes(Layout::OutIn).matrix().weights() > 0);
    let (mut last, mut other) = (None, None);
    for (r, (_, selector)) in rules.iter_mut().enumerate() {
        let why = selector.select(info, dtype.is_some() && has_weights);
        match why {
            why if why.selects() => last = Some((r, why)),
            // Of those that do not select it, one that has an opinion about it.
            why if other.is_none() || !matches!(why, Why::NotIncluded) => other = Some((r, why)),
            _ => {}
        }
    }
    let copied = |reason| PlannedTensor {
        action: Action::Copy,
        reason,
        rule: None,
        dtype: None,
        shape: axes(Layout::OutIn).matrix(),
        target: None,
        units: None,
    };
    let prefix = |r: usize| if rules.len() > 1 { format!("rule {}: ", r + 1) } else { String::new() };
    let (r, why, dtype) = match (dtype, last, other) {
        (None, ..) => return copied(format!("dtype {} is not pruned", info.dtype)),
        (Some(_), ..) if !has_weights => return copied("it has no weights".into()),
        (Some(dtype), Some((r, why)), _) => (r, why, dtype),
        (Some(_), None, Some((_, Why::NotIncluded))) => return copied("not included".into()),
        (Some(_), None, Some((r, why))) => return copied(prefix(r) + &rules[r].1.reason(why)),
        (Some(_), None, None) => return copied("no rule".into()),
    };
    let mut reason = prefix(r) + &rules[r].1.reason(why);
    let (rule, selector) = &mut rules[r];
    let target = selector.target(rule, &info.name, &mut reason);
    let axes = axes(rule.layout);
    reason.extend(axes.note(rule.scope).map(|note| format!("; {note}")));
    PlannedTensor {
        action: Action::Prune,
        reason,
        rule: Some(r),
        dtype: Some(dtype),
        shape: axes.matrix(),
        target: Some(target),
        units: Some(axes.units(rule, target)),
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
            rule: self.rule,
            reason: self.reason.clone(),
        }
    }
}
