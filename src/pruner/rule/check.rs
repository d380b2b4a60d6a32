//! What a rule may not say: numbers that are none of their kind, and contradictions.

use super::super::{Compat, Rule, Score};
use crate::checkpoint::quoted;
use crate::kernels::LARGEST_GROUP;
use crate::{Error, Result, Scope, Target, Unit};

/// Bytes and braces of a glob, at most: the crate that compiles globs panics where one is too large or nested too deep.
const LONGEST_GLOB: usize = 1000;
const MOST_BRACES: usize = 64;

impl Rule {
    /// Checks numbers and contradictions.
    ///
    /// # Errors
    /// [`Error::Rule`] for
    /// - a sparsity outside `0..=1`, or a threshold that is negative or NaN;
    /// - groups (N:M) of 0 or of more than 32 weights, of which more are kept than there are, without a number to keep,
    ///   or of another unit than single weights;
    /// - blocks of no rows or no columns;
    /// - scope `row` with rows or columns as units;
    /// - a threshold for random scores;
    /// - peers' counts for what they do not count: a target that is no sparsity, groups, or another scope than theirs;
    /// - sparsities for single tensors where they can mean nothing: scope `global`, or a target that is no sparsity;
    /// - a glob of more than 1,000 bytes or 64 opening braces;
    /// - a path that is not Unicode, which no recipe can hold.
    pub fn check(&self) -> Result<()> {
        self.check_target()
            .and_then(|()| self.check_scope())
            .and_then(|()| self.check_compat())
            .and_then(|()| self.check_globs())
            .and_then(|()| self.check_sparsity_for())
            .and_then(|()| self.check_score())
            .map_err(Error::Rule)
    }

    fn check_target(&self) -> Result<(), String> {
        match self.target {
            Target::Sparsity(s) => share("sparsity", s),
            Target::Threshold(t) if t.is_nan() || t < 0.0 => {
                Err(format!("threshold {t} is no magnitude: give a number of 0 or more"))
            }
            Target::Threshold(_) | Target::Keep(_) => Ok(()),
        }
    }

    fn check_scope(&self) -> Result<(), String> {
        if let Unit::Block { rows, cols } = self.unit
            && (rows == 0 || cols == 0)
        {
            return Err(format!("a block of {rows}x{cols} has no weights: give at least 1x1"));
        }
        match (self.scope, self.unit, self.target) {
            (Scope::Group(of), ..) if of == 0 || of > LARGEST_GROUP => {
                Err(format!("a group of {of}: give a group of 1 to {LARGEST_GROUP} weights"))
            }
            (Scope::Group(of), Unit::Weight, Target::Keep(keep)) if keep > u64::from(of) => {
                Err(format!("{keep} of every {of} weights are to be kept: keep at most {of}"))
            }
            (Scope::Group(_), Unit::Weight, Target::Keep(_)) => Ok(()),
            (Scope::Group(of), Unit::Weight, _) => {
                Err(format!("groups of {of} need how many of each to keep, not a sparsity or a threshold"))
            }
            (Scope::Group(of), unit, _) => Err(format!(
                "groups of {of} are made of single weights, which contradicts unit `{}`: leave one out",
                unit.name()
            )),
            (Scope::Row, unit @ (Unit::Row | Unit::Column), _) => Err(format!(
                "scope `row` contradicts unit `{}`: within a row there are no {0}s that compete; choose scope `tensor` \
                 or `global`",
                unit.name()
            )),
            _ => Ok(()),
        }
    }

    fn check_compat(&self) -> Result<(), String> {
        let compat = self.compat.name();
        if self.compat == Compat::Lopper {
            return Ok(());
        }
        if !matches!(self.target, Target::Sparsity(_)) {
            return Err(format!(
                "the counts of `{compat}` are for a sparsity, not for a threshold or a number to keep: leave out compat"
            ));
        }
        match (self.compat, self.scope) {
            (Compat::Lopper | Compat::Torch, _) | (_, Scope::Tensor) => Ok(()),
            (Compat::Wanda, Scope::Row) => Ok(()),
            (Compat::Wanda, scope) => Err(format!(
                "`{compat}` counts per row or tensor, which contradicts scope `{}`: choose `row` or `tensor`",
                scope.name()
            )),
            (_, scope) => Err(format!(
                "`{compat}` counts per tensor, which contradicts scope `{}`: choose scope `tensor`",
                scope.name()
            )),
        }
    }

