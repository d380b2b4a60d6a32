//! The page of `lopper bench --compare`.

use lopper::bench::{Contrast, Pair, Results};

use super::super::bench::{milliseconds, verdict, what, who};
use super::super::text::magnitude;
use super::{Axis, Cell, Chart, Page, Series, Shape};

pub fn page(first: &Results, second: &Results, found: &Contrast) -> Page {
    let title = format!("{} and {}", first.adapter.name, second.adapter.name);
    let mut page = Page::new(&title, "Two benchmarks side by side, by lopper bench --compare");
    let clear = found.pairs.iter().filter(|pair| pair.clear).count();
    page.facts(&[
        ("A", who(first)),
        ("B", who(second)),
        ("products in both", found.pairs.len().to_string()),
        ("in A alone, in B alone", format!("{}, {}", found.alone[0], found.alone[1])),
        ("B is as fast, median", found.median.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2} x"))),
        ("differ by more than their spread", clear.to_string()),
        ("read roof of B over A\u{2019}s", format!("{:.2}", found.roofs[0])),
        ("copy roof", format!("{:.2}", found.roofs[1])),
        ("FMA roof", format!("{:.2}", found.roofs[2])),
    ]);
    if !found.pairs.is_empty() {
        page.heading("How many times as fast B is");
        page.chart(&ratios(found), "Each product: its time in A, and how many times as fast it is in B");
    }
    page.heading("Products");
    let header = ["product", "vectors", "gone", "kept as", "A", "B", "A over dense", "B over dense", "B is as fast"];
    page.table(&header, &[1, 2, 4, 5, 6, 7, 8], found.pairs.iter().map(row));
    page
}

fn ratios(found: &Contrast) -> Chart {
    let place = |pair: &Pair| (pair.times[0].seconds.max(1e-12).log2(), pair.ratio);
    let mut series: Vec<Series> = Vec::new();
    for pair in &found.pairs {
        match series.iter_mut().find(|series| series.name == pair.format) {
            Some(series) => series.points.push(place(pair)),
            None => series.push(Series { name: pair.format.clone(), points: vec![place(pair)], shape: Shape::Dots }),
        }
    }
    let points = || series.iter().flat_map(|series| &series.points);
    let left = points().map(|point| point.0).fold(f64::INFINITY, f64::min).floor() - 1.0;
    let right = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max).ceil() + 1.0;
    let top = points().map(|point| point.1).fold(1.0, f64::max);
    Chart {
        x: Axis { label: "time in A, ms", range: left..right, show: |v| magnitude(1e3 * v.exp2()) },
        y: Axis { label: "times as fast", range: 0.0..1.1 * top, show: |v| format!("{v:.2}") },
        series,
        mark: None,
    }
}

fn row(pair: &Pair) -> Vec<Cell> {
    let time = |which: usize| Cell::number(Some(pair.times[which].seconds), milliseconds);
    let speedup = |which: usize| Cell::number(Some(pair.speedups[which]), |s| format!("{s:.2} x"));
    vec![
        Cell::text(what(pair)),
        Cell::number(Some(pair.batch.into()), |n| n.to_string()),
        Cell::number(Some(pair.sparsity), |s| format!("{:.1} %", 100.0 * s)),
        Cell::text(&pair.format),
        time(0),
        time(1),
        speedup(0),
        speedup(1),
        Cell::number(Some(pair.ratio), |_| verdict(pair)),
    ]
}
