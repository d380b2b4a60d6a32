//! What may be typed. Parsers only check form; what a rule means is checked by the library.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use lopper::pruner::Earlier;

use super::help::{
    COMPARE_HELP, COMPLETIONS_HELP, DEVICES_HELP, EXIT_CODES, INSPECT_HELP, MAN_HELP, PRUNE_HELP, RECIPE_HELP,
    SWEEP_HELP, VERIFY_HELP,
};
use super::rule::RuleArgs;
use super::term::ColorWord;
use super::values::{magnitude, parse_bytes, share};

/// Prunes neural-network weights on any GPU: exactly, and in bounded memory.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Cli {
    /// Whether tables are in colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: ColorWord,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set the smallest weights of a checkpoint to zero
    Prune(Box<PruneArgs>),
    /// Make a checkpoint smaller: neurons, heads or layers go, rows and columns and all; needs no GPU
    Shrink(Box<super::shrink::ShrinkArgs>),
    /// Say what the weights of a checkpoint are like; needs no GPU
    Inspect(InspectArgs),
    /// Say what each sparsity does to each tensor, and share one out among them; needs no GPU
    Sweep(SweepArgs),
    /// Hold two checkpoints side by side; needs no GPU
    Compare(CompareArgs),
    /// Write the tensors of a file to one of another format: NumPy, PyTorch, GGUF, ONNX, Keras
    Convert(super::convert::ConvertArgs),
    /// Look at a recipe of several rules
    Recipe(RecipeArgs),
    /// Check a pruned checkpoint against its original and its recipe, on the CPU
    Verify(Box<VerifyArgs>),
    /// Say how much a schedule prunes at which step of training
    Schedule(super::schedule::ScheduleArgs),
    /// Masks as files: take, apply, combine, compare and regrow them; needs no GPU
    Mask(super::mask::MaskArgs),
    /// Store of pruned matrices only what is not zero, in smaller files; needs no GPU
    Pack(super::pack::PackArgs),
    /// Make of a packed checkpoint the one that it was; needs no GPU
    Unpack(super::pack::UnpackArgs),
    /// Run a network on data, as it is and pruned: how right, how large, how fast
    Infer(Box<super::infer::InferArgs>),
    /// Measure how a network's inputs and neurons act over data, for scores
    Activations(super::activations::ActivationsArgs),
    /// Measure sparse against dense products on an adapter
    Bench(super::bench::BenchArgs),
    /// Search the kernels' knobs on an adapter, and keep them
    Tune(super::tune::TuneArgs),
    /// List the GPU adapters, and whether they will do
    Devices(DevicesArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
}

#[derive(Debug, Args)]
#[command(after_help = PRUNE_HELP)]
#[command(group = ArgGroup::new("how much").required(true).args(["sparsity", "threshold", "keep", "schedule", "recipe"]))]
pub struct PruneArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint; or a file that `lopper convert` reads
    pub input: PathBuf,
    /// Where the pruned checkpoint goes; never over the input
    #[arg(short, long, required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub rule: RuleArgs,

    /// A sparsity is of the weights that are not zero yet: 0.5 of half are a quarter. Reads the input once more
    #[arg(long, conflicts_with_all = ["threshold", "keep"], help_heading = "How much (one of these)")]
    pub from_mask: bool,

    /// The adapter to use: a part of its name, or its number in `lopper devices`
    #[arg(long, value_name = "NAME|INDEX", help_heading = "How it runs")]
    pub adapter: Option<String>,
    /// Memory budget for weights in flight, such as 512MiB or 2GB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = "How it runs")]
    pub memory: Option<u64>,
    /// Pack what was pruned (`lopper pack`): sparse-bitmask, sparse-24-bitmask or tiled-bitmask. Takes room for both meanwhile
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["dry_run", "resume", "restart", "html"], help_heading = "How it runs")]
    pub pack: Option<lopper::packed::Packing>,
    /// Write what was done to this JSON file
    #[arg(long, value_name = "FILE", help_heading = "How it runs")]
    pub report: Option<PathBuf>,
    /// Write a page to look at: before and after, by tensor, the cut, where the time went. Reads the input once more
    #[arg(long, value_name = "FILE.html", conflicts_with = "dry_run", help_heading = "How it runs")]
    pub html: Option<PathBuf>,
    /// Show what would happen to each tensor and why; needs no GPU and writes no checkpoint
    #[arg(long, help_heading = "How it runs")]
    pub dry_run: bool,
    /// Replace an output that exists
    #[arg(long, help_heading = "How it runs")]
    pub force: bool,
    /// Go on from where an earlier run of the same rules on the same input was stopped or killed; begin if there was none
    #[arg(long, conflicts_with = "dry_run", help_heading = "How it runs")]
    pub resume: bool,
    /// Delete what an earlier run has left unfinished, and begin anew
    #[arg(long, conflicts_with_all = ["resume", "dry_run"], help_heading = "How it runs")]
    pub restart: bool,
    /// No progress and no table
    #[arg(short, long, help_heading = "How it runs")]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub struct InspectArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// A line for each tensor, not for each kind of tensors
    #[arg(long)]
    pub tensors: bool,
    /// Write a page to look at: one file, no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Print all of it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = SWEEP_HELP)]
