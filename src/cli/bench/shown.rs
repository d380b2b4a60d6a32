//! The results of the benchmark as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use lopper::bench::{self, Case, Results, Skip};

use crate::table::Grid;
use crate::term::{Paint, paint};
use crate::text::{self, bytes};

/// Roofs, products, break-even or totals, and what was not timed.
pub fn shown(results: &Results) -> Result<String> {
    let mut text = String::new();
    let Results { adapter, roofs, .. } = results;
    writeln!(text, "{} ({}, {})", text::printable(&adapter.name), adapter.backend, text::printable(&adapter.driver))?;
    let marked = if roofs.spread > bench::STEADY { ", ~ not steady" } else { "" };
    writeln!(
        text,
        "roofs: read {}/s, copy {}/s, {}{marked}",
        bytes(roofs.read),
        bytes(roofs.copy),
        text::flops(roofs.fma)
    )?;
    writeln!(text, "clock: {}; {}", results.clock, results.clock_why)?;
    writeln!(text, "knobs: {}\n", knobs(results))?;
    if results.totals.is_empty() {
        write!(text, "{}", cases(results))?;
        break_even(&mut text, results)?;
    } else {
        write!(text, "{}", layers(results))?;
        totals(&mut text, results)?;
    }
    if results.cases.iter().any(|case| !case.time.steady) {
        let most = 100.0 * bench::STEADY;
        writeln!(
            text,
            "~: quartiles more than {most:.0} % apart, or the adapter was not as fast then as in the rest of the run"
        )?;
    }
    write!(text, "{}", skips(&results.skipped)?)?;
    let share = 100.0 * results.measuring / results.seconds.max(1e-9);
    let seconds = text::seconds(results.seconds);
    writeln!(text, "{} products in {seconds}, {share:.0} % of it in what was timed", results.cases.len())?;
    Ok(text)
}

/// What was not timed: wrong results first, one by one; the rest by why, since many are for the same reason.
fn skips(skipped: &[Skip]) -> Result<String> {
    let mut text = String::new();
    let mut groups: Vec<(&Skip, usize)> = Vec::new();
    for skip in skipped {
        match groups.iter_mut().find(|(first, _)| !skip.wrong && !first.wrong && first.why == skip.why) {
            Some((_, count)) => *count += 1,
            None => groups.push((skip, 1)),
        }
    }
    groups.sort_by_key(|(first, _)| !first.wrong);
    let most = MOST.max(skipped.iter().filter(|skip| skip.wrong).count());
    for (first, count) in groups.iter().take(most) {
        let more = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        let (what, why) = (text::printable(&first.what), text::printable(&first.why));
        let (word, colour) = if first.wrong { ("WRONG", Paint::Bad) } else { ("skipped", Paint::Note) };
        writeln!(text, "{}", paint(colour, &format!("{word}: {what}{more}: {why}")))?;
    }
    let left: usize = groups.iter().skip(most).map(|(_, count)| count).sum();
    if left > 0 {
        writeln!(text, "... and {left} more that were skipped; --json has all")?;
    }
    Ok(text)
}

/// Whose knobs the kernels had.
pub fn knobs(results: &Results) -> &'static str {
    if results.tuned { "as `lopper tune` found them for this adapter" } else { "those for its class of adapter" }
}

fn cases(results: &Results) -> Grid {
    let header = ["matrix", "batch", "gone", "format", "time", "moved", "of its roof", "speed-up", "memory"];
    let mut grid = Grid::new(&header, &[1, 2, 4, 5, 7]);
    let mut cases: Vec<&Case> = results.cases.iter().collect();
    cases.sort_by(|a, b| {
        let key = |case: &Case| (case.rows, case.cols, case.batch);
        key(a).cmp(&key(b)).then(a.sparsity.total_cmp(&b.sparsity))
    });
    for case in cases {
        let slower = if case.speedup < 1.0 { " slower" } else { "" };
        let dense = case.format.starts_with("dense");
        grid.row([
            format!("{} x {} {}", case.rows, case.cols, case.dtype),
            case.batch.to_string(),
            format!("{:.1} %", 100.0 * case.sparsity),
            case.format.clone(),
            format!("{}{}", if case.time.steady { "" } else { "~ " }, milliseconds(case.time.seconds)),
            format!("{}/s", bytes(case.bytes as f64 / case.time.seconds)),
            format!("{:.0} % {}", 100.0 * case.of_roof, case.roof),
            if dense { "-".into() } else { format!("{:.2} x{slower}", case.speedup) },
            if dense { "-".into() } else { format!("{:.2} of dense", 1.0 / case.memory) },
        ]);
    }
    grid
}