    fn check_globs(&self) -> Result<(), String> {
        for glob in self.selection.globs() {
            let (bytes, braces) = (glob.len(), glob.matches('{').count());
            if bytes > LONGEST_GLOB {
                return Err(format!("the glob {} has {bytes} bytes: at most {LONGEST_GLOB} will do", quoted(glob)));
            }
            if braces > MOST_BRACES {
                return Err(format!("the glob {} has {braces} braces: at most {MOST_BRACES} will do", quoted(glob)));
            }
        }
        Ok(())
    }

    fn check_sparsity_for(&self) -> Result<(), String> {
        if self.selection.sparsity_for.is_empty() {
            return Ok(());
        }
        for (glob, s) in &self.selection.sparsity_for {
            share(&format!("sparsity for {}:", quoted(glob)), *s)?;
        }
        match (self.scope, self.target) {
            (Scope::Global, _) => {
                Err("a sparsity for single tensors contradicts scope `global`, where one cut holds for \
                                       all: exclude those tensors, or choose scope `tensor` or `row`"
                    .into())
            }
            (_, Target::Sparsity(_)) => Ok(()),
            _ => {
                Err("a sparsity for single tensors needs a sparsity for the others too, not a threshold or a count to \
                      keep"
                    .into())
            }
        }
    }

    fn check_score(&self) -> Result<(), String> {
        match (&self.score, self.unit, self.target) {
            (Score::Random { .. }, _, Target::Threshold(_)) => {
                return Err("a threshold means nothing to random scores: give a sparsity or a number to keep".into());
            }
            (Score::File { signed: true, .. }, _, Target::Threshold(_)) => {
                return Err("a threshold is a magnitude, and these scores have signs: give a sparsity or a number to \
                            keep"
                    .into());
            }
            (Score::Wanda { .. }, Unit::Column, _) => {
                return Err("score `wanda` has one norm for all weights of a column: prune columns by scores of your \
                            own (`file`)"
                    .into());
            }
            _ => {}
        }
        match self.score.file() {
            Some(file) if file.to_str().is_none() => {
                Err(format!("the path {} is not Unicode, which no recipe can hold: rename it", file.display()))
            }
            _ => Ok(()),
        }
    }
}

