//! Prunes the files of other programs: into a copy, or into a file of another kind.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use super::{Layout, OnProgress, Options, Pruner, Recipe, Report, Sink, Source};
use crate::container::{Container, Kind, NewContainer};
use crate::{BoxError, Error, Result};

impl Pruner {
    /// Prunes the tensors of `input` into a new file at `output`, of this kind: where that is the input's own, a copy of which
    /// nothing but the weights differs; otherwise a file of tensors alone, with the recipe in its metadata where it is
    /// safetensors. What the input has that lopper does not read is copied, or refused where there is no place for it.
    ///
    /// Takes [`Options::memory`] and a few MiB; heeds [`Options::force`]. [`Options::earlier`] means nothing here: a run that
    /// does not finish leaves nothing. In a Keras file kernels are `in-out`; [`Recipe::for_container`] sees to that.
    ///
    /// # Errors
    /// Whatever is wrong with input, recipe, output, memory or GPU. Nothing is left under a final name then, and the input is
    /// untouched.
    pub fn prune_container(
        &self,
        input: &Container,
        output: &Path,
        kind: Kind,
        recipe: &Recipe,
        options: &Options,
        progress: &OnProgress<'_>,
    ) -> Result<Report> {
        // Before anything is created: a recipe that does not fit leaves no trace.
        super::Plan::new(recipe, input.tensors())?;
        let unfinished = self.unfinished();
        let to = if kind == input.kind() && kind != Kind::Safetensors {
            NewContainer::like(input, output, options.force, &unfinished)?
        } else {
            let metadata = [(Recipe::METADATA_KEY, recipe.without_folders().to_toml())];
            NewContainer::with_metadata(kind, &metadata, input, output, options.force, &unfinished)?
        };
        let ends = Ends { input, to: RwLock::new(Some(to)) };
        // Each tensor counts from its own beginning, whichever file it lies in.
        let tensors: Result<Vec<_>> = (input.tensors().iter())
            .map(|info| crate::checkpoint::TensorInfo::new(info.name.clone(), info.dtype, info.shape.clone()))
            .collect();
        self.prune_tensors(&tensors?, input, &ends, recipe, options, progress)
    }
}

impl Recipe {
    /// The same, for a file of a kind whose kernels are `[…, inputs, outputs]`: with layout `in-out` where the layout is the
    /// default, and without the state of an optimizer where a rule names no tensors to include.
    pub fn for_container(mut self, container: &Container) -> Self {
        if container.kind().inputs_first() {
            let remembers = container.tensors().iter().any(|info| info.name.starts_with("optimizer/"));
            for rule in &mut self.rules {
                rule.layout = Layout::InOut;
                if remembers && rule.selection.include.is_empty() && !rule.selection.all {
                    rule.selection.exclude.push(OPTIMIZER.into());
                }
            }
        }
        self
    }
}

/// Where Keras keeps what an optimizer remembers of each weight.
const OPTIMIZER: &str = "optimizer/*";

/// A container's tensors, in the order of [`Container::tensors`].
impl Source for Container {
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
        Ok(self.read_at(tensor, offset, buf)?)
    }
}

/// Both ends; the file that is written goes when it is committed.
struct Ends<'a> {
    input: &'a Container,
    to: RwLock<Option<NewContainer>>,
}

impl Sink for Ends<'_> {
    fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        let to = self.to.read().unwrap_or_else(PoisonError::into_inner);
        let to = to.as_ref().ok_or(Error::Cancelled)?;
        Ok(to.write_at(tensor, offset, bytes)?)
    }

    fn commit(&self) -> Result<(), BoxError> {
        self.input.unchanged()?;
        let to = self.to.write().unwrap_or_else(PoisonError::into_inner).take();
        to.ok_or(Error::Cancelled)?.commit()?;
        Ok(())
    }
}