fn break_even(text: &mut String, results: &Results) -> Result<()> {
    for even in &results.break_even {
        let what = format!("{} x {}, batch {}, {}", even.rows, even.cols, even.batch, even.format);
        let (paint_as, said) = match even.sparsity {
            Some(_) if even.at_once => {
                (Paint::Good, format!("faster than dense at every sparsity measured, up to {:.2} x", even.best))
            }
            Some(s) => (Paint::Good, format!("faster than dense from {:.0} % on, up to {:.2} x", 100.0 * s, even.best)),
            None if even.best >= 1.0 => {
                (Paint::Bad, format!("slower than dense at the highest sparsity, {:.2} x at best", even.best))
            }
            None => (Paint::Bad, format!("slower than dense wherever it was measured, {:.2} x at best", even.best)),
        };
        writeln!(text, "{what}: {}", paint(paint_as, &said))?;
    }
    Ok(())
}

/// One line for each shape, sparsity and batch of a model's layers.
fn layers(results: &Results) -> Grid {
    let mut grid = Grid::new(
        &["layers", "n", "batch", "gone", "dense", "fastest sparse form", "time", "speed-up"],
        &[1, 2, 3, 4, 6, 7],
    );
    let mut kinds: BTreeMap<(u64, u64, &str, u32, u64), Vec<&Case>> = BTreeMap::new();
    for case in &results.cases {
        let asked = case.asked.unwrap_or(-1.0).to_bits();
        kinds.entry((case.rows, case.cols, &case.dtype, case.batch, asked)).or_default().push(case);
    }
    for ((rows, cols, dtype, batch, _), cases) in kinds {
        let fastest = |of: &dyn Fn(&Case) -> bool| {
            let mut formats: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            cases
                .iter()
                .filter(|case| of(case))
                .for_each(|case| formats.entry(&case.format).or_default().push(case.time.seconds));
            let typical = formats.into_iter().map(|(format, mut seconds)| {
                seconds.sort_by(f64::total_cmp);
                (format, seconds[seconds.len() / 2])
            });
            typical.min_by(|a, b| a.1.total_cmp(&b.1))
        };
        let dense = fastest(&Case::is_dense);
        let sparse = fastest(&|case| !case.is_dense());
        let mut names: Vec<&str> = cases.iter().filter_map(|case| case.layer.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let gone = cases.iter().map(|case| case.sparsity);
        let (low, high) = gone.fold((1.0, 0.0), |(low, high), s| (f64::min(low, s), f64::max(high, s)));
        let gone = |share: f64| format!("{:.1}", 100.0 * share);
        let time = |found: Option<(&str, f64)>| found.map_or_else(|| "-".into(), |(_, s)| milliseconds(s));
        grid.row([
            format!("{rows} x {cols} {dtype}"),
            names.len().to_string(),
            batch.to_string(),
            if gone(low) == gone(high) {
                format!("{} %", gone(low))
            } else {
                format!("{} .. {} %", gone(low), gone(high))
            },
            time(dense),
            sparse.map_or("-", |found| found.0).into(),
            time(sparse),
            dense.zip(sparse).map_or_else(|| "-".into(), |(dense, sparse)| format!("{:.2} x", dense.1 / sparse.1)),
        ]);
    }
    grid
}

/// What all layers take together.
fn totals(text: &mut String, results: &Results) -> Result<()> {
    let header = ["all layers", "batch", "gone", "time", "vectors/s", "speed-up", "weights take", "measured"];
    let mut grid = Grid::new(&header, &[1, 2, 3, 4, 5, 6, 7]);
    for total in &results.totals {
        grid.row([
            total.format.clone(),
            total.batch.to_string(),
            format!("{:.1} %", 100.0 * total.sparsity),
            milliseconds(total.seconds),
            format!("{:.1}", f64::from(total.batch) / total.seconds),
            if total.format == "dense" { "-".into() } else { format!("{:.2} x", total.speedup) },
            bytes(total.bytes as f64),
            format!("{} of {}", total.measured, total.layers),
        ]);
    }
    write!(text, "\n{grid}")?;
    if results.totals.iter().any(|total| total.measured < total.layers) {
        writeln!(
            text,
            "Layers that were not measured are taken to be like the one of their shape that is nearest in sparsity."
        )?;
    }
    for total in results.totals.iter().filter(|total| total.format == bench::FASTEST) {
        let (gone, batch) = (100.0 * total.sparsity, total.batch);
        let said = match total.speedup {
            s if s >= WORTH => (Paint::Good, format!("pruning pays here: {s:.2} x as fast as dense")),
            s => (
                Paint::Bad,
                format!("pruning does not pay here: {s:.2} x as fast as dense, each layer in its fastest form"),
            ),
        };
        writeln!(text, "{gone:.1} % gone, batch {batch}: {}", paint(said.0, &said.1))?;
    }
    Ok(())
}

/// Less than this is lost in the rest of what a model does.
const WORTH: f64 = 1.02;

/// Lines of what was skipped at most.
const MOST: usize = 40;

/// Milliseconds, with as many digits as can be told apart.
pub fn milliseconds(seconds: f64) -> String {
    match 1e3 * seconds {
        ms if ms < 1.0 => format!("{ms:.4} ms"),
        ms if ms < 100.0 => format!("{ms:.2} ms"),
        ms => format!("{ms:.0} ms"),
    }
}
