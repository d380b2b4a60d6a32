//! What contradicts itself in a rule, and numbers that are none.

use super::super::{Compat, Score};
use super::Rule;
use crate::{Error, Result, Scope, Target, Unit};

/// The longest group that is looked into.
const LONGEST_GROUP: u32 = 32;

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Rule(why.into()))
}

impl Rule {
    /// Checks numbers and contradictions.
    ///
    /// # Errors
    /// [`Error::Rule`] for a sparsity outside `0..=1`, a negative or NaN threshold, groups that cannot be, and fields that
    /// contradict each other or can mean nothing together.
    pub fn check(&self) -> Result<()> {
        self.check_numbers()?;
        self.check_scope()?;
        self.check_score()?;
        self.check_compat()
    }

    fn check_numbers(&self) -> Result<()> {
        let share = |what: &str, s: f64| match s {
            s if (0.0..=1.0).contains(&s) => Ok(()),
            s => refuse(format!("{what} {s} is no share: give a number from 0 (none goes) to 1 (all go)")),
        };
        match self.target {
            Target::Sparsity(s) => share("sparsity", s)?,
            Target::Threshold(t) if t.is_nan() || t < 0.0 => {
                return refuse(format!("threshold {t} is no magnitude: give a number of 0 or more"));
            }
            Target::Threshold(_) | Target::Keep(_) => {}
        }
        for (glob, s) in &self.selection.sparsity_for {
            share(&format!("sparsity for `{glob}`:"), *s)?;
        }
        if let Unit::Block { rows, cols } = self.unit
            && (rows == 0 || cols == 0)
        {
            return refuse(format!("blocks of {rows} by {cols} have no weights: give both at least 1"));
        }
        Ok(())
    }

    fn check_scope(&self) -> Result<()> {
        if !self.selection.sparsity_for.is_empty() {
            if self.scope == Scope::Global {
                return refuse(
                    "a sparsity for single tensors contradicts scope `global`, where one cut holds for all: \
                     exclude those tensors, or choose scope `tensor` or `row`",
                );
            }
            if !matches!(self.target, Target::Sparsity(_)) {
                return refuse(
                    "a sparsity for single tensors needs a sparsity for the others too, not a threshold or a count \
                     to keep",
                );
            }
        }
        match (self.scope, self.unit, self.target) {
            (Scope::Group(of), ..) if !(1..=LONGEST_GROUP).contains(&of) => {
                refuse(format!("groups of {of}: give 1 to {LONGEST_GROUP} weights"))
            }
            (Scope::Group(of), _, Target::Keep(keep)) if keep > of.into() => {
                refuse(format!("{keep} of {of} are to be kept: keep at most {of}"))
            }
            (Scope::Group(_), Unit::Weight, Target::Keep(_)) => Ok(()),
            (Scope::Group(of), Unit::Weight, _) => {
                refuse(format!("in groups of {of}, say how many stay in each (`keep`), not a sparsity or a threshold"))
            }
            (Scope::Group(of), unit, _) => {
                refuse(format!("groups of {of} are of single weights, not of a {}: leave the unit out", unit.name()))
            }
            (Scope::Row, Unit::Row | Unit::Column, _) => refuse(format!(
                "scope `row` contradicts unit `{}`, which does not compete within a row: choose scope `tensor` or `global`",
                self.unit.name()
            )),
            _ => Ok(()),
        }
    }

    fn check_score(&self) -> Result<()> {
        match (&self.score, self.unit, self.target) {
            (Score::Wanda { .. }, Unit::Column, _) => refuse(
                "score `wanda` has one norm for all weights of a column: prune columns by scores of your own (`file`)",
            ),
            (Score::Random { .. }, _, Target::Threshold(_)) => {
                refuse("a threshold means nothing to random scores: give a sparsity")
            }
            (Score::File { signed: true, .. }, _, Target::Threshold(_)) => {
                refuse("a threshold is a magnitude, and these scores have signs: give a sparsity")
            }
            _ => Ok(()),
        }
    }

    fn check_compat(&self) -> Result<()> {
        match self.compat {
            Compat::Lopper | Compat::Torch | Compat::Wanda => Ok(()),
            compat if !matches!(self.target, Target::Sparsity(_)) || self.scope != Scope::Tensor => {
                refuse(format!("`{}` counts by a sparsity of each tensor: give one, and scope `tensor`", compat.name()))
            }
            _ => Ok(()),
        }
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

    #[test]
    fn groups_units_scores_and_peers_that_do_not_go_together_are_refused() {
        let rule = || Rule::new(Target::Sparsity(0.5));
        let two_of_four = || Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(2)) };
        two_of_four().check().unwrap();
        let threshold = || Rule::new(Target::Threshold(0.1));
        let file = Score::File { scores: "x".into(), signed: true };
        let peer = |compat| Rule { compat, ..rule() };
        for compat in Compat::ALL {
            peer(compat).check().unwrap();
        }
        for rule in [
            Rule { scope: Scope::Group(0), ..two_of_four() },
            Rule { scope: Scope::Group(33), ..two_of_four() },
            Rule { target: Target::Keep(5), ..two_of_four() },
            Rule { target: Target::Sparsity(0.5), ..two_of_four() },
            Rule { unit: Unit::Row, ..two_of_four() },
            Rule { unit: Unit::Block { rows: 0, cols: 4 }, ..rule() },
            Rule { unit: Unit::Row, scope: Scope::Row, ..rule() },
            Rule { unit: Unit::Column, score: Score::Wanda { activations: "x".into() }, ..rule() },
            Rule { score: Score::Random { seed: 1 }, ..threshold() },
            Rule { score: file, ..threshold() },
            Rule { scope: Scope::Row, ..peer(Compat::Tfmot) },
            Rule { target: Target::Keep(3), ..peer(Compat::LlmCompressor) },
            Rule { scope: Scope::Global, ..peer(Compat::WandaMagnitude) },
        ] {
            assert!(matches!(rule.check(), Err(Error::Rule(_))), "{rule:?}");
        }
    }
}
