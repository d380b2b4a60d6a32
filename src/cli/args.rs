//! What may be typed. Parsers only check form; what a rule means is checked by the library.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use lopper::pruner::Earlier;

use super::rule::RuleArgs;
use super::values::parse_bytes;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or stopped: no checkpoint was written, unless the message says that it was
  2  the command line makes no sense
  3  `verify` found a mismatch";

const PRUNE_HELP: &str = "\
Examples:
  Half of every matrix, by magnitude:
    lopper prune model.safetensors -o half.safetensors --sparsity 0.5
  What would be pruned, and why; needs no GPU, writes nothing:
    lopper prune llama/ --sparsity 0.5 --dry-run
  One cut over all MLP weights of a sharded model, in 1 GiB of memory, with a report:
    lopper prune llama/ -o pruned/ --sparsity 0.6 --scope global --include '*mlp*' --memory 1GiB --report prune.json
  2:4, which is to keep 2 weights of every 4 inputs, by Wanda's score:
    lopper prune llama/ -o pruned/ --keep 2 --of 4 --score wanda --activations norms.safetensors
  A quarter of the filters of a Keras model, those of the smallest L1 norm:
    lopper prune model.safetensors -o out.safetensors --sparsity 0.25 --unit row --norm l1 --layout in-out
  A rule for each kind of layer; look at it first:
    lopper recipe check recipe.toml llama/
    lopper prune llama/ -o pruned/ --recipe recipe.toml

Which tensors: float tensors of two dimensions or more whose name is no embedding, output head or normalisation.
--include, --exclude and --all change that. Globs match whole names; * also crosses dots.

Ctrl-C stops a run at its next chunk, or ends it after five seconds; a second one ends it at once. Nothing is left under a
final name then. What is done is kept in a folder .lopper-… beside the output, also of a run that failed or was killed: the
same command with --resume goes on from there, with --restart it deletes that and begins anew.

Exit codes: 0 done, 1 failed or stopped (nothing written, unless it says otherwise), 2 the command line makes no sense";

const VERIFY_HELP: &str = "\
Examples:
  By the recipe in the pruned checkpoint's metadata:
    lopper verify model.safetensors half.safetensors
  What another program pruned: is it 2:4, does Wanda's score say the same?
    lopper verify llama/ pruned/ --keep 2 --of 4
    lopper verify llama/ pruned/ --sparsity 0.5 --scope row --score wanda --activations norms.safetensors
  By a recipe, for another program to read:
    lopper verify llama/ pruned/ --recipe recipe.toml --json | jq .mismatches

Without a rule, and where the metadata names none, any cut by magnitude will do. Files that a checkpoint's metadata names are
not opened: give --recipe, or the options, where the scores are to be checked too.

Exit codes: 0 all as it must be, 1 could not be checked, 2 the command line makes no sense, 3 a mismatch was found";

const RECIPE_HELP: &str = "\
A recipe is rules in order; the last one that selects a tensor decides, and what none selects is copied. Its keys are the
options of `lopper prune`; paths start from the recipe's folder:

    [[rule]]                     # every matrix, but for embeddings, heads and norms
    sparsity = 0.5

    [[rule]]                     # 2:4 for MLPs, but for those of the first layer
    include = \"*.mlp.*\"
    exclude = \"model.layers.0.*\"
    keep = 2
    of = 4
    score = \"wanda\"
    activations = \"norms.safetensors\"

Examples:
  lopper recipe check recipe.toml llama/
  lopper recipe check recipe.toml llama/ --json | jq '.tensors[] | select(.rule == 1)'
  lopper prune llama/ -o pruned/ --recipe recipe.toml

Exit codes: 0 it can be carried out, 1 it cannot, or could not be read, 2 the command line makes no sense";

const DEVICES_HELP: &str = "\
Examples:
  lopper devices
  lopper devices --json | jq '.[].limits'

Exit codes: 0 at least one adapter will do, 1 none will, 2 the command line makes no sense";

/// Prunes neural-network weights on any GPU: exactly, and in bounded memory.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set the smallest weights of a checkpoint to zero
    Prune(Box<PruneArgs>),
    /// Look at a recipe of several rules
    Recipe(RecipeArgs),
    /// Check a pruned checkpoint against its original and its recipe, on the CPU
    Verify(Box<VerifyArgs>),
    /// List the GPU adapters, and whether they will do
    Devices(DevicesArgs),
}

#[derive(Debug, Args)]
#[command(after_help = PRUNE_HELP)]
#[command(group = ArgGroup::new("how much").required(true).args(["sparsity", "threshold", "keep", "recipe"]))]
pub struct PruneArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// Where the pruned checkpoint goes; never over the input
    #[arg(short, long, required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub rule: RuleArgs,

    /// The adapter to use: a part of its name, or its number in `lopper devices`
    #[arg(long, value_name = "NAME|INDEX", help_heading = "How it runs")]
    pub adapter: Option<String>,
    /// Memory budget for weights in flight, such as 512MiB or 2GB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = "How it runs")]
    pub memory: Option<u64>,
    /// Write what was done to this JSON file
    #[arg(long, value_name = "FILE", help_heading = "How it runs")]
    pub report: Option<PathBuf>,
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
    /// No progress bar and no table
    #[arg(short, long, help_heading = "How it runs")]
    pub quiet: bool,
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
