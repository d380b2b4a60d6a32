//! How much goes, and which weights compete for a place: what every way of pruning is asked.

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This share of the weights, in `0.0..=1.0`: exactly `k = round-half-even(sparsity × n)` go, zeros that are
    /// already there included.
    Sparsity(f64),
    /// Every weight of magnitude at most this goes; NaN stays.
    Threshold(f64),
    /// All but this many go: per tensor, per row, over all tensors, or per group, as the scope says.
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
    /// So many consecutive weights along the inputs of one output, from the first input on: N:M sparsity, with
    /// [`Target::Keep`] as N. Where inputs do not divide by it, the last ones of each output stay as they are.
    Group(u32),
}

/// What happens to ties at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ties {
    /// As many go as are needed, lowest index first.
    #[default]
    Exact,
    /// All of them stay.
    Stay,
    /// All of them go.
    Go,
}

impl Ties {
    /// How many of `ties` go, where `exact` would make the count.
    pub(crate) fn go(self, ties: u64, exact: u64) -> u64 {
        match self {
            Ties::Exact => exact,
            Ties::Stay => 0,
            Ties::Go => ties,
        }
    }
}

impl Scope {
    /// `tensor`, `row`, `global` or `group`.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Tensor => "tensor",
            Scope::Row => "row",
            Scope::Global => "global",
            Scope::Group(_) => "group",
        }
    }
}

impl Target {
    /// How many of `n` weights that compete go; none for a threshold, which is no count.
    pub(crate) fn goes(self, n: u64) -> Option<u64> {
        match self {
            Target::Sparsity(s) => Some(quota(s, n)),
            Target::Keep(keep) => Some(n.saturating_sub(keep)),
            Target::Threshold(_) => None,
        }
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
}
