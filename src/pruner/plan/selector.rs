//! The globs of a selection, and the decision of one rule about one tensor.

use globset::{GlobBuilder, GlobMatcher};

use super::super::{Rule, Selection, Target};
use super::names;
use crate::checkpoint::TensorInfo;
use crate::{Error, Result};

/// The globs of a [`Selection`], compiled, and whether each has matched anything yet.
pub(super) struct Selector {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    sparsity_for: Vec<(Pattern, f64)>,
    all: bool,
    /// How many tensors it selects.
    pub selected: usize,
}

/// Why a tensor is selected, or is not.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Excluded(usize),
    Included(usize),
    NotIncluded,
    All,
    Rank(usize),
    Role(&'static str),
    Matrix(usize),
}

impl Why {
    pub fn selects(self) -> bool {
        matches!(self, Why::Included(_) | Why::All | Why::Matrix(_))
    }
}

impl Selector {
    pub fn new(selection: &Selection) -> Result<Self> {
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
            selected: 0,
        })
    }

    /// Decides about one tensor. All of a checkpoint's are asked about, in order; `fit`: it has weights of a dtype that
    /// is pruned.
    pub fn select(&mut self, info: &TensorInfo, fit: bool) -> Why {
        // All three are asked about every tensor, so that a glob counts as used whichever rule decides.
        let included = last_match(&mut self.include, &info.name);
        let excluded = last_match(&mut self.exclude, &info.name);
        last_match(self.sparsity_for.iter_mut().map(|(pattern, _)| pattern), &info.name);
        let why = match (excluded, included) {
            (Some(index), _) => Why::Excluded(index),
            (None, Some(index)) => Why::Included(index),
            (None, None) if !self.include.is_empty() => Why::NotIncluded,
            (None, None) if self.all => Why::All,
            (None, None) => match (info.shape.len(), names::role(&info.name)) {
                (rank @ 0..2, _) => Why::Rank(rank),
                (_, Some(role)) => Why::Role(role),
                (rank, None) => Why::Matrix(rank),
            },
        };
        self.selected += usize::from(fit && why.selects());
        why
    }

    /// In words.
    pub fn reason(&self, why: Why) -> String {
        match why {
            Why::Excluded(index) => format!("excluded by `{}`", self.exclude[index].glob),
            Why::Included(index) => format!("included by `{}`", self.include[index].glob),
            Why::NotIncluded => "not included".into(),
            Why::All => "all float tensors".into(),
            Why::Rank(rank) => format!("rank {rank}, below 2"),
            Why::Role(role) => format!("{role}, by its name"),
            Why::Matrix(rank) => format!("rank {rank}, no embedding, head or norm"),
        }
    }

    /// How much of a tensor goes about which this rule decides; a sparsity of its own adds to the reason.
    pub fn target(&mut self, rule: &Rule, name: &str, reason: &mut String) -> Target {
        let mut own = None;
        for (pattern, sparsity) in self.sparsity_for.iter_mut().filter(|(pattern, _)| pattern.matcher.is_match(name)) {
            pattern.decides = true;
            own = Some((&pattern.glob, *sparsity));
        }
        let Some((glob, sparsity)) = own else { return rule.target };
        *reason += &format!("; sparsity {sparsity} by `{glob}`");
        Target::Sparsity(sparsity)
    }

    /// A glob that matches nothing is most likely misspelt; passing over it would prune the wrong tensors.
    pub fn check_all_used(&self) -> Result<()> {
        let own = self.sparsity_for.iter().map(|(pattern, _)| pattern);
        match self.include.iter().chain(&self.exclude).chain(own).find(|p| !p.matched) {
            Some(unused) => Err(Error::Rule(format!("`{}` matches no tensor of the checkpoint", unused.glob))),
            None => Ok(()),
        }
    }

    /// Neither may a sparsity of its own go to no tensor about which the rule decides.
    pub fn check_own_sparsities(&self) -> Result<()> {
        match self.sparsity_for.iter().find(|(pattern, _)| !pattern.decides) {
            Some((idle, _)) => Err(Error::Rule(format!(
                "the sparsity for `{}` has no effect: every tensor that it matches is copied",
                idle.glob
            ))),
            None => Ok(()),
        }
    }
}

struct Pattern {
    glob: String,
    matcher: GlobMatcher,
    matched: bool,
    /// It matched a tensor that is pruned by its rule; only kept for `sparsity_for`.
    decides: bool,
}

impl Pattern {
    fn new(glob: &str) -> Result<Self> {
        let compiled = GlobBuilder::new(glob).literal_separator(false).backslash_escape(true).build();
        let malformed = |e: globset::Error| Error::Rule(format!("`{glob}` is no glob: {}", e.kind()));
        let matcher = compiled.map_err(malformed)?.compile_matcher();
        Ok(Self { glob: glob.into(), matcher, matched: false, decides: false })
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
