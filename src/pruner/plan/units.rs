//! What of a tensor competes: how its dimensions are seen, how many units there are, and how many of them go.

use super::super::Rule;
use super::super::arrange::Axes;
use crate::checkpoint::quoted;
use crate::target::Ties;
use crate::{Scope, Shape, Target, Unit};

/// What of a tensor competes, and how much of it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// Weights, rows, columns or blocks that compete, as the rule's unit says.
    pub count: u64,
    /// Pools that they compete in, equally many in each: rows, rows of blocks, or groups; else 1.
    pub pools: u64,
    /// How many of them go, over all pools; none where a threshold or a cut over several tensors decides.
    pub go: Option<u64>,
    /// Whether exactly so many go, at most so many (ties stay), or at least so many (ties go).
    pub ties: Ties,
    /// Weights that do not compete, and stay: inputs at the end that do not fill a group.
    pub dense: u64,
}

impl Axes {
    /// `[outputs, inputs × kernel]`.
    pub fn matrix(self) -> Shape {
        Shape::new(self.outputs, self.inputs.saturating_mul(self.kernel))
    }

    /// What competes in a tensor that has weights, under this rule and target.
    pub fn units(self, rule: &Rule, target: Target) -> Units {
        let Shape { rows, cols } = self.matrix();
        let (count, pools) = match (rule.unit, rule.scope) {
            (_, Scope::Group(of)) => {
                let groups = self.outputs * (self.inputs / u64::from(of)) * self.kernel;
                (groups * u64::from(of), groups)
            }
            (Unit::Weight, Scope::Row) => (rows * cols, rows),
            (Unit::Weight, _) => (rows * cols, 1),
            (Unit::Kernel, Scope::Row) => (rows * self.inputs, rows),
            (Unit::Kernel, _) => (rows * self.inputs, 1),
            (Unit::Row, _) => (rows, 1),
            (Unit::Column, _) => (self.inputs, 1),
            (Unit::Block { rows: r, cols: c }, scope) => {
                let (rows, cols) = (rows.div_ceil(r.into()), cols.div_ceil(c.into()));
                (rows * cols, if scope == Scope::Row { rows } else { 1 })
            }
        };
        let dense = if matches!(rule.scope, Scope::Group(_)) { rows * cols - count } else { 0 };
        let each = count.checked_div(pools).unwrap_or(0);
        let (go, ties) = match (rule.scope, target) {
            (_, Target::Threshold(_)) | (Scope::Global, _) => (None, Ties::Exact),
            (_, Target::Keep(_)) => (target.goes(each), Ties::Exact),
            (_, Target::Sparsity(share)) => match rule.compat.cut(share, each) {
                // The one at the cut is the first that stays.
                (rank, Ties::Stay) => (Some(rank.saturating_sub(1)), Ties::Stay),
                (rank, ties) => (Some(rank), ties),
            },
        };
        Units { count, pools, go: go.map(|go| go * pools), ties, dense }
    }

    /// What a reader should know of groups that do not fit; nothing where all do.
    pub fn note(self, scope: Scope) -> Option<String> {
        let Scope::Group(of) = scope else { return None };
        match (self.inputs / u64::from(of), self.inputs % u64::from(of)) {
            (_, 0) => None,
            (0, rest) => Some(format!("its {rest} inputs are no group of {of}: all stay")),
            (_, 1) => Some(format!("the last one of {} inputs is in no group of {of}: it stays", self.inputs)),
            (_, rest) => Some(format!("the last {rest} of {} inputs are no group of {of}: they stay", self.inputs)),
        }
    }

    /// Why blocks of this size cannot be in a tensor, if they cannot.
    pub fn refuse(self, unit: Unit, tensor: &str) -> Option<String> {
        let (Unit::Block { rows: r, cols: c }, Shape { rows, cols }) = (unit, self.matrix()) else { return None };
        (u64::from(r) > rows || u64::from(c) > cols).then(|| {
            format!(
                "a block of {r}x{c} is larger than tensor {}, a matrix of {rows}x{cols}: choose smaller blocks, or exclude \
                 the tensor",
                quoted(tensor)
            )
        })
    }
}

impl Units {
    /// How many compete in each pool.
    pub fn each(&self) -> u64 {
        self.count.checked_div(self.pools).unwrap_or(0)
    }
}
