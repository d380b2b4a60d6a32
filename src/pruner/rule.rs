//! What to prune, by how much, compared with what.

mod check;

use super::{Compat, Score};
use crate::{Norm, Scope, Target, Ties, Unit};

/// Which tensors a rule selects.
///
/// By default: float tensors of two dimensions or more whose name is no embedding, output head or normalisation.
/// Globs match whole tensor names; `*` also crosses dots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// Where not empty: a tensor must match one of these, and the rule about names does not apply.
    pub include: Vec<String>,
    /// A rule does not select a tensor that matches one of these, whatever else holds.
    pub exclude: Vec<String>,
    /// Every float tensor, of any name and any rank.
    pub all: bool,
    /// Sparsity of its own for tensors that match a glob; the last match wins.
    pub sparsity_for: Vec<(String, f64)>,
}

impl Selection {
    /// All of its globs.
    pub(super) fn globs(&self) -> impl Iterator<Item = &String> {
        let own = self.sparsity_for.iter().map(|(glob, _)| glob);
        self.include.iter().chain(&self.exclude).chain(own)
    }
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

    /// How often a tensor of so many bytes is read by a run with so much memory, as far as that is known beforehand: twice
    /// where it takes more than three quarters of the memory, in scope `global` but for a threshold, and where all ties stay
    /// or all go; once in any case where each row or group can be decided about when it is read.
    pub fn passes(&self, bytes: u64, memory: u64) -> u64 {
        let fits = bytes <= memory - memory / 4;
        let at_once = match (self.scope, self.target) {
            (_, Target::Threshold(_)) => fits,
            (Scope::Group(_) | Scope::Row, _) => true,
            (Scope::Global, _) => false,
            (Scope::Tensor, _) => fits && self.compat.ties() == Ties::Exact,
        };
        if at_once { 1 } else { 2 }
    }
}
