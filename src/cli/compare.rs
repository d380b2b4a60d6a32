//! `lopper compare`: two checkpoints side by side.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use lopper::checkpoint::Checkpoint;
use lopper::inspect::{Comparison, TensorComparison, compare};

use super::args::CompareArgs;
use super::file::NewFile;
use super::page;
use super::progress::Bar;
use super::table::{Grid, groups};
use super::term::{Paint, paint};
use super::text::{self, count, percent};

pub fn run(args: &CompareArgs) -> Result<ExitCode> {
    let (first, second) = (Checkpoint::open(&args.first)?, Checkpoint::open(&args.second)?);
    let bar = Bar::new(false);
    let html = args.html.as_ref().map(|path| NewFile::create(path, &args.first, Some(&args.second))).transpose()?;
    let found = compare(&first, &second, &|done, all| {
        bar.set(done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    if let Some(file) = html {
        page::compare::page(&args.first, &args.second, &found).write(file)?;
    }
    match args.json {
        true => text::print_json(&found)?,
        false => text::print(&shown(&found, args.tensors)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(found: &Comparison, each: bool) -> Result<String> {
    let header =
        ["tensor", "n", "dtypes", "weights", "zeros in A", "zeros in B", "masks agree", "differ", "|A - B| / |A|"];
    let mut grid = Grid::new(&header, &[1, 3, 4, 5, 6, 7, 8]);
    let lines = match each {
        true => found.tensors.iter().map(|t| (t.name.clone(), vec![t])).collect(),
        false => groups(&found.tensors, |t| &t.name, |t| &t.dtypes),
    };
    for (name, members) in lines {
        let sum = |of: fn(&TensorComparison) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let weights = sum(|t| t.weights);
        let agree = sum(TensorComparison::agree);
        let [a, b] = &members[0].dtypes;
        let errors = members.iter().map(|t| t.error);
        let (low, high) = errors.fold((f64::INFINITY, 0.0f64), |(low, high), error| (low.min(error), high.max(error)));
        let error = |error: f64| format!("{error:.4}");
        grid.short_row([
            name,
            members.len().to_string(),
            if a == b { a.clone() } else { format!("{a}, {b}") },
            count(weights),
            percent(sum(|t| t.zeros[0]), weights),
            percent(sum(|t| t.zeros[1]), weights),
            percent(agree, weights),
            percent(sum(|t| t.differ), weights),
            if error(low) == error(high) { error(high) } else { format!("{} .. {}", error(low), error(high)) },
        ]);
    }
    let mut text = grid.to_string();
    for other in found.others.iter().take(20) {
        writeln!(text, "not compared: {}, {}", text::printable(&other.name), other.why)?;
    }
    if found.others.len() > 20 {
        writeln!(text, "... and {} more that are not compared", count(found.others.len() as u64 - 20))?;
    }
    let sum = |of: fn(&TensorComparison) -> u64| found.tensors.iter().map(of).sum::<u64>();
    let (weights, differ) = (sum(|t| t.weights), sum(|t| t.differ));
    let totals = format!(
        "{} weights, {} zeros in A ({}), {} in B ({}), {} differ",
        count(weights),
        count(sum(|t| t.zeros[0])),
        percent(sum(|t| t.zeros[0]), weights),
        count(sum(|t| t.zeros[1])),
        percent(sum(|t| t.zeros[1]), weights),
        count(differ)
    );
    writeln!(text, "{}", paint(Paint::Bold, &totals))?;
    Ok(text)
}
