//! What to prune, by how much, compared with what.

use crate::{Error, Result};

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This share of the weights, in `0.0..=1.0`: exactly `k = round-half-even(sparsity × n)` go, zeros that are
    /// already there included.
    Sparsity(f64),
    /// Every weight of magnitude at most this goes; NaN stays.
    Threshold(f64),
    /// All but this many go: per tensor, per row, or over all tensors, as the scope says.
    Keep(u64),
}

/// Which weights compete with each other for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Those of one tensor.
    #[default]
    Tensor,
    /// Those of one output row (`shape[0]`) of one tensor.
    Row,
    /// Those of all selected tensors, compared by value across element types.
    Global,
}

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

/// A whole rule: what a run does to a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// How much goes.
    pub target: Target,
    /// Who competes with whom.
    pub scope: Scope,
    /// Which tensors.
    pub selection: Selection,
}

impl Scope {
    /// `tensor`, `row` or `global`.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Tensor => "tensor",
            Scope::Row => "row",
            Scope::Global => "global",
        }
    }
}

impl Rule {
    /// A rule for this target: scope `tensor`, default selection.
    pub fn new(target: Target) -> Self {
        Self { target, scope: Scope::default(), selection: Selection::default() }
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

/// `round-half-even(sparsity × n)`: how many of `n` weights go, as torch and NumPy round.
///
/// The product is taken in `f64`, as in Python; beyond 2^53 weights it is exact to one part in 2^53.
pub fn quota(sparsity: f64, n: u64) -> u64 {
    ((sparsity * n as f64).round_ties_even() as u64).min(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_round_half_to_even_as_python_does() {
        let halves: Vec<u64> = [1, 2, 3, 5, 7, 9].map(|n| quota(0.5, n)).to_vec();
        assert_eq!(halves, [0, 1, 2, 2, 4, 4]);
        assert_eq!([quota(0.0, 10), quota(1.0, 10), quota(0.3, 10), quota(0.25, 10)], [0, 10, 3, 2]);
        assert_eq!(quota(1.0, u64::MAX >> 11), u64::MAX >> 11);
    }

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
