//! What to prune, by how much, compared with what.

use super::{Compat, Score};
use crate::{Error, Norm, Result, Scope, Target, Unit};

/// Which tensors are pruned.
///
/// By default: float tensors of two dimensions or more whose name is no embedding, output head or normalisation.
/// Globs match whole tensor names; `*` also crosses dots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// Where not empty: a tensor must match one of these, and the rule about names does not apply.
    pub include: Vec<String>,
    /// A tensor that matches one of these is copied, whatever else holds.
    pub exclude: Vec<String>,
    /// Every float tensor, of any name and any rank.
    pub all: bool,
    /// Sparsity of its own for tensors that match a glob; the last match wins.
    pub sparsity_for: Vec<(String, f64)>,
}

/// How the dimensions of tensors of two or more lie. It decides what a row is, and in which order ties go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// `[outputs, inputs, kernel…]`, as torch has them.
    #[default]
    OutIn,
    /// `[kernel…, inputs, outputs]`, as Keras has them.
    InOut,
}

impl Layout {
    /// `out-in` or `in-out`.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::OutIn => "out-in",
            Layout::InOut => "in-out",
        }
    }
}

/// One rule: which tensors are pruned, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// How much goes.
    pub target: Target,
    /// Who competes with whom.
    pub scope: Scope,
    /// What is kept or pruned as one.
    pub unit: Unit,
    /// How the scores of a unit's weights become one.
    pub norm: Norm,
    /// What goes first.
    pub score: Score,
    /// Which dimensions are outputs and inputs.
    pub layout: Layout,
    /// Whose counts to give.
    pub compat: Compat,
    /// Which tensors.
    pub selection: Selection,
}

impl Rule {
    /// A rule for this target: weights by magnitude, scope `tensor`, default selection.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            scope: Scope::default(),
            unit: Unit::default(),
            norm: Norm::default(),
            score: Score::default(),
            layout: Layout::default(),
            compat: Compat::default(),
            selection: Selection::default(),
        }
    }

    /// Checks numbers and contradictions.
    ///
    /// # Errors
    /// [`Error::Rule`] for a sparsity outside `0..=1`, a negative or NaN threshold, or sparsities for single tensors
    /// where they can mean nothing (scope `global`, or a target that is no sparsity).
    pub fn check(&self) -> Result<()> {
        let share = |what: &str, s: f64| match s {
            s if (0.0..=1.0).contains(&s) => Ok(()),
            s => Err(Error::Rule(format!("{what} {s} is no share: give a number from 0 (none goes) to 1 (all go)"))),
        };
        match self.target {
            Target::Sparsity(s) => share("sparsity", s)?,
            Target::Threshold(t) if t.is_nan() || t < 0.0 => {
                return Err(Error::Rule(format!("threshold {t} is no magnitude: give a number of 0 or more")));
            }
            Target::Threshold(_) | Target::Keep(_) => {}
        }
        for (glob, s) in &self.selection.sparsity_for {
            share(&format!("sparsity for `{glob}`:"), *s)?;
        }
        if !self.selection.sparsity_for.is_empty() {
            if self.scope == Scope::Global {
                return Err(Error::Rule(
                    "a sparsity for single tensors contradicts scope `global`, where one cut holds for all: \
                     exclude those tensors, or choose scope `tensor` or `row`"
                        .into(),
                ));
            }
            if !matches!(self.target, Target::Sparsity(_)) {
                return Err(Error::Rule(
                    "a sparsity for single tensors needs a sparsity for the others too, not a threshold or a count \
                     to keep"
                        .into(),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_numbers_and_contradictions_are_refused() {
        let refused = |rule: Rule| assert!(matches!(rule.check(), Err(Error::Rule(_))), "{rule:?}");
        for s in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            refused(Rule::new(Target::Sparsity(s)));
        }
        refused(Rule::new(Target::Threshold(-1.0)));
        refused(Rule::new(Target::Threshold(f64::NAN)));
        let mut rule = Rule::new(Target::Sparsity(0.5));
        rule.selection.sparsity_for = vec![("*".into(), 0.2)];
        rule.check().unwrap();
        refused(Rule { scope: Scope::Global, ..rule.clone() });
        refused(Rule { target: Target::Keep(3), ..rule });
    }
}
