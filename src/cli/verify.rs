//! `lopper verify`: compares two checkpoints and says what was found.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use lopper::pruner::{self, Against, Verification};

use super::args::VerifyArgs;
use super::progress::Bar;
use super::table::{Grid, groups, range};
use super::term::{Paint, paint};
use super::text::{self, count, percent};

const MISMATCH: u8 = 3;

#[derive(serde::Serialize)]
struct Json<'a> {
    ok: bool,
    #[serde(flatten)]
    found: &'a Verification,
}

pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let recipe = if args.rule.is_empty() { None } else { Some(args.rule.recipe("verify")?) };
    let against = recipe.as_ref().map_or(Against::Own, Against::Recipe);
    let bar = Bar::new(false);
    let found = pruner::verify(&args.original, &args.pruned, against, &|done, all| bar.set(done, all))?;
    drop(bar);
    let ok = found.ok();
    match args.json {
        true => text::print_json(&Json { ok, found: &found })?,
        false => text::print(&findings(&found)?)?,
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(MISMATCH) })
}

fn findings(found: &Verification) -> Result<String> {
    let header = ["tensor", "n", "dtype", "weights", "zeros before", "zeros", "cut holds in", "cut"];
    let mut grid = Grid::new(&header, &[1, 3, 4, 5]);
    for (name, members) in groups(&found.tensors, |t| &t.name, |t| (t.dtype.as_str(), t.scope)) {
        let sum = |of: fn(&pruner::TensorVerification) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let weights = sum(|t| t.weights);
        let scope = match members[0].scope.name() {
            "unchanged" => "(unchanged)",
            name => name,
        };
        grid.short_row([
            name,
            members.len().to_string(),
            members[0].dtype.clone(),
            if weights == 0 { "-".into() } else { count(weights) },
            percent(sum(|t| t.zeros_before), weights),
            percent(sum(|t| t.zeros), weights),
            scope.into(),
            range(members.iter().filter_map(|t| t.cut)),
        ]);
    }
    let mut text = grid.to_string();
    for mismatch in &found.mismatches {
        writeln!(text, "{} {}", paint(Paint::Bad, "mismatch:"), text::printable(&mismatch.to_string()))?;
    }
    let rules = found.recipe.as_ref().map(|recipe| recipe.matches("[[rule]]").count());
    match rules {
        None => writeln!(text, "no recipe is known: any cut by magnitude will do")?,
        Some(1) => writeln!(text, "held against its rule")?,
        Some(rules) => writeln!(text, "held against a recipe of {rules} rules")?,
    }
    for unchecked in &found.unchecked {
        let unchecked = text::printable(unchecked);
        writeln!(text, "note: {unchecked}, which metadata names; which units go first was not checked: give --recipe")?;
    }
    let unlisted = found.mismatch_count - found.mismatches.len() as u64;
    if unlisted > 0 {
        writeln!(text, "... and {} more mismatches", count(unlisted))?;
    }
    let (weights, zeros) = (found.weights, found.zeros);
    let summary = format!("{} weights, {} zeros ({})", count(weights), count(zeros), percent(zeros, weights));
    match (found.ok(), found.changed) {
        (false, _) => {
            writeln!(text, "{} {} in {summary}", paint(Paint::Bad, "MISMATCH:"), count(found.mismatch_count))?
        }
        (true, 0) => writeln!(text, "{} {summary}, nothing was pruned", paint(Paint::Good, "ok:"))?,
        (true, changed) => {
            let one_cut = if found.global { ", one cut explains all tensors" } else { "" };
            let kept = "the others kept every bit";
            let ok = paint(Paint::Good, "ok:");
            writeln!(text, "{ok} {summary}, {} of them pruned away, {kept}{one_cut}", count(changed))?;
        }
    }
    Ok(text)
}
