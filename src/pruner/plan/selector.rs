//! The globs of a selection, and the decision about one tensor.

use globset::{GlobBuilder, GlobMatcher};

use super::super::{Action, Rule, Scope, Selection, Target};
use super::{PlannedTensor, matrix, names, prunable};
use crate::checkpoint::TensorInfo;
use crate::{Error, Result};

/// The globs of a [`Selection`], compiled, and whether each has matched anything yet.
pub(super) struct Selector {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    sparsity_for: Vec<(Pattern, f64)>,
    all: bool,
}

impl Selector {
    pub(super) fn new(selection: &Selection) -> Result<Self> {
        let compile = |globs: &[String]| globs.iter().map(|glob| Pattern::new(glob)).collect::<Result<Vec<_>>>();
        Ok(Self {
            include: compile(&selection.include)?,
            exclude: compile(&selection.exclude)?,
            sparsity_for: selection
                .sparsity_for
                .iter()
                .map(|(g, s)| Ok((Pattern::new(g)?, *s)))
                .collect::<Result<_>>()?,
            all: selection.all,
        })
    }

    /// Decides about one tensor. All of a checkpoint's are asked about, in order.
    pub(super) fn plan(&mut self, info: &TensorInfo, rule: &Rule) -> PlannedTensor {
        let (dtype, shape) = (prunable(info.dtype), matrix(&info.shape));
        // All three are asked about every tensor, so that a glob counts as used whichever rule decides.
        let included = last_match(&mut self.include, &info.name);
        let excluded = last_match(&mut self.exclude, &info.name);
        let own_sparsity = last_match(self.sparsity_for.iter_mut().map(|(pattern, _)| pattern), &info.name);
        let verdict = match dtype {
            None => Err(format!("dtype {} is not pruned", info.dtype)),
            Some(_) if shape.weights() == 0 => Err("it has no weights".into()),
            Some(dtype) => select(self, included, excluded, info).map(|reason| (dtype, reason)),
        };
        let (dtype, mut reason) = match verdict {
            Err(reason) => {
                return PlannedTensor {
                    action: Action::Copy,
                    reason,
                    rule: None,
                    dtype: None,
                    shape,
                    units: shape,
                    target: None,
                };
            }
            Ok(verdict) => verdict,
        };
        let mut target = rule.target;
        if let Scope::Group(of) = rule.scope {
            let rest = rule.matrix(&info.shape).cols % u64::from(of);
            if rest > 0 {
                reason += &format!("; the last {rest} of each row stay, groups have {of}");
            }
        }
        if let Some(index) = own_sparsity {
            let (pattern, sparsity) = &self.sparsity_for[index];
            target = Target::Sparsity(*sparsity);
            reason += &format!("; sparsity {sparsity} by `{}`", pattern.glob);
            for (pattern, _) in &mut self.sparsity_for {
                pattern.matched_pruned |= pattern.matcher.is_match(&info.name);
            }
        }
        PlannedTensor {
            action: Action::Prune,
            reason,
            rule: Some(0),
            dtype: Some(dtype),
            shape,
            units: rule.units(&info.shape),
            target: Some(target),
        }
    }

    /// A glob that matches nothing is most likely misspelt; passing over it would prune the wrong tensors.
    pub(super) fn check_all_used(&self) -> Result<()> {
        let own = || self.sparsity_for.iter().map(|(pattern, _)| pattern);
        let mut all = self.include.iter().chain(&self.exclude).chain(own());
        if let Some(unused) = all.find(|p| !p.matched) {
            return Err(Error::Rule(format!("`{}` matches no tensor of the checkpoint", unused.glob)));
        }
        match own().find(|p| !p.matched_pruned) {
            Some(idle) => Err(Error::Rule(format!(
                "the sparsity for `{}` has no effect: every tensor that it matches is copied",
                idle.glob
            ))),
            None => Ok(()),
        }
    }
}

/// Whether a tensor with weights of a prunable dtype is pruned: `Ok(why)` or, where it is copied, `Err(why)`.
fn select(
    selector: &Selector,
    included: Option<usize>,
    excluded: Option<usize>,
    info: &TensorInfo,
) -> std::result::Result<String, String> {
    if let Some(index) = excluded {
        return Err(format!("excluded by `{}`", selector.exclude[index].glob));
    }
    match included {
        Some(index) => return Ok(format!("included by `{}`", selector.include[index].glob)),
        None if !selector.include.is_empty() => return Err("not included".into()),
        None if selector.all => return Ok("all float tensors".into()),
        None => {}
    }
    match (info.shape.len(), names::role(&info.name)) {
        (rank @ 0..2, _) => Err(format!("rank {rank}, below 2")),
        (_, Some(role)) => Err(format!("{role}, by its name")),
        (rank, None) => Ok(format!("rank {rank}, no embedding, head or norm")),
    }
}

struct Pattern {
    glob: String,
    matcher: GlobMatcher,
    matched: bool,
    /// It matched a tensor that is pruned; only kept for `sparsity_for`.
    matched_pruned: bool,
}

impl Pattern {
    fn new(glob: &str) -> Result<Self> {
        let compiled = GlobBuilder::new(glob).literal_separator(false).backslash_escape(true).build();
        let malformed = |e: globset::Error| Error::Rule(format!("`{glob}` is no glob: {}", e.kind()));
        let matcher = compiled.map_err(malformed)?.compile_matcher();
        Ok(Self { glob: glob.into(), matcher, matched: false, matched_pruned: false })
    }
}

/// Marks every pattern that matches `name` and returns the last one's index.
fn last_match<'a>(patterns: impl IntoIterator<Item = &'a mut Pattern>, name: &str) -> Option<usize> {
    let mut last = None;
    for (index, pattern) in patterns.into_iter().enumerate() {
        if pattern.matcher.is_match(name) {
            pattern.matched = true;
            last = Some(index);
        }
    }
    last
}