pub struct SweepArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// Share a sparsity out among tensors: the same for each, by the least error, or by outliers (OWL)
    #[arg(long, value_enum, requires = "sparsity")]
    pub allocate: Option<AllocateWord>,
    /// The sparsity of all selected weights together
    #[arg(long, value_name = "S", value_parser = share, requires = "allocate")]
    pub sparsity: Option<f64>,
    /// No tensor gets less than this
    #[arg(long, value_name = "S", value_parser = share, default_value_t = 0.0)]
    pub min: f64,
    /// No tensor gets more than this
    #[arg(long, value_name = "S", value_parser = share, default_value_t = 1.0)]
    pub max: f64,
    /// For OWL: a safetensors file with the norm of each input
    #[arg(long, value_name = "FILE", required_if_eq("allocate", "owl"))]
    pub activations: Option<PathBuf>,
    /// For OWL: sparsities are at most this far from the one that is asked for
    #[arg(long, value_name = "S", value_parser = share, default_value_t = 0.08)]
    pub lambda: f64,
    /// For OWL: a score is an outlier if it is more than so many times the mean of its layer
    #[arg(long, value_name = "M", value_parser = magnitude, default_value_t = 5.0)]
    pub outlier: f64,
    /// Write the recipe here; it is printed unless this or --json is given
    #[arg(short, long, value_name = "FILE.toml", requires = "allocate")]
    pub output: Option<PathBuf>,
    /// Only tensors that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not tensors that match, whatever else holds; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Every float tensor, of any name and any rank
    #[arg(long, conflicts_with = "include")]
    pub all: bool,
    /// Write a page to look at: one file, no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = COMPARE_HELP)]
pub struct CompareArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint: A
    pub first: PathBuf,
    /// Another: B
    pub second: PathBuf,
    /// A line for each tensor, not for each kind of tensors
    #[arg(long)]
    pub tensors: bool,
    /// Write a page to look at: one file, no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Print all of it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_HELP)]
pub struct ManArgs {
    /// Write lopper.1, lopper-prune.1 and so on into this folder, which must exist
    #[arg(short, long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// How a sparsity is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AllocateWord {
    /// The same for each
    Uniform,
    /// The sum of the squares of relative errors is as small as it can be
    Error,
    /// Layers with more outliers keep more (Yin et al., 2023)
    Owl,
}

impl AllocateWord {
    pub fn name(self) -> &'static str {
        match self {
            AllocateWord::Uniform => "uniform",
            AllocateWord::Error => "error",
            AllocateWord::Owl => "owl",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = RECIPE_HELP)]
pub struct RecipeArgs {
    #[command(subcommand)]
    pub command: RecipeCommand,
}

#[derive(Debug, Subcommand)]
pub enum RecipeCommand {
    /// Say what each tensor of a checkpoint would get, what it costs, and why; needs no GPU and writes nothing
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = RECIPE_HELP)]
pub struct CheckArgs {
    /// The recipe, a TOML file
    pub recipe: PathBuf,
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// The memory budget that the run would have, such as 512MiB or 2GB: it decides what is read twice
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct VerifyArgs {
    /// The checkpoint that was pruned
    pub original: PathBuf,
    /// What came of it
    pub pruned: PathBuf,

    #[command(flatten)]
    pub rule: RuleArgs,

    /// Print all findings as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = DEVICES_HELP)]
pub struct DevicesArgs {
    /// Print all adapters, limits and features as JSON
    #[arg(long)]
    pub json: bool,
}

impl PruneArgs {
    /// What to do about an earlier run.
    pub fn earlier(&self) -> Earlier {
        match (self.resume, self.restart) {
            (true, _) => Earlier::Resume,
            (_, true) => Earlier::Restart,
            _ => Earlier::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
