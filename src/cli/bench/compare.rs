//! Two results side by side.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lopper::bench::{Contrast, Moment, Pair, Results};

use super::{BenchArgs, milliseconds};
use crate::file::{NewFile, json};
use crate::page;
use crate::table::Grid;
use crate::text;

pub fn run(args: &BenchArgs, files: &[PathBuf]) -> Result<ExitCode> {
    let html = args.html.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let file = args.json.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let [first, second] = [&files[0], &files[1]].map(|path| Results::read(path));
    let (first, second) = (first?, second?);
    let found = Contrast::new(&first, &second);
    if let Some(file) = file {
        file.write(json(&found)).context("the comparison was not written")?;
    }
    if let Some(html) = html {
        page::contrast::page(&first, &second, &found).write(html).context("the page was not written")?;
    }
    if !args.quiet {
        text::print(&shown(&first, &second, &found)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `llvmpipe (vulkan, Mesa 25), lopper 0.1.0`
pub fn who(results: &Results) -> String {
    let adapter = &results.adapter;
    let all = format!("{} ({}, {}), lopper {}", adapter.name, adapter.backend, adapter.driver, results.lopper);
    text::printable(&all)
}

/// What was multiplied.
pub fn what(pair: &Pair) -> String {
    let shape = format!("{} x {} {}", pair.rows, pair.cols, pair.dtype);
    pair.layer.as_ref().map_or_else(|| shape.clone(), |layer| format!("{layer}, {shape}"))
}

/// How much faster the second is, and whether that is sure.
pub fn verdict(pair: &Pair) -> String {
    match pair.clear {
        true => format!("{:.2} x", pair.ratio),
        false => format!("{:.2} x, within the spread", pair.ratio),
    }
}

fn shown(first: &Results, second: &Results, found: &Contrast) -> Result<String> {
    let mut text = format!("A: {}\nB: {}\n", who(first), who(second));
    let [read, copy, fma] = found.roofs;
    writeln!(text, "roofs of B over those of A: read {read:.2}, copy {copy:.2}, multiply-adds {fma:.2}\n")?;
    let header = ["product", "batch", "gone", "format", "A", "B", "A / dense", "B / dense", "B is as fast"];
    let mut grid = Grid::new(&header, &[1, 2, 4, 5, 6, 7]);
    let time = |moment: &Moment| format!("{}{}", if moment.steady { "" } else { "~ " }, milliseconds(moment.seconds));
    for pair in &found.pairs {
        grid.row([
            what(pair),
            pair.batch.to_string(),
            format!("{:.1} %", 100.0 * pair.sparsity),
            pair.format.clone(),
            time(&pair.times[0]),
            time(&pair.times[1]),
            format!("{:.2} x", pair.speedups[0]),
            format!("{:.2} x", pair.speedups[1]),
            verdict(pair),
        ]);
    }
    write!(text, "{grid}")?;
    let clear = found.pairs.iter().filter(|pair| pair.clear).count();
    match found.median {
        Some(median) => {
            let all = found.pairs.len();
            writeln!(
                text,
                "B is {median:.2} x as fast by the median of {all} products; {clear} differ by more than their spread"
            )?;
        }
        None => writeln!(text, "they have no product in common")?,
    }
    if found.alone != [0, 0] {
        writeln!(text, "in A alone: {} products; in B alone: {}", found.alone[0], found.alone[1])?;
    }
    Ok(text)
}
