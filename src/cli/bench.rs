//! `lopper bench`: whether sparse products pay on this adapter.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use lopper::bench::{self, Asked, Case, Pattern, Results};
use lopper::gpu::Gpu;
use lopper::{Dtype, Shape};

use super::args::BenchArgs;
use super::file::{NewFile, json};
use super::page;
use super::progress::Bar;
use super::stop::Stop;
use super::table::Grid;
use super::term::{Paint, paint};
use super::text::{self, bytes};
use super::values::pair;

pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let html = args.html.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let file = args.json.as_ref().map(|path| NewFile::alone(path)).transpose()?;
    let stop = Stop::listen(file.as_ref().map(NewFile::temporary))?;
    let gpu = pollster::block_on(Gpu::open(args.adapter.as_deref()))?;
    let bar = Bar::new(args.quiet);
    let results = bench::run(&gpu, &asked(args), &|what, done, of| {
        bar.say(what, done as u64, of as u64);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(bar);
    if let Some(file) = file {
        file.write(json(&results)).context("the results were not written")?;
    }
    if let Some(html) = html {
        page::bench::page(&results).write(html).context("the page was not written")?;
    }
    if !args.quiet {
        text::print(&shown(&results)?)?;
    }
    let wrong = results.skipped.iter().filter(|skip| skip.wrong).count();
    if wrong > 0 {
        text::tell(&format!("error: {wrong} results were wrong on this adapter"));
    }
    if results.stopped {
        text::tell("stopped; what was measured by then is above");
    }
    Ok(if wrong > 0 || results.stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn asked(args: &BenchArgs) -> Asked {
    let mut asked = Asked::default();
    let Asked { shapes, sparsities, batches, formats, dtype, pattern, time, .. } = &mut asked;
    fn replace<T: Clone>(own: &mut Vec<T>, given: &[T]) {
        if !given.is_empty() {
            *own = given.to_vec();
        }
    }
    replace(shapes, &args.shape);
    replace(sparsities, &args.sparsity);
    replace(batches, &args.batch);
    replace(formats, &args.format);
    *dtype = args.dtype;
    *pattern = args.pattern;
    *time = Duration::from_secs(args.time);
    asked
}

/// `4096x11008`: outputs and inputs.
pub fn shape(text: &str) -> Result<Shape, String> {
    let (rows, cols) = pair(text, 'x').ok_or("give ROWSxCOLS, such as 4096x11008")?;
    Ok(Shape::new(rows.into(), cols.into()))
}

/// `random`, `magnitude`, `2:4`, `16x16`.
pub fn pattern(text: &str) -> Result<Pattern, String> {
    match (text, pair(text, ':'), pair(text, 'x')) {
        ("random", ..) => Ok(Pattern::Random),
        ("magnitude", ..) => Ok(Pattern::Magnitude),
        (_, Some((keep, of)), _) => Ok(Pattern::Group { keep, of }),
        (_, _, Some((rows, cols))) => Ok(Pattern::Block { rows, cols }),
        _ => Err("give random, magnitude, N:M such as 2:4, or blocks such as 16x16".into()),
    }
}

/// `f16`, `bf16`, `f32`.
pub fn dtype(text: &str) -> Result<Dtype, String> {
    match text.to_ascii_lowercase().as_str() {
        "f16" => Ok(Dtype::F16),
        "bf16" => Ok(Dtype::BF16),
        "f32" => Ok(Dtype::F32),
        _ => Err("give f16, bf16 or f32".into()),
    }
}

fn shown(results: &Results) -> Result<String> {
    let mut text = String::new();
    let Results { adapter, roofs, .. } = results;
    writeln!(text, "{} ({}, {})", text::printable(&adapter.name), adapter.backend, text::printable(&adapter.driver))?;
    let marked = if roofs.spread > bench::STEADY { ", ~ not steady" } else { "" };
    writeln!(
        text,
        "roofs: read {}/s, copy {}/s, {:.1} GFLOPS{marked}",
        bytes(roofs.read),
        bytes(roofs.copy),
        roofs.fma / 1e9
    )?;
    writeln!(text, "clock: {}; {}\n", results.clock, results.clock_why)?;
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
    write!(text, "{grid}")?;
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
    if results.cases.iter().any(|case| !case.time.steady) {
        writeln!(text, "~: quartiles more than {:.0} % apart", 100.0 * bench::STEADY)?;
    }
    for skip in &results.skipped {
        let said = format!("{}: {}: {}", if skip.wrong { "WRONG" } else { "skipped" }, skip.what, skip.why);
        writeln!(text, "{}", paint(if skip.wrong { Paint::Bad } else { Paint::Note }, &said))?;
    }
    let share = 100.0 * results.measuring / results.seconds.max(1e-9);
    let seconds = text::seconds(results.seconds);
    writeln!(text, "{} products in {seconds}, {share:.0} % of it in what was timed", results.cases.len())?;
    Ok(text)
}

/// Milliseconds, with as many digits as can be told apart.
pub fn milliseconds(seconds: f64) -> String {
    match 1e3 * seconds {
        ms if ms < 1.0 => format!("{ms:.4} ms"),
        ms if ms < 100.0 => format!("{ms:.2} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed_or_refused() {
        assert_eq!(shape("4096x11008"), Ok(Shape::new(4096, 11008)));
        for bad in ["", "4096", "x", "0x5", "4x-1", "4x5x6", "+4x5", "4294967296x1"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
        assert_eq!((pattern("2:4"), pattern("random")), (Ok(Pattern::Group { keep: 2, of: 4 }), Ok(Pattern::Random)));
        for bad in ["", "dense", "ell:", "2:", ":4", "0:4", "ELL"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        assert!(dtype("BF16").is_ok() && dtype("f8").is_err());
    }
}
