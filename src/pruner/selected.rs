//! Which tensors of a checkpoint are meant where no rule says so.

use super::{Action, Plan, Recipe, Rule, Selection};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::{Result, Target};

/// By a selection; else those that the recipe in the checkpoint's metadata prunes; else those that are pruned by default.
pub(crate) fn selected(checkpoint: &Checkpoint, selection: Option<&Selection>) -> Result<Vec<bool>> {
    let recipe = checkpoint.metadata(Recipe::METADATA_KEY)?.map(|recipe| Recipe::from_toml(&recipe)).transpose()?;
    selected_of(recipe.as_ref(), selection, checkpoint.tensors())
}

/// By a selection; else those that the recipe prunes; else those that are pruned by default.
pub(crate) fn selected_of(
    recipe: Option<&Recipe>,
    selection: Option<&Selection>,
    tensors: &[TensorInfo],
) -> Result<Vec<bool>> {
    match (selection, recipe) {
        // What is left out, of those that were pruned.
        (Some(selection), Some(recipe)) if selection.include.is_empty() && !selection.all => {
            let all = Selection { all: true, ..selection.clone() };
            let (pruned, meant) = (planned(recipe, tensors)?, selected_by(&all, tensors)?);
            Ok(pruned.into_iter().zip(meant).map(|(pruned, meant)| pruned && meant).collect())
        }
        (Some(selection), _) => selected_by(selection, tensors),
        (None, Some(recipe)) => planned(recipe, tensors),
        (None, None) => selected_by(&Selection::default(), tensors),
    }
}

/// By a selection.
pub(crate) fn selected_by(selection: &Selection, tensors: &[TensorInfo]) -> Result<Vec<bool>> {
    planned(&Rule { selection: selection.clone(), ..Rule::new(Target::Threshold(0.0)) }.into(), tensors)
}

fn planned(recipe: &Recipe, tensors: &[TensorInfo]) -> Result<Vec<bool>> {
    Ok(Plan::new(recipe, tensors)?.tensors.iter().map(|planned| planned.action == Action::Prune).collect())
}
