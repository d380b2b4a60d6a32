//! How peers round, and what they do with ties, where that differs from what lopper does.

use crate::quota;
use crate::target::Ties;

/// Whose counts a rule gives. Everything else about a rule stays as it is.
///
/// | | of `n` that compete, at sparsity `s` | ties at the cut |
/// |---|---|---|
/// | `Lopper`, `Torch` | `round-half-even(s × n)` go | exactly so many go, lowest index first |
/// | `Tfmot` | `max(round-half-even(n × (1 − s)), 1)` stay, in `f32` | stay, all of them |
/// | `Wanda` | `floor(s × n)` go | exactly so many go, lowest index first |
/// | `WandaMagnitude` | all up to the one of rank `floor(s × n)`, counted from 0 | go, all of them |
/// | `LlmCompressor` | `floor(s × n)` go | go, all of them |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// lopper's own.
    #[default]
    Lopper,
    /// `torch.nn.utils.prune`, whose counts are the same.
    Torch,
    /// TensorFlow Model Optimization.
    Tfmot,
    /// Wanda, and its magnitude per row.
    Wanda,
    /// Wanda's magnitude baseline over a whole matrix.
    WandaMagnitude,
    /// llm-compressor's magnitude modifier.
    LlmCompressor,
}

impl Compat {
    /// All of them.
    pub const ALL: [Compat; 6] =
        [Self::Lopper, Self::Torch, Self::Tfmot, Self::Wanda, Self::WandaMagnitude, Self::LlmCompressor];

    /// `lopper`, `torch`, `tfmot`, `wanda`, `wanda-magnitude` or `llm-compressor`.
    pub const fn name(self) -> &'static str {
        match self {
            Compat::Lopper => "lopper",
            Compat::Torch => "torch",
            Compat::Tfmot => "tfmot",
            Compat::Wanda => "wanda",
            Compat::WandaMagnitude => "wanda-magnitude",
            Compat::LlmCompressor => "llm-compressor",
        }
    }

    /// What happens to ties at the cut.
    pub(crate) fn ties(self) -> Ties {
        match self {
            Compat::Lopper | Compat::Torch | Compat::Wanda => Ties::Exact,
            Compat::WandaMagnitude | Compat::LlmCompressor => Ties::Go,
            Compat::Tfmot => Ties::Stay,
        }
    }

    /// The rank of the cut among `n` that compete, counted from 1 (0: none goes), and what happens to ties at it.
    pub(crate) fn cut(self, sparsity: f64, n: u64) -> (u64, Ties) {
        let floor = ((sparsity * n as f64) as u64).min(n);
        let beyond = |k: u64| (k + 1).min(n);
        let rank = match self {
            Compat::Lopper | Compat::Torch => quota(sparsity, n),
            Compat::Wanda | Compat::LlmCompressor => floor,
            Compat::WandaMagnitude => beyond(floor),
            Compat::Tfmot => {
                // In `f32`, as it does, which differs from `f64` already for 45 weights at 0.3.
                let stay = (n as f32 * (1.0 - sparsity as f32)).round_ties_even().max(1.0) as u64;
                beyond(n - stay.min(n))
            }
        };
        (rank, self.ties())
    }
}
