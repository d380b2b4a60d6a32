//! `lopper recipe check`: what each tensor would get by a recipe, and what it costs.

use std::process::ExitCode;

use anyhow::Result;
use lopper::Ties;
use lopper::checkpoint::{Checkpoint, TensorInfo};
use lopper::pruner::{Action, Options, Plan, PlannedTensor, Recipe, RuleReport};
use serde::Serialize;

use super::args::{CheckArgs, RecipeArgs, RecipeCommand};
use super::plan::{goes, scope};
use super::table::Grid;
use super::text::{self, bytes, count};

/// What `--json` prints. Later versions only add fields.
#[derive(Serialize)]
struct Json<'a> {
    recipe: String,
    rules: Vec<RuleReport>,
    tensors: Vec<Line<'a>>,
    bytes_read: u64,
}

/// One tensor.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    action: Action,
    /// From 0 on, as in a report.
    rule: Option<usize>,
    weights: u64,
    units: Option<u64>,
    pools: Option<u64>,
    go: Option<u64>,
    /// What `go` is where it is no exact number: `at most` or `at least`.
    bound: Option<&'static str>,
    dense: Option<u64>,
    passes: u64,
    bytes_read: u64,
    reason: &'a str,
}

pub fn run(args: &RecipeArgs) -> Result<ExitCode> {
    let RecipeCommand::Check(args) = &args.command;
    check(args)
}

fn check(args: &CheckArgs) -> Result<ExitCode> {
    let recipe = Recipe::read(&args.recipe)?;
    let checkpoint = Checkpoint::open(&args.input)?;
    let plan = Plan::new(&recipe, checkpoint.tensors())?;
    let memory = args.memory.unwrap_or(Options::default().memory);
    let planned = || plan.tensors.iter().zip(checkpoint.tensors());
    let lines: Vec<Line<'_>> = planned().map(|(planned, info)| line(planned, info, &recipe, memory)).collect();
    let bytes_read = lines.iter().fold(0u64, |sum, line| sum.saturating_add(line.bytes_read));
    if args.json {
        let rules = recipe.rules.iter().map(RuleReport::from).collect();
        text::print_json(&Json { recipe: recipe.to_toml(), rules, tensors: lines, bytes_read })?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["tensor", "rule", "unit", "score", "scope", "weights", "goes", "read", "why"];
    let mut grid = Grid::new(&header, &[1, 5, 6, 7]);
    for ((planned, _), line) in planned().zip(&lines) {
        let rule = planned.rule.map(|r| &recipe.rules[r]);
        let of = |text: fn(&lopper::pruner::Rule) -> String| rule.map_or_else(|| "-".into(), text);
        grid.row([
            line.name.into(),
            planned.rule.map_or_else(|| "-".into(), |r| (r + 1).to_string()),
            of(|rule| rule.unit.to_string()),
            of(|rule| rule.score.name().into()),
            of(scope),
            count(line.weights),
            goes(planned, rule),
            format!("{}{}", if line.passes > 1 { "2 x " } else { "" }, bytes((line.bytes_read / line.passes) as f64)),
            line.reason.into(),
        ]);
    }
    let pruned = lines.iter().filter(|line| line.action == Action::Prune).count();
    text::print(&format!(
        "{grid}{pruned} of {} tensors would be pruned by {} rules; {} would be read, score files not included\n",
        lines.len(),
        recipe.rules.len(),
        bytes(bytes_read as f64)
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn line<'a>(planned: &'a PlannedTensor, info: &'a TensorInfo, recipe: &Recipe, memory: u64) -> Line<'a> {
    let units = planned.units;
    let passes = planned.rule.map_or(1, |r| recipe.rules[r].passes(info.bytes(), memory));
    let bound = units.filter(|units| units.go.is_some()).and_then(|units| match units.ties {
        Ties::Exact => None,
        Ties::Stay => Some("at most"),
        Ties::Go => Some("at least"),
    });
    Line {
        name: &info.name,
        action: planned.action,
        rule: planned.rule,
        weights: planned.shape.weights(),
        units: units.map(|units| units.count),
        pools: units.map(|units| units.pools),
        go: units.and_then(|units| units.go),
        bound,
        dense: units.map(|units| units.dense),
        passes,
        bytes_read: passes.saturating_mul(info.bytes()),
        reason: &planned.reason,
    }
}
