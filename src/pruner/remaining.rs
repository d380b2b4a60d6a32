//! Rounds: a sparsity of what is not zero yet.

use std::collections::BTreeMap;

use super::{Compat, Plan, Recipe, Rule, Scope, Selection, Target, Unit, quota};
use crate::checkpoint::{Checkpoint, quoted};
use crate::{Error, Result};

impl Recipe {
    /// The recipe whose sparsities are of the weights that are not zero yet in this checkpoint, as in
    /// `torch.nn.utils.prune`'s container: 0.5 twice leaves a quarter. Of `n` weights of which `z` are zero,
    /// `z + round-half-even(s × (n − z))` are zero afterwards. Sparsities become numbers to keep, a rule for all tensors that
    /// keep as many; thresholds and numbers to keep stay as they are. Reads what is pruned by a sparsity once.
    ///
    /// # Errors
    /// [`Error::Rule`] for a sparsity in scope `row`, of units other than weights or by a peer's count: their zeros are not
    /// counted; those of [`Plan::new`] and of reading.
    pub fn among_remaining(&self, checkpoint: &Checkpoint) -> Result<Self> {
        let plan = Plan::new(self, checkpoint.tensors())?;
        let mut rules = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let Target::Sparsity(common) = rule.target else {
                rules.push(rule.clone());
                continue;
            };
            check(rule)?;
            // Of the tensors that keep as many: their names.
            let mut keeps: BTreeMap<u64, Vec<String>> = BTreeMap::new();
            let mut all = 0;
            for (tensor, planned) in plan.tensors.iter().enumerate().filter(|(_, p)| p.rule == Some(number)) {
                let Some(Target::Sparsity(sparsity)) = planned.target else { continue };
                let (zeros, weights) = checkpoint.zeros(tensor)?;
                let remain = weights - zeros;
                all += remain;
                let name = &checkpoint.tensors()[tensor].name;
                keeps.entry(remain - quota(sparsity, remain)).or_default().push(escaped(name)?);
            }
            if rule.scope == Scope::Global {
                rules.push(Rule { target: Target::Keep(all - quota(common, all)), ..rule.clone() });
                continue;
            }
            rules.extend(keeps.into_iter().map(|(keep, include)| {
                let selection = Selection { include, ..Selection::default() };
                Rule { target: Target::Keep(keep), selection, ..rule.clone() }
            }));
        }
        Ok(Self { rules })
    }
}

fn check(rule: &Rule) -> Result<()> {
    let why = match (rule.scope, rule.unit) {
        (Scope::Row, _) => "scope row has no count for each row",
        (_, unit) if unit != Unit::Weight => "the zeros of units are not counted",
        _ if !matches!(rule.compat, Compat::Lopper | Compat::Torch) => "this peer counts all weights",
        _ => return Ok(()),
    };
    Err(Error::Rule(format!("a sparsity of what remains is of weights, in scope tensor or global: {why}")))
}

/// A glob that matches this name alone.
fn escaped(name: &str) -> Result<String> {
    let glob = globset::escape(name);
    if glob.len() > 1000 {
        return Err(Error::Rule(format!("the name of tensor {} is too long for a rule of its own", quoted(name))));
    }
    Ok(glob)
}
