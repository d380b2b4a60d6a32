//! Pruned and packed by one call.

use std::path::Path;

use super::pack::{PackOptions, Packed, candidates, pack};
use crate::checkpoint::{Checkpoint, NewFiles, Scaffold, Sources, is_folder};
use crate::pruner::{OnProgress, Options, Pruner, Recipe, Report, selected_of};
use crate::{OnBytes, Result};

/// Prunes a checkpoint as [`Pruner::prune`] does and packs what came of it as [`pack`] does, by two passes: how large a packed
/// file will be is known once it is pruned. Between them the pruned checkpoint lies in a folder `.lopper-…` beside the output,
/// which so needs room for both; it is gone afterwards, whatever happens short of a kill, and
/// [`Unfinished::abandon`](crate::checkpoint::Unfinished::abandon) removes it. Nothing has a final name before all is done. `options.force` counts, that of `packing` does not.
///
/// # Errors
/// Those of [`Pruner::prune`] and of [`pack`].
pub fn prune(
    pruner: &Pruner,
    (input, output): (&Path, &Path),
    recipe: &Recipe,
    options: &Options,
    packing: &PackOptions,
    (on_pruned, on_packed): (&OnProgress<'_>, OnBytes<'_>),
) -> Result<(Report, Packed)> {
    let checkpoint = Checkpoint::open(input)?;
    // What would be refused in the end is refused now.
    let meant = selected_of(Some(recipe), packing.selection.as_ref(), checkpoint.tensors())?;
    candidates(&checkpoint, &meant, packing.packing, output)?;
    let (mut sources, unfinished) = (Sources::default(), pruner.unfinished());
    sources.add(&checkpoint);
    let many = checkpoint.is_folder();
    let name = checkpoint.shards()[0].name.clone();
    let output = match !many && is_folder(output) {
        true => &output.join(&name),
        false => output,
    };
    match many {
        true => drop(NewFiles::folder(output, &[], &sources, options.force, &unfinished)?),
        false => drop(NewFiles::file(output, &sources, options.force, &unfinished)?),
    }
    drop(checkpoint);
    let dense = Scaffold::on_the_way(output, &unfinished)?;
    let pruned = if many { dense.path().join("pruned") } else { dense.path().join(name) };
    let report = pruner.prune(input, &pruned, recipe, options, on_pruned)?;
    let packing = PackOptions { force: options.force, ..packing.clone() };
    let packed = pack(&Checkpoint::open(&pruned)?, output, &packing, &unfinished, on_packed)?;
    Ok((report, packed))
}
