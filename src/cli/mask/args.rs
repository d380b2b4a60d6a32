//! What may be typed after `lopper mask`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lopper::pruner::Selection;

use super::super::values::share;

const HELP: &str = "\
MASKS is a mask file, torch's masks (X_orig and X_mask, or a file of nothing but masks), or a pruned checkpoint, whose zeros are
its mask. docs/masks.md has the file's layout, and what a training loop does with it.

Examples:
  What a pruned model keeps, as a file of a sixteenth of its size in bfloat16:
    lopper mask extract pruned/ -o mask.safetensors
  After fine-tuning: its zeros once more, also in the optimizer's state, and in the weights that training began with:
    lopper mask apply mask.safetensors tuned/ -o out/
    lopper mask apply mask.safetensors optimizer.safetensors -o o.safetensors --as '{}.exp_avg' --as '{}.exp_avg_sq'
    lopper mask apply pruned/ initial/ -o ticket/
  What two ways of pruning agree on, and how much that is:
    lopper mask and magnitude/ wanda/ -o both.safetensors
    lopper mask diff magnitude/ wanda/
  Of what is kept, the smallest 30 % against pruned weights of large gradients (RigL):
    lopper mask regrow mask.safetensors --weights step.safetensors --scores gradients.safetensors --fraction 0.3 -o new.safetensors

Exit codes: 0 done, 1 failed or stopped (nothing was written), 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct MaskArgs {
    #[command(subcommand)]
    pub command: MaskCommand,
}

#[derive(Debug, Subcommand)]
pub enum MaskCommand {
    /// Write masks to a mask file
    Extract(OneArgs),
    /// Set a checkpoint's weights to zero where masks prune them
    Apply(ApplyArgs),
    /// Keep what all of several masks keep
    And(SeveralArgs),
    /// Keep what any of several masks keeps
    Or(SeveralArgs),
    /// Keep what an odd number of masks keeps: of two, where they differ
    Xor(SeveralArgs),
    /// Keep what masks prune, and prune what they keep
    Invert(OneArgs),
    /// Exchange kept weights of small magnitude for pruned ones of large score, at equal sparsity (RigL)
    Regrow(RegrowArgs),
    /// Hold two sets of masks side by side
    Diff(DiffArgs),
    /// Say what masks keep
    Stats(StatsArgs),
}

/// Which weights.
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// Only weights that match; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Which weights (all that have a mask)")]
    pub include: Vec<String>,
    /// Not weights that match, whatever else holds; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Which weights (all that have a mask)")]
    pub exclude: Vec<String>,
    /// Of a checkpoint every float tensor, not those that were pruned or by default are
    #[arg(long, conflicts_with = "include", help_heading = "Which weights (all that have a mask)")]
    pub all: bool,
}

impl SelectArgs {
    pub fn selection(&self) -> Option<Selection> {
        let Self { include, exclude, all } = self;
        let selection =
            Selection { include: include.clone(), exclude: exclude.clone(), all: *all, ..Default::default() };
        (selection != Selection::default()).then_some(selection)
    }
}

/// Where a result goes.
#[derive(Debug, Args)]
pub struct ToArgs {
    /// The file, or for a checkpoint that is a folder, the folder
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Replace an output that exists
    #[arg(long)]
    pub force: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct OneArgs {
    /// A mask file, torch's masks, or a pruned checkpoint
    pub masks: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub to: ToArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct SeveralArgs {
    /// Two or more mask files, torch's masks, or pruned checkpoints, for the same weights
    #[arg(required = true, num_args = 2..)]
    pub masks: Vec<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub to: ToArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ApplyArgs {
    /// A mask file, torch's masks, or a pruned checkpoint
    pub masks: PathBuf,
    /// The checkpoint: a .safetensors file, a folder or an index
    pub input: PathBuf,
    /// The tensors that a weight's mask is for, {} standing for the weight's name; may be repeated. The weight itself otherwise
    #[arg(long = "as", value_name = "NAME")]
    pub names: Vec<String>,
    /// Weights that are kept but zero get the values of this checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    pub revive: Option<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub to: ToArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RegrowArgs {
    /// A mask file, torch's masks, or a pruned checkpoint
    pub masks: PathBuf,
    /// The weights: those of the smallest magnitude go
    #[arg(long, value_name = "CHECKPOINT")]
    pub weights: PathBuf,
    /// Scores of all weights, such as gradients, under the weights' names: those of the largest magnitude come back
    #[arg(long, value_name = "FILE")]
    pub scores: PathBuf,
    /// The share of each tensor's kept weights that is exchanged
    #[arg(long, value_name = "S", value_parser = share)]
    pub fraction: f64,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub to: ToArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DiffArgs {
    /// A mask file, torch's masks, or a pruned checkpoint: A
    pub first: PathBuf,
    /// Another: B
    pub second: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    /// A line for each tensor, not for each kind of tensors
    #[arg(long)]
    pub tensors: bool,
    /// Print all of it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct StatsArgs {
    /// A mask file, torch's masks, or a pruned checkpoint
    pub masks: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    /// A line for each tensor, not for each kind of tensors
    #[arg(long)]
    pub tensors: bool,
    /// Print all of it as JSON
    #[arg(long)]
    pub json: bool,
}
