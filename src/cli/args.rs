//! What may be typed. Parsers only check form; what a rule means is checked by the library.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use lopper::pruner::{Earlier, Rule, Scope, Selection, Target};

use super::values::{magnitude, parse_bytes, share, sparsity_for};

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

Which tensors: float tensors of two dimensions or more whose name is no embedding, output head or normalisation.
--include, --exclude and --all change that. Globs match whole names; * also crosses dots.

Ctrl-C stops a run at its next chunk, or ends it after five seconds; a second one ends it at once. Nothing is left under a
final name then. What is done is kept in a folder .lopper-… beside the output, also of a run that failed or was killed: the
same command with --resume goes on from there, with --restart it deletes that and begins anew.

Exit codes: 0 done, 1 failed or stopped (nothing written, unless it says otherwise), 2 the command line makes no sense";

const VERIFY_HELP: &str = "\
Examples:
  lopper verify model.safetensors half.safetensors
  lopper verify llama/ pruned/ --json | jq .mismatches

Exit codes: 0 all as it must be, 1 could not be checked, 2 the command line makes no sense, 3 a mismatch was found";

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
    Prune(PruneArgs),
    /// Check a pruned checkpoint against its original, on the CPU
    Verify(VerifyArgs),
    /// List the GPU adapters, and whether they will do
    Devices(DevicesArgs),
}

#[derive(Debug, Args)]
#[command(after_help = PRUNE_HELP)]
#[command(group = ArgGroup::new("target").required(true).args(["sparsity", "threshold", "keep"]))]
pub struct PruneArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// Where the pruned checkpoint goes; never over the input
    #[arg(short, long, required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,

    /// Prune exactly this share, from 0 to 1; zeros that are already there count
    #[arg(long, value_name = "S", value_parser = share, help_heading = "How much (one of these)")]
    pub sparsity: Option<f64>,
    /// Prune every weight whose magnitude is at most T
    #[arg(long, value_name = "T", value_parser = magnitude, help_heading = "How much (one of these)")]
    pub threshold: Option<f64>,
    /// Prune all but the N largest
    #[arg(long, value_name = "N", help_heading = "How much (one of these)")]
    pub keep: Option<u64>,

    /// Which weights compete: those of a tensor, of a row, or of all selected tensors
    #[arg(long, value_enum, default_value_t = ScopeArg::Tensor)]
    pub scope: ScopeArg,
    /// Sparsity of its own for tensors that match; the last match wins
    #[arg(long, value_name = "GLOB=S", value_parser = sparsity_for)]
    pub sparsity_for: Vec<(String, f64)>,

    /// Prune only tensors that match; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Which tensors")]
    pub include: Vec<String>,
    /// Copy tensors that match, whatever else holds; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Which tensors")]
    pub exclude: Vec<String>,
    /// Prune every float tensor, of any name and any rank
    #[arg(long, conflicts_with = "include", help_heading = "Which tensors")]
    pub all: bool,

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
    /// Go on from where an earlier run of the same rule on the same input was stopped or killed; begin if there was none
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
#[command(after_help = VERIFY_HELP)]
pub struct VerifyArgs {
    /// The checkpoint that was pruned
    pub original: PathBuf,
    /// What came of it
    pub pruned: PathBuf,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScopeArg {
    Tensor,
    Row,
    Global,
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

    /// The rule that was typed.
    pub fn rule(&self) -> Rule {
        let target = match (self.sparsity, self.threshold, self.keep) {
            (Some(sparsity), ..) => Target::Sparsity(sparsity),
            (_, Some(threshold), _) => Target::Threshold(threshold),
            (.., keep) => Target::Keep(keep.unwrap_or_default()),
        };
        let scope = match self.scope {
            ScopeArg::Tensor => Scope::Tensor,
            ScopeArg::Row => Scope::Row,
            ScopeArg::Global => Scope::Global,
        };
        let selection = Selection {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            all: self.all,
            sparsity_for: self.sparsity_for.clone(),
        };
        Rule { scope, selection, ..Rule::new(target) }
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
