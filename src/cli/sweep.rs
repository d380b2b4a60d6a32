//! `lopper sweep`: what each sparsity does to each tensor, and a sparsity for each.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use lopper::checkpoint::Checkpoint;
use lopper::inspect::{Allocation, Magnitudes, Point, TensorSurvey, allocate, survey};
use lopper::pruner::{self, Plan, Recipe, Rule, Selection, Target, quota};
use serde::Serialize;

use super::args::{AllocateWord, SweepArgs};
use super::file::NewFile;
use super::page;
use super::progress::Bar;
use super::table::{Grid, groups};
use super::text::{self, count, magnitude};

/// Sparsities of the curves.
pub const CURVE: [f64; 21] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99,
];

/// What `--json` prints. Later versions only add fields.
#[derive(Serialize)]
struct Json<'a> {
    tensors: Vec<Line<'a>>,
    /// What `--allocate` comes to, in TOML.
    recipe: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    dtype: &'a str,
    weights: u64,
    curve: Vec<Point>,
    /// What `--allocate` gives it.
    allocated: Option<Point>,
    outliers: Option<f64>,
}

/// A tensor that is selected.
pub struct Selected<'a> {
    pub tensor: &'a TensorSurvey,
    pub magnitudes: &'a Magnitudes,
    pub allocated: Option<Point>,
    pub outliers: Option<f64>,
}