fn share(what: &str, s: f64) -> Result<(), String> {
    match s {
        s if (0.0..=1.0).contains(&s) => Ok(()),
        s => Err(format!("{what} {s} is no share: give a number from 0 (none goes) to 1 (all go)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Norm;

    fn refused(rule: &Rule, says: &[&str]) {
        match rule.check() {
            Err(Error::Rule(why)) => assert!(says.iter().all(|text| why.contains(text)), "{why}"),
            other => panic!("{rule:?}: {other:?}"),
        }
    }

    fn half() -> Rule {
        Rule::new(Target::Sparsity(0.5))
    }

    fn group(keep: u64, of: u32) -> Rule {
        Rule { scope: Scope::Group(of), ..Rule::new(Target::Keep(keep)) }
    }

    #[test]
    fn bad_numbers_are_refused() {
        for s in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            refused(&Rule::new(Target::Sparsity(s)), &["is no share", &s.to_string()]);
        }
        refused(&Rule::new(Target::Threshold(-1.0)), &["-1"]);
        refused(&Rule::new(Target::Threshold(f64::NAN)), &["no magnitude"]);
        for unit in [Unit::Block { rows: 0, cols: 4 }, Unit::Block { rows: 4, cols: 0 }] {
            refused(&Rule { unit, ..half() }, &["no weights"]);
        }
    }

    #[test]
    fn sparsities_for_single_tensors_need_a_sparsity_for_the_others() {
        let mut rule = half();
        rule.selection.sparsity_for = vec![("*".into(), 0.2)];
        rule.check().unwrap();
        refused(&Rule { scope: Scope::Global, ..rule.clone() }, &["global"]);
        refused(&Rule { target: Target::Keep(3), ..rule.clone() }, &["needs a sparsity"]);
        refused(&Rule { scope: Scope::Group(4), target: Target::Keep(3), ..rule }, &["needs a sparsity"]);
    }

    #[test]
    fn globs_that_would_be_too_large_are_refused() {
        let nested = |n: usize| format!("{}a,b{}", "{".repeat(n), ",c}".repeat(n));
        let of = |glob: String| {
            let mut rule = half();
            rule.selection.include = vec!["*".into(), glob];
            rule
        };
        for fits in ["[a-z]".repeat(200), "[!é]".repeat(200), "*a".repeat(500), "{*a,*b}".repeat(64), nested(64)] {
            let info = crate::checkpoint::TensorInfo::new(&fits, safetensors::Dtype::F32, [2, 2]).unwrap();
            // It is compiled, and matches nothing or itself: that it does not panic is what is tested.
            let _ = crate::pruner::Plan::new(&of(fits).into(), &[info]);
        }
        refused(&of("a".repeat(1001)), &["1001 bytes", "at most 1000"]);
        refused(&of(nested(65)), &["65 braces", "at most 64"]);
    }

    #[test]
    fn groups_name_both_numbers() {
        for (keep, of) in [(0, 1), (1, 1), (2, 4), (32, 32)] {
            group(keep, of).check().unwrap();
        }
        refused(&group(5, 4), &["5 of every 4"]);
        refused(&group(1, 0), &["a group of 0", "1 to 32"]);
        refused(&group(1, 33), &["a group of 33", "1 to 32"]);
        refused(&Rule { target: Target::Sparsity(0.5), ..group(2, 4) }, &["groups of 4", "how many"]);
        refused(&Rule { target: Target::Threshold(0.5), ..group(2, 4) }, &["groups of 4", "how many"]);
        refused(&Rule { unit: Unit::Row, ..group(2, 4) }, &["groups of 4", "unit `row`"]);
    }

    #[test]
    fn contradictions_are_refused() {
        for unit in [Unit::Row, Unit::Column] {
            let rule = Rule { unit, norm: Norm::Mean, ..half() };
            rule.check().unwrap();
            refused(&Rule { scope: Scope::Row, ..rule }, &["scope `row`", unit.name()]);
        }
        let random = Rule { score: Score::Random { seed: 1 }, ..half() };
        random.check().unwrap();
        refused(&Rule { target: Target::Threshold(0.5), ..random }, &["random"]);
        let score = Score::File { scores: "s".into(), signed: true };
        refused(&Rule { target: Target::Threshold(0.5), score, ..half() }, &["signs"]);
        let score = Score::Wanda { activations: "a".into() };
        refused(&Rule { unit: Unit::Column, score, ..half() }, &["column"]);
    }

    #[test]
    fn peers_count_what_they_count() {
        for compat in Compat::ALL {
            for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
                let rule = Rule { compat, scope, ..half() };
                let may = match compat {
                    Compat::Lopper | Compat::Torch => true,
                    Compat::Wanda => scope != Scope::Global,
                    _ => scope == Scope::Tensor,
                };
                match may {
                    true => rule.check().unwrap(),
                    false => refused(&rule, &[compat.name(), scope.name()]),
                }
                if compat != Compat::Lopper {
                    refused(&Rule { target: Target::Keep(1), ..rule.clone() }, &[compat.name(), "keep"]);
                    refused(&Rule { target: Target::Threshold(1.0), ..rule }, &[compat.name(), "threshold"]);
                }
            }
            if compat != Compat::Lopper {
                refused(&Rule { compat, ..group(2, 4) }, &[compat.name()]);
            }
        }
    }
}
