//! The page of `lopper bench`.

use std::collections::BTreeSet;

use lopper::bench::{Case, Results, Total};

use super::super::bench::{knobs, milliseconds};
use super::super::text::{self, bytes, magnitude};
use super::{Axis, Cell, Chart, Page, Series, Shape};

/// Charts of speed-ups at most.
const MOST: usize = 24;

/// What was measured.
pub fn page(results: &Results) -> Page {
    let Results { adapter, roofs, .. } = results;
    let mut page = Page::new(&adapter.name, "Sparse against dense products, by lopper bench");
    page.facts(&[
        ("adapter", format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver)),
        ("read roof", format!("{}/s", bytes(roofs.read))),
        ("copy roof", format!("{}/s", bytes(roofs.copy))),
        ("FMA roof", text::flops(roofs.fma)),
        ("clock", results.clock.clone()),
        ("knobs", knobs(results).into()),
        ("products", results.cases.len().to_string()),
        ("time", text::seconds(results.seconds)),
    ]);
    page.paragraph(&format!("Clock: {}.", results.clock_why));
    if results.stopped {
        page.paragraph("The run was stopped before its end.");
    }
    if !results.totals.is_empty() {
        model(&mut page, results);
    }
    page.heading("Speed-up");
    let products: BTreeSet<(u64, u64, u32)> =
        results.cases.iter().map(|case| (case.rows, case.cols, case.batch)).collect();
    for &(rows, cols, batch) in products.iter().take(MOST) {
        let cases = results.cases.iter().filter(|case| (case.rows, case.cols, case.batch) == (rows, cols, batch));
        let vectors = if batch == 1 { "one vector".into() } else { format!("{batch} vectors") };
        page.chart(&speedups(cases.collect()), &format!("{rows} x {cols}, {vectors}: times as fast as dense"));
    }
    if !results.cases.is_empty() {
        page.heading("Roofs");
        page.chart(&roofline(results), "What each product reaches under the roofs: multiply-adds of weights that are kept, over the bytes that must be moved");
    }
    if !results.break_even.is_empty() {
        break_even(&mut page, results);
    }
    page.heading("Products");
    let row = |case: &Case| {
        let dense = case.is_dense();
        vec![
            Cell::text(match &case.layer {
                Some(layer) => format!("{layer}, {} x {} {}", case.rows, case.cols, case.dtype),
                None => format!("{} x {} {}", case.rows, case.cols, case.dtype),
            }),
            Cell::number(Some(case.batch.into()), |n| n.to_string()),
            Cell::number(Some(case.sparsity), |s| format!("{:.1} %", 100.0 * s)),
            Cell::text(&case.format),
            Cell::number(Some(case.time.seconds), |s| {
                format!("{}{}", if case.time.steady { "" } else { "~ " }, milliseconds(s))
            }),
            Cell::number(Some(case.of_roof), |share| format!("{:.0} % {}", 100.0 * share, case.roof)),
            Cell::number(Some(case.speedup).filter(|_| !dense), |s| format!("{s:.2} x")),
            Cell::number(Some(1.0 / case.memory), |share| format!("{share:.2}")),
            Cell::number(Some(case.error), |error| format!("{error:.1e}")),
        ]
    };
    let header =
        ["product", "vectors", "gone", "kept as", "time", "of its roof", "speed-up", "memory of dense", "off f64"];
    page.table(&header, &[1, 2, 4, 5, 6, 7, 8], results.cases.iter().map(row));
    page.paragraph(
        "~: the quartiles lie more than 5 % apart, or the adapter was not as fast then as in the rest of the run. Each result was held against a product in f64 before it was timed.",
    );
    if !results.skipped.is_empty() {
        page.heading("Not timed");
        let row = |skip: &lopper::bench::Skip| {
            let why = if skip.wrong { format!("WRONG: {}", skip.why) } else { skip.why.clone() };
            vec![Cell::text(&skip.what), Cell::text(why)]
        };
        page.table(&["what", "why"], &[], results.skipped.iter().map(row));
    }
    page
}

/// From where on formats pay.
fn break_even(page: &mut Page, results: &Results) {
    page.heading("Break-even");
    let row = |even: &lopper::bench::BreakEven| {
        vec![
            Cell::text(format!("{} x {}", even.rows, even.cols)),
            Cell::number(Some(even.batch.into()), |n| n.to_string()),
            Cell::text(&even.format),
            Cell::number(even.sparsity, |s| format!("{}{:.0} %", if even.at_once { "≤ " } else { "" }, 100.0 * s)),
            Cell::number(Some(even.best), |s| format!("{s:.2} x")),
        ]
    };
    let header = ["matrix", "vectors", "format", "faster than dense from", "best"];
    page.table(&header, &[1, 3, 4], results.break_even.iter().map(row));
    page.paragraph("`-`: dense was faster at the highest sparsity that was measured.");
}

