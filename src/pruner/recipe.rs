//! A [`Recipe`]: rules in order, and their form in TOML.

mod draft;
mod parse;
#[cfg(test)]
mod tests;
#[doc(hidden)]
pub mod words;
mod write;

use std::path::{Path, PathBuf};

pub use self::draft::{Draft, ScoreWord, UnitWord};
use super::Rule;
use crate::{Result, toml_file};

/// Rules in order. Of those that select a tensor, the **last** one decides what happens to it; a tensor that none
/// selects is copied.
///
/// Each rule of scope `global` has one cut for the tensors that it gets: two such rules have two.
///
/// # In TOML
///
/// A table `[[rule]]` each. Keys that are left out mean what they mean on the command line.
///
/// ```
/// let recipe = lopper::pruner::Recipe::from_toml(
///     r#"
///     [[rule]] # every matrix, but for embeddings, heads and norms
///     sparsity = 0.5
///
///     [[rule]] # 2:4 for the MLPs, but for those of the first layer
///     include = "*.mlp.*"
///     exclude = "model.layers.0.*"
///     keep = 2
///     of = 4
///     "#,
/// )?;
/// assert_eq!(recipe.rules.len(), 2);
/// # Ok::<(), lopper::Error>(())
/// ```
///
/// | key | value | |
/// |---|---|---|
/// | `include`, `exclude` | a glob or a list of globs | [`Selection`](super::Selection) |
/// | `all` | `true` or `false` | |
/// | `sparsity`, `threshold`, `keep` | a number: one of these | [`Target`](super::Target) |
/// | `of` | a number, with `keep`: so many of each group stay | [`Scope::Group`](super::Scope::Group) |
/// | `sparsity-for` | `"GLOB=S"`, or a list of such | [`Selection::sparsity_for`](super::Selection::sparsity_for) |
/// | `scope` | `tensor`, `row` or `global` | [`Scope`](super::Scope) |
/// | `unit` | `weight`, `nm` (with `keep` and `of`), `kernel`, `row`, `column`, or a block such as `4x4` | [`Unit`](super::Unit) |
/// | `norm` | `l1`, `l2`, `linf` (or `max`) or `mean` | [`Norm`](super::Norm) |
/// | `score` | `magnitude`, `random`, `wanda`, `activation`, `file` or `signed-file` | [`Score`](super::Score) |
/// | `activations` | a file, with `wanda` and `activation` | |
/// | `scores` | a file, with `file` and `signed-file` | |
/// | `seed` | a number, with `random`; 0 where it is left out | |
/// | `layout` | `out-in` or `in-out` | [`Layout`](super::Layout) |
/// | `compat` | `torch`, `tfmot`, `wanda`, `wanda-magnitude`, `llm-compressor` or `lopper` | [`Compat`](super::Compat) |
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// The rules; at least one.
    pub rules: Vec<Rule>,
}

impl Recipe {
    /// Bytes of a recipe in TOML, at most: 1 MiB.
    pub const MAX_BYTES: u64 = toml_file::MAX_BYTES;

    /// The key in a pruned checkpoint's `__metadata__` under which its recipe is, in TOML. Files of scores are named
    /// there without their folders.
    pub const METADATA_KEY: &str = "lopper.recipe";

    /// Reads a recipe. Paths in it stay as they are.
    ///
    /// # Errors
    /// [`Error::Recipe`](crate::Error::Recipe), with the line, for text that is too long or is no TOML, for keys and values that are not known,
    /// and for a rule that [`Rule::check`] refuses.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml_file::check_length(text.len())?;
        parse::recipe(text)
    }

    /// Reads the recipe in this file. Relative paths in it start from the file's folder.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and those of [`from_toml`](Self::from_toml), with the path.
    pub fn read(path: &Path) -> Result<Self> {
        let text = toml_file::read(path)?;
        let mut recipe = parse::recipe(&text).map_err(|error| toml_file::in_file(error, path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        recipe.for_files(|file| *file = folder.join(&*file));
        Ok(recipe)
    }

    /// The same, with files by their names alone: what others may read.
    pub(super) fn without_folders(&self) -> Self {
        let mut recipe = self.clone();
        recipe.for_files(|file| *file = file.file_name().map_or_else(PathBuf::new, PathBuf::from));
        recipe
    }

    fn for_files(&mut self, change: impl Fn(&mut PathBuf)) {
        self.rules.iter_mut().filter_map(|rule| rule.score.file_mut()).for_each(change);
    }

    /// The recipe in TOML, from which [`from_toml`](Self::from_toml) makes the same one. Values that are usual are left out.
    pub fn to_toml(&self) -> String {
        write::recipe(self)
    }
}

impl From<Rule> for Recipe {
    fn from(rule: Rule) -> Self {
        Self { rules: vec![rule] }
    }
}

impl From<&Rule> for Recipe {
    fn from(rule: &Rule) -> Self {
        rule.clone().into()
    }
}
