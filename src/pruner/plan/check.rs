//! What a recipe may not ask of the tensors that there are.

use super::selector::Selector;
use super::{Plan, PlannedTensor};
use crate::checkpoint::{TensorInfo, quoted};
use crate::pruner::arrange::Axes;
use crate::pruner::{Action, Recipe, Rule, Scope, Target, Unit};
use crate::{Error, Result};

impl Plan {
    pub(super) fn check(&self, recipe: &Recipe, rules: &[(&Rule, Selector)], infos: &[TensorInfo]) -> Result<()> {
        let of = |r: usize| move |error| of_rule(recipe, r, error);
        for (r, (_, selector)) in rules.iter().enumerate() {
            selector.check_all_used().map_err(of(r))?;
        }
        let mut gets = vec![0; rules.len()];
        self.tensors.iter().filter_map(|tensor| tensor.rule).for_each(|r| gets[r] += 1);
        if gets.iter().all(|tensors| *tensors == 0) {
            return Err(Error::Rule(match infos.len() {
                0 => "there is nothing to prune: the checkpoint holds no tensors".into(),
                n => format!("nothing is selected: all {n} tensors would be copied; widen the selection"),
            }));
        }
        for (r, (rule, selector)) in rules.iter().enumerate() {
            if gets[r] == 0 {
                return Err(Error::Rule(format!(
                    "rule {} gets no tensor: {}",
                    r + 1,
                    match selector.selected {
                        0 => "it selects none that can be pruned".into(),
                        n => format!(
                            "it selects {n}, but the last rule that selects a tensor decides, and that is another"
                        ),
                    }
                )));
            }
            selector.check_own_sparsities().map_err(of(r))?;
            let gets = || self.tensors.iter().zip(infos).filter(|(tensor, _)| tensor.rule == Some(r));
            if let Some(why) = gets().find_map(|(_, info)| too_large(rule, info)) {
                return Err(of(r)(Error::Rule(why)));
            }
            check_keep(rule, gets()).map_err(of(r))?;
        }
        debug_assert!(self.tensors.iter().all(|t| t.rule.is_some() == (t.action == Action::Prune)));
        Ok(())
    }
}

/// The error, with the number of the rule that it is about, where there are several.
pub(super) fn of_rule(recipe: &Recipe, r: usize, error: Error) -> Error {
    match error {
        Error::Rule(why) if recipe.rules.len() > 1 => Error::Rule(format!("rule {}: {why}", r + 1)),
        error => error,
    }
}

fn too_large(rule: &Rule, info: &TensorInfo) -> Option<String> {
    Axes::new(&info.shape, rule.layout).refuse(rule.unit, &info.name)
}

/// More may not be kept than there is, where it competes.
fn check_keep<'a>(rule: &Rule, tensors: impl Iterator<Item = (&'a PlannedTensor, &'a TensorInfo)>) -> Result<()> {
    let Target::Keep(keep) = rule.target else { return Ok(()) };
    let what = match rule.unit {
        Unit::Weight => "weights",
        Unit::Block { .. } => "blocks",
        Unit::Kernel => "kernels",
        Unit::Row => "rows",
        Unit::Column => "columns",
    };
    let refuse = |have: u64, of: String| {
        Err(Error::Rule(format!("{keep} {what} are to be kept, but {of} has only {have}: keep fewer")))
    };
    let mut all = 0u64;
    for (units, info) in tensors.filter_map(|(tensor, info)| Some((tensor.units?, info))) {
        let of = match rule.scope {
            Scope::Group(_) => return Ok(()),
            Scope::Global => {
                all = all.saturating_add(units.count);
                continue;
            }
            Scope::Row => "a row of ",
            Scope::Tensor => "",
        };
        if keep > units.each() {
            return refuse(units.each(), format!("{of}tensor {}", quoted(&info.name)));
        }
    }
    match rule.scope {
        Scope::Global if keep > all => refuse(all, "the selection".into()),
        _ => Ok(()),
    }
}
