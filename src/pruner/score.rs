//! What decides which weights go first: the score of each.

use std::path::{Path, PathBuf};

/// Where the score of a weight, or of a unit, comes from. What scores lowest goes first.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Score {
    /// The weight's magnitude.
    #[default]
    Magnitude,
    /// A number that depends on the seed, the tensor's name and the place of the weight or unit in it alone: the same on
    /// every adapter.
    Random {
        /// The seed.
        seed: u64,
    },
    /// The weight's magnitude times the norm of the input it multiplies, in `f32`. (Sun et al., "A Simple and Effective
    /// Pruning Approach for Large Language Models", 2023.)
    Wanda {
        /// A safetensors file: for each tensor that is pruned, one of the same name (or of the name without `.weight`)
        /// with a norm for each input.
        activations: PathBuf,
    },
    /// Scores of the user's own.
    File {
        /// A safetensors file: for each tensor that is pruned, one of the same name with as many scores as weights, in the
        /// same shape; or as many as units (for rows: neurons by their mean activation, say).
        scores: PathBuf,
        /// Whether scores may be negative, and the most negative goes first. Such scores are told apart down to
        /// 2^-100 in magnitude and may go up to 2^27.
        signed: bool,
    },
}

impl Score {
    /// `magnitude`, `random`, `wanda` or `file`.
    pub const fn name(&self) -> &'static str {
        match self {
            Score::Magnitude => "magnitude",
            Score::Random { .. } => "random",
            Score::Wanda { .. } => "wanda",
            Score::File { .. } => "file",
        }
    }

    /// The file that it reads, if it reads one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Score::Magnitude | Score::Random { .. } => None,
            Score::Wanda { activations: file } | Score::File { scores: file, .. } => Some(file),
        }
    }

    pub(super) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Score::Magnitude | Score::Random { .. } => None,
            Score::Wanda { activations: file } | Score::File { scores: file, .. } => Some(file),
        }
    }
}
