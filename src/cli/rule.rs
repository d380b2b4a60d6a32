//! The options that make a rule, or name a recipe.

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory};
use lopper::Schedule;
use lopper::pruner::words::{COMPATS, LAYOUTS, NORMS, SCOPES, SCORES};
use lopper::pruner::{Compat, Draft, Layout, Norm, Recipe, Scope, ScoreWord, Selection, UnitWord};

use super::args::Cli;
use super::values::{magnitude, share, sparsity_for, unit};

const HOW_MUCH: &str = "How much (one of these)";
const WHAT: &str = "What is compared with what";
const SCORE: &str = "What goes first";
const WHICH: &str = "Which tensors";

/// One rule, option by option, or a recipe.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").args(["sparsity", "threshold", "keep", "schedule", "recipe"]))]
#[command(group = ArgGroup::new("rule").multiple(true).conflicts_with("recipe").args([
    "of", "scope", "unit", "norm", "layout", "compat", "sparsity_for", "score", "activations", "scores", "seed",
    "include", "exclude", "all",
]))]
pub struct RuleArgs {
    /// Prune exactly this share, from 0 to 1; zeros that are already there count
    #[arg(long, value_name = "S", value_parser = share, help_heading = HOW_MUCH)]
    pub sparsity: Option<f64>,
    /// Prune the share that this schedule has at --step: `lopper schedule --help` shows some
    #[arg(long, value_name = "SCHEDULE", requires = "step", help_heading = HOW_MUCH)]
    pub schedule: Option<Schedule>,
    /// The step of training that --schedule is asked about
    #[arg(long, value_name = "N", requires = "schedule", help_heading = HOW_MUCH)]
    pub step: Option<u64>,
    /// Prune every weight whose magnitude is at most T, or every unit whose score is
    #[arg(long, value_name = "T", value_parser = magnitude, help_heading = HOW_MUCH)]
    pub threshold: Option<f64>,
    /// Prune all but the N largest; with --of, all but N of every group
    #[arg(long, value_name = "N", help_heading = HOW_MUCH)]
    pub keep: Option<u64>,
    /// Prune by the rules in this TOML file: `lopper recipe --help` shows one
    #[arg(long, value_name = "FILE", help_heading = HOW_MUCH)]
    pub recipe: Option<PathBuf>,

    /// Which units compete: those of a tensor (this unless given), of a row, or of all selected tensors
    #[arg(long, value_parser = words(&SCOPES), help_heading = WHAT)]
    pub scope: Option<Scope>,
    /// N:M: --keep N of every M weights along the inputs, M up to 32; `2:4` is --keep 2 --of 4
    #[arg(long, value_name = "M", requires = "keep", conflicts_with = "scope", help_heading = WHAT)]
    pub of: Option<u32>,
    /// What is kept or pruned as one: weight (this unless given), kernel (of a convolution, between an input and an
    /// output), row (an output neuron or filter), column (an input), nm (the same as --of), or a block of rows and columns,
    /// such as 4x4
    #[arg(long, value_name = "weight|kernel|row|column|nm|BxC", value_parser = unit, help_heading = WHAT)]
    pub unit: Option<UnitWord>,
    /// How a unit's scores become one; l2 unless given, max is linf
    #[arg(long, value_parser = words(&NORMS), help_heading = WHAT)]
    pub norm: Option<Norm>,
    /// How tensors lie: out-in as torch's (this unless given), in-out as Keras's
    #[arg(long, value_parser = words(&LAYOUTS), help_heading = WHAT)]
    pub layout: Option<Layout>,
    /// Round a sparsity and treat ties as this peer does
    #[arg(long, value_name = "PEER", value_parser = words(&COMPATS), help_heading = WHAT)]
    pub compat: Option<Compat>,
    /// Sparsity of its own for tensors that match; the last match wins
    #[arg(long, value_name = "GLOB=S", value_parser = sparsity_for, help_heading = WHAT)]
    pub sparsity_for: Vec<(String, f64)>,

    /// What decides which weights or units go first; magnitude unless given
    #[arg(long, value_parser = words(&SCORES), help_heading = SCORE)]
    pub score: Option<ScoreWord>,
    /// For --score wanda: a safetensors file with the norm of each input; for activation: with a mean for each neuron
    #[arg(long, value_name = "FILE", requires = "score", help_heading = SCORE)]
    pub activations: Option<PathBuf>,
    /// For --score file and signed-file: a safetensors file with scores of the same shapes
    #[arg(long, value_name = "FILE", requires = "score", help_heading = SCORE)]
    pub scores: Option<PathBuf>,
    /// For --score random; 0 unless given
    #[arg(long, value_name = "N", requires = "score", help_heading = SCORE)]
    pub seed: Option<u64>,

    /// Prune only tensors that match; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = WHICH)]
    pub include: Vec<String>,
    /// Copy tensors that match, whatever else holds; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = WHICH)]
    pub exclude: Vec<String>,
    /// Prune every float tensor, of any name and any rank
    #[arg(long, conflicts_with = "include", help_heading = WHICH)]
    pub all: bool,
}

/// One of these words, and what it stands for.
pub fn words<T: Copy + Send + Sync>(all: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    let meaning = move |text: String| all.iter().find(|(word, _)| *word == text).expect("one of the possible values").1;
    PossibleValuesParser::new(all.iter().map(|(word, _)| *word)).map(meaning)
}

impl RuleArgs {
    /// Nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.recipe.is_none() && self.draft() == Draft::default()
    }

    /// The recipe that is named, or the one rule that was typed. Options of `command` that contradict each other end the
    /// program.
    pub fn recipe(&self, command: &str) -> Result<Recipe> {
        if let Some(path) = &self.recipe {
            return Ok(Recipe::read(path)?);
        }
        let rule = self.draft().rule().and_then(|rule| rule.check().map(|()| rule).map_err(|error| error.to_string()));
        rule.map(Recipe::from).or_else(|why| {
            let mut cli = Cli::command();
            cli.build();
            let command = cli.find_subcommand_mut(command).expect("there is such a command");
            command.error(ErrorKind::ArgumentConflict, why).exit()
        })
    }

    fn draft(&self) -> Draft {
        Draft {
            selection: Selection {
                include: self.include.clone(),
                exclude: self.exclude.clone(),
                all: self.all,
                sparsity_for: self.sparsity_for.clone(),
            },
            sparsity: self.sparsity.or_else(|| Some(self.schedule.as_ref()?.at(self.step?))),
            threshold: self.threshold,
            keep: self.keep,
            of: self.of,
            scope: self.scope,
            unit: self.unit,
            norm: self.norm,
            score: self.score,
            activations: self.activations.clone(),
            scores: self.scores.clone(),
            seed: self.seed,
            layout: self.layout,
            compat: self.compat,
        }
    }
}
