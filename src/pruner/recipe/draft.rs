//! A rule as it is written: what is left out is none.

use std::path::PathBuf;

use crate::pruner::{Compat, Layout, Rule, Score, Selection};
use crate::{Norm, Scope, Target, Unit};

/// The words of one rule, as a recipe and the command line have them. No part of the API.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs, reason = "the keys of a recipe")]
pub struct Draft {
    pub selection: Selection,
    pub sparsity: Option<f64>,
    pub threshold: Option<f64>,
    pub keep: Option<u64>,
    pub of: Option<u32>,
    pub scope: Option<Scope>,
    pub unit: Option<UnitWord>,
    pub norm: Option<Norm>,
    pub score: Option<ScoreWord>,
    pub activations: Option<PathBuf>,
    pub scores: Option<PathBuf>,
    pub seed: Option<u64>,
    pub layout: Option<Layout>,
    pub compat: Option<Compat>,
}

/// A unit, or a group of weights, which is a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "words of a recipe")]
pub enum UnitWord {
    Weight,
    Nm,
    Kernel,
    Row,
    Column,
    Block { rows: u32, cols: u32 },
}

/// A score without its file or seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "words of a recipe")]
pub enum ScoreWord {
    Magnitude,
    Random,
    Wanda,
    Activation,
    File,
    SignedFile,
}

impl Draft {
    /// The rule. It is not checked yet.
    ///
    /// # Errors
    /// Words that do not go together, in words.
    pub fn rule(self) -> Result<Rule, String> {
        let target = match (self.sparsity, self.threshold, self.keep) {
            (Some(sparsity), None, None) => Target::Sparsity(sparsity),
            (None, Some(threshold), None) => Target::Threshold(threshold),
            (None, None, Some(keep)) => Target::Keep(keep),
            (None, None, None) => {
                return Err("it does not say how much goes: give `sparsity`, `threshold` or `keep`".into());
            }
            _ => return Err("it says twice how much goes: give one of `sparsity`, `threshold` and `keep`".into()),
        };
        let scope = match (self.of, self.scope) {
            (None, scope) => scope.unwrap_or_default(),
            (Some(_), _) if self.keep.is_none() => {
                return Err("`of` needs `keep`: 2:4 is `keep` 2 `of` 4".into());
            }
            (Some(of), Some(scope)) => {
                return Err(format!(
                    "`of` {of} makes each group of {of} compete by itself, which contradicts scope `{}`: leave one out",
                    scope.name()
                ));
            }
            (Some(of), None) => Scope::Group(of),
        };
        let unit = match self.unit {
            Some(UnitWord::Nm) if self.of.is_none() => {
                return Err("unit `nm` needs `keep` and `of`: 2:4 is `keep` 2 `of` 4".into());
            }
            None | Some(UnitWord::Weight | UnitWord::Nm) => Unit::Weight,
            Some(UnitWord::Kernel) => Unit::Kernel,
            Some(UnitWord::Row) => Unit::Row,
            Some(UnitWord::Column) => Unit::Column,
            Some(UnitWord::Block { rows, cols }) => Unit::Block { rows, cols },
        };
        Ok(Rule {
            target,
            scope,
            unit,
            norm: self.norm.unwrap_or_default(),
            score: score(self.score, self.activations, self.scores, self.seed, unit)?,
            layout: self.layout.unwrap_or_default(),
            compat: self.compat.unwrap_or_default(),
            selection: self.selection,
        })
    }
}

/// The score, with the file or seed that it takes and no other.
fn score(
    word: Option<ScoreWord>,
    activations: Option<PathBuf>,
    scores: Option<PathBuf>,
    seed: Option<u64>,
    unit: Unit,
) -> Result<Score, String> {
    let word = word.unwrap_or(ScoreWord::Magnitude);
    let unused = |given: bool, key: &str, of: &str| match given {
        true => Err(format!("`{key}` means nothing to this score: it is for {of}")),
        false => Ok(()),
    };
    if !matches!(word, ScoreWord::Wanda | ScoreWord::Activation) {
        unused(activations.is_some(), "activations", "score `wanda` and `activation`")?;
    }
    if !matches!(word, ScoreWord::File | ScoreWord::SignedFile) {
        unused(scores.is_some(), "scores", "score `file` and `signed-file`")?;
    }
    if word != ScoreWord::Random {
        unused(seed.is_some(), "seed", "score `random`")?;
    }
    let needs = |name: &str, key: &str| format!("score `{name}` needs `{key}`, a safetensors file");
    Ok(match word {
        ScoreWord::Magnitude => Score::Magnitude,
        ScoreWord::Random => Score::Random { seed: seed.unwrap_or(0) },
        ScoreWord::Wanda => Score::Wanda { activations: activations.ok_or_else(|| needs("wanda", "activations"))? },
        ScoreWord::Activation if !matches!(unit, Unit::Row | Unit::Column) => {
            return Err("score `activation` is one of whole neurons: give unit `row`, or `column` for inputs".into());
        }
        ScoreWord::Activation => {
            Score::File { scores: activations.ok_or_else(|| needs("activation", "activations"))?, signed: false }
        }
        ScoreWord::File => Score::File { scores: scores.ok_or_else(|| needs("file", "scores"))?, signed: false },
        ScoreWord::SignedFile => {
            Score::File { scores: scores.ok_or_else(|| needs("signed-file", "scores"))?, signed: true }
        }
    })
}