pub fn run(args: &SweepArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.input)?;
    let html = args.html.as_ref().map(|path| NewFile::create(path, &args.input, None)).transpose()?;
    let recipe_file = args.output.as_ref().map(|path| NewFile::create(path, &args.input, None)).transpose()?;
    let selection =
        Selection { include: args.include.clone(), exclude: args.exclude.clone(), all: args.all, ..Default::default() };
    let target = Target::Sparsity(args.sparsity.unwrap_or(0.5));
    let recipe = Recipe::from(Rule { selection: selection.clone(), ..Rule::new(target) });
    let plan = Plan::new(&recipe, checkpoint.tensors())?;
    let bar = Bar::new(false);
    let found = survey(&checkpoint, &|done, all| {
        bar.set(done, all);
        ControlFlow::Continue(())
    })?;
    let selected = plan.tensors.iter().zip(&found).filter(|(planned, _)| planned.rule.is_some());
    let mut selected: Vec<Selected<'_>> = selected
        .filter_map(|(_, tensor)| {
            Some(Selected { tensor, magnitudes: tensor.magnitudes.as_ref()?, allocated: None, outliers: None })
        })
        .collect();
    let allocated = match (args.allocate, args.sparsity) {
        (Some(word), Some(sparsity)) => {
            if let (AllocateWord::Owl, Some(file)) = (word, &args.activations) {
                let shares = pruner::outlier_shares(&checkpoint, file, &plan, args.outlier, &|done, all| {
                    bar.set(done, all);
                })?;
                for (selected, share) in selected.iter_mut().zip(shares) {
                    selected.outliers = Some(share);
                }
            }
            Some(allocated(&mut selected, word, sparsity, args)?)
        }
        _ => None,
    };
    drop(bar);
    if let (Some(file), Some(recipe)) = (recipe_file, &allocated) {
        file.write(|to| to.write_all(recipe.as_bytes()))?;
    }
    if let Some(file) = html {
        page::sweep::page(&args.input, &selected, args, allocated.as_deref()).write(file)?;
    }
    if args.json {
        let lines = selected.iter().map(|s| Line {
            name: &s.tensor.name,
            dtype: &s.tensor.dtype,
            weights: s.tensor.weights,
            curve: s.magnitudes.curve(&CURVE),
            allocated: s.allocated,
            outliers: s.outliers,
        });
        let tensors = lines.collect();
        text::print_json(&Json { tensors, recipe: allocated })?;
    } else {
        text::print(&shown(&selected, args)?)?;
        if let (None, Some(recipe)) = (&args.output, &allocated) {
            text::print(recipe)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives every tensor its part; the recipe that says so.
fn allocated(selected: &mut [Selected<'_>], word: AllocateWord, sparsity: f64, args: &SweepArgs) -> Result<String> {
    let outliers: Vec<f64> = selected.iter().map(|s| s.outliers.unwrap_or(0.0)).collect();
    let way = match word {
        AllocateWord::Uniform => Allocation::Uniform,
        AllocateWord::Error => Allocation::Error,
        AllocateWord::Owl => Allocation::Owl { outliers: &outliers, lambda: args.lambda },
    };
    let magnitudes: Vec<&Magnitudes> = selected.iter().map(|s| s.magnitudes).collect();
    let taken = allocate(&magnitudes, sparsity, way, (args.min, args.max))?;
    for (selected, k) in selected.iter_mut().zip(&taken) {
        selected.allocated = Some(selected.magnitudes.point(*k));
    }
    let own = |(s, k): (&Selected<'_>, &u64)| (glob(&s.tensor.name), exact(*k, s.tensor.weights));
    let sparsity_for = selected.iter().zip(&taken).map(own).collect();
    let include = selected.iter().map(|s| glob(&s.tensor.name)).collect();
    let selection = Selection { include, sparsity_for, ..Selection::default() };
    let recipe = Recipe::from(Rule { selection, ..Rule::new(Target::Sparsity(sparsity)) });
    let name = word.name();
    Ok(format!("# by lopper sweep: {sparsity} of all, allocated by {name}\n{}", recipe.to_toml()))
}

/// A share that is rounded to exactly this many, with few digits where those do.
fn exact(k: u64, n: u64) -> f64 {
    let share = k as f64 / n as f64;
    let short = (4..=17).map(|digits| format!("{share:.digits$}").parse().unwrap_or(share));
    short.into_iter().find(|short: &f64| quota(*short, n) == k).unwrap_or(share)
}

/// The glob that matches this name alone.
fn glob(name: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\');
    name.chars().map(|c| if special(c) { format!("\\{c}") } else { c.to_string() }).collect()
}

fn shown(selected: &[Selected<'_>], args: &SweepArgs) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "relative error |W - W'| / |W| of the tensor, by sparsity; of several, the largest\n")?;
    let mut header =
        vec!["tensor", "n", "weights", "10 %", "20 %", "30 %", "40 %", "50 %", "60 %", "70 %", "80 %", "90 %"];
    if args.allocate.is_some() {
        header.extend(["allocated", "cut", "error"]);
    }
    let mut grid = Grid::new(&header, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    for (name, members) in groups(selected, |s| &s.tensor.name, |s| s.tensor.dtype.as_str()) {
        let error = |tenth: u32| {
            let errors = members.iter().map(|s| s.magnitudes.curve(&[f64::from(tenth) / 10.0])[0].error);
            format!("{:.4}", errors.fold(0.0, f64::max))
        };
        let weights = members.iter().map(|s| s.tensor.weights).sum();
        let mut row = vec![name, members.len().to_string(), count(weights)];
        row.extend((1..=9).map(error));
        let points: Vec<Point> = members.iter().filter_map(|s| s.allocated).collect();
        if !points.is_empty() {
            let ends = |of: fn(&Point) -> f64, show: fn(f64) -> String| {
                let (low, high) =
                    points.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
                if show(low) == show(high) { show(low) } else { format!("{} .. {}", show(low), show(high)) }
            };
            row.push(ends(|p| p.sparsity, |s| format!("{s:.4}")));
            row.push(ends(|p| p.cut.unwrap_or(0.0), magnitude));
            row.push(ends(|p| p.error, |e| format!("{e:.4}")));
        }
        grid.short_row(row);
    }
    write!(text, "{grid}")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_globs_match_their_name_alone() {
        for (k, n) in [(1, 3), (123_456, 1_000_003), (5, 10), (0, 7), (7, 7)] {
            assert_eq!(quota(exact(k, n), n), k);
        }
        assert_eq!(exact(5, 10), 0.5);
        assert_eq!(glob("a[0].*b"), "a\\[0\\].\\*b");
    }
}