/// What the layers of a model take together.
fn model(page: &mut Page, results: &Results) {
    page.heading("All layers");
    let total = |total: &Total| {
        vec![
            Cell::text(&total.format),
            Cell::number(Some(total.batch.into()), |n| n.to_string()),
            Cell::number(Some(total.sparsity), |s| format!("{:.1} %", 100.0 * s)),
            Cell::number(Some(total.seconds), milliseconds),
            Cell::number(Some(f64::from(total.batch) / total.seconds), |n| format!("{n:.1}")),
            Cell::number(Some(total.speedup).filter(|_| total.format != "dense"), |s| format!("{s:.2} x")),
            Cell::number(Some(total.bytes as f64), bytes),
            Cell::number(Some(total.measured as f64), |n| format!("{n} of {}", total.layers)),
        ]
    };
    let header =
        ["kept as", "vectors", "gone", "time", "vectors a second", "speed-up", "weights take", "layers measured"];
    page.table(&header, &[1, 2, 3, 4, 5, 6, 7], results.totals.iter().map(total));
    page.paragraph(
        "Every layer once, one after the other. One that was not measured is taken to be like the one of its shape that is \
         nearest in sparsity.",
    );
}

/// Formats in the order in which they come.
fn formats(cases: &[&Case]) -> Vec<String> {
    let mut formats: Vec<String> = Vec::new();
    for case in cases.iter().filter(|case| !case.is_dense()) {
        if !formats.contains(&case.format) {
            formats.push(case.format.clone());
        }
    }
    formats
}

/// Speed-up by sparsity, a line for each format, and one for dense.
fn speedups(cases: Vec<&Case>) -> Chart {
    let shares = || cases.iter().map(|case| 100.0 * case.sparsity);
    let (low, high) = (shares().fold(100.0, f64::min), shares().fold(0.0, f64::max));
    let mut series = vec![Series { name: "dense".into(), points: vec![(low, 1.0), (high, 1.0)], shape: Shape::Line }];
    for format in formats(&cases) {
        let own = cases.iter().filter(|case| case.format == format);
        let mut points: Vec<(f64, f64)> = own.map(|case| (100.0 * case.sparsity, case.speedup)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // One point is no line, nor are layers that are alike.
        let dots = points.len() == 1 || cases.iter().any(|case| case.layer.is_some());
        let shape = if dots { Shape::Dots } else { Shape::Line };
        series.push(Series { name: format, points, shape });
    }
    let most = series.iter().flat_map(|s| &s.points).map(|point| point.1).fold(1.0, f64::max);
    Chart {
        x: Axis { label: "weights that are gone, %", range: 0.0..100.0, show: |v| format!("{v:.0}") },
        y: Axis { label: "times as fast as dense", range: 0.0..1.1 * most, show: |v| format!("{v:.2}") },
        series,
        mark: None,
    }
}

/// Operations a second by operations for each byte, both in powers of two.
fn roofline(results: &Results) -> Chart {
    let place = |case: &Case| {
        let kept = if case.is_dense() { 1.0 } else { 1.0 - case.sparsity };
        let operations = (2.0 * kept * (case.rows * case.cols) as f64 * f64::from(case.batch)).max(1.0);
        ((operations / case.bytes as f64).log2(), (operations / case.time.seconds / 1e9).log2())
    };
    let points: Vec<(f64, f64)> = results.cases.iter().map(place).collect();
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let low = points.iter().map(of).fold(f64::INFINITY, f64::min);
        (low.floor() - 1.0, points.iter().map(of).fold(f64::NEG_INFINITY, f64::max).ceil() + 1.0)
    };
    let ((left, right), (bottom, _)) = (ends(|p| p.0), ends(|p| p.1));
    let roof = |x: f64| (results.roofs.fma.min(results.roofs.read * x.exp2()) / 1e9).log2();
    let ridge = (results.roofs.fma / results.roofs.read).log2().clamp(left, right);
    let all: Vec<&Case> = results.cases.iter().collect();
    let named = |name: &str, of: &dyn Fn(&Case) -> bool| Series {
        name: name.into(),
        points: results.cases.iter().filter(|case| of(case)).map(place).collect(),
        shape: Shape::Dots,
    };
    // In the order of the other charts, for the same colours.
    let mut series = vec![named("dense", &|case| case.is_dense())];
    series.extend(formats(&all).iter().map(|format| named(format, &|case| &case.format == format)));
    let points = [left, ridge, right].map(|x| (x, roof(x))).to_vec();
    series.push(Series { name: "roof".into(), points, shape: Shape::Line });
    let top = series.iter().flat_map(|s| &s.points).map(|point| point.1).fold(bottom + 1.0, f64::max);
    let power = |v: f64| if v.abs() < 10.0 { magnitude(v.exp2()) } else { format!("2^{v:.0}") };
    Chart {
        x: Axis { label: "operations for each byte moved", range: left..right, show: power },
        y: Axis { label: "GFLOPS", range: bottom..top + 0.5, show: power },
        series,
        mark: None,
    }
}
