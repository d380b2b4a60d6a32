//! The page of `lopper inspect`.

use std::path::Path;

use lopper::inspect::{TensorSurvey, Values};

use super::super::inspect::{binades, middle, spark};
use super::super::table::groups;
use super::super::text::{bytes, count, magnitude, percent};
use super::{Axis, Cell, Chart, Page, Series, Shape};

/// Kinds that a chart shows: those with the most weights.
pub const SHOWN: usize = 8;

pub fn page(input: &Path, found: &[TensorSurvey], total: u64) -> Page {
    let values = || found.iter().filter_map(|t| t.values.as_ref().map(|v| (t, v)));
    let sum = |of: fn(&Values) -> u64| values().map(|(_, v)| of(v)).sum::<u64>();
    let (weights, zeros) = (values().map(|(t, _)| t.weights).sum(), sum(|v| v.zeros));
    let mut page = Page::new(&input.display().to_string(), "What its weights are like, by lopper inspect");
    page.facts(&[
        ("tensors", count(found.len() as u64)),
        ("weights", count(weights)),
        ("zeros", format!("{} ({})", count(zeros), percent(zeros, weights))),
        ("NaN", count(sum(|v| v.nan))),
        ("infinite", count(sum(|v| v.infinite))),
        ("largest magnitude", values().filter_map(|(_, v)| v.max).max_by(f64::total_cmp).map_or("-".into(), magnitude)),
        ("bytes", bytes(total as f64)),
    ]);

    let mut kinds = groups(found.iter().filter(|t| t.values.is_some()), |t| &t.name, |t| t.dtype.as_str());
    kinds.sort_by_key(|(_, members)| std::cmp::Reverse(members.iter().map(|t| t.weights).sum::<u64>()));
    let more = kinds.len().saturating_sub(SHOWN);
    kinds.truncate(SHOWN);
    let of = |members: &[&TensorSurvey]| binades(&members.iter().filter_map(|t| t.values.as_ref()).collect::<Vec<_>>());
    let histogram = |(name, members): &(String, Vec<&TensorSurvey>)| {
        let (binades, weights) = (of(members), members.iter().map(|t| t.weights).sum::<u64>().max(1));
        let points = binades.iter().map(|(e, n)| (f64::from(*e) + 0.5, 100.0 * *n as f64 / weights as f64));
        Series { name: name.clone(), points: points.collect(), shape: Shape::Line }
    };
    let series: Vec<Series> = kinds.iter().map(histogram).collect();
    page.heading("Magnitudes");
    page.chart(
        &Chart {
            x: Axis { label: "magnitude", range: ends(&series, 24.0), show: power },
            y: Axis {
                label: "% of the weights, by powers of two",
                range: 0.0..highest(&series),
                show: |v| format!("{v:.0}"),
            },
            series,
            mark: None,
        },
        &caption("How many weights have a magnitude from each power of two to the next", more),
    );

    let cuts = |(name, members): &(String, Vec<&TensorSurvey>)| {
        let values: Vec<&Values> = members.iter().filter_map(|t| t.values.as_ref()).collect();
        let points = values[0].cuts.iter().enumerate().filter_map(|(n, point)| {
            let cut = middle(values.iter().filter_map(|v| v.cuts[n].cut))?;
            Some((100.0 * point.sparsity, cut))
        });
        Series { name: name.clone(), points: points.collect(), shape: Shape::Line }
    };
    let series: Vec<Series> = kinds.iter().map(cuts).collect();
    page.heading("Cuts");
    page.chart(
        &Chart {
            x: Axis { label: "sparsity, %", range: 0.0..100.0, show: |v| format!("{v:.0}") },
            y: Axis { label: "cut", range: 0.0..highest(&series), show: magnitude },
            series,
            mark: None,
        },
        &caption("The largest magnitude that goes, by sparsity; of several tensors the middle one", more),
    );

    page.heading("Tensors");
    let header = [
        "tensor",
        "dtype",
        "shape",
        "weights",
        "zeros",
        "min |w|",
        "median |w|",
        "max |w|",
        "rms",
        "row norms from",
        "median",
        "to",
        "2:4",
        "4:8",
        "cut 50 %",
        "cut 90 %",
        "log |w|",
    ];
    page.table(&header, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], found.iter().map(row));
    page
}

fn row(tensor: &TensorSurvey) -> Vec<Cell> {
    let values = tensor.values.as_ref();
    let number = |of: fn(&Values) -> Option<f64>| Cell::number(values.and_then(of), magnitude);
    let share = |of: fn(&Values) -> Option<f64>| Cell::number(values.and_then(of), |s| format!("{:.1} %", 100.0 * s));
    let weights = tensor.weights;
    vec![
        Cell::text(&tensor.name),
        Cell::text(&tensor.dtype),
        Cell::text(super::super::text::shape(&tensor.shape)),
        Cell::number(Some(weights as f64), |_| count(weights)),
        Cell::number(values.map(|v| v.zeros as f64), |zeros| percent(zeros as u64, weights)),
        number(|v| v.min),
        number(|v| v.median),
        number(|v| v.max),
        number(|v| Some(v.rms)),
        number(|v| Some(v.rows.min)),
        number(|v| v.rows.median),
        number(|v| Some(v.rows.max)),
        share(|v| v.two_of_four),
        share(|v| v.four_of_eight),
        number(|v| v.cuts[4].cut),
        number(|v| v.cuts[9].cut),
        Cell::spark(values.map_or_else(String::new, |v| spark(&v.binades, true))),
    ]
}

/// What a chart shows, and how many kinds it leaves out.
pub fn caption(text: &str, more: usize) -> String {
    if more > 0 {
        format!("{text}; the {SHOWN} kinds of tensors with the most weights, of {}", SHOWN + more)
    } else {
        text.into()
    }
}

/// From the smallest to the largest x, at most `most`.
fn ends(series: &[Series], most: f64) -> std::ops::Range<f64> {
    let xs = || series.iter().flat_map(|s| s.points.iter().map(|(x, _)| *x));
    let (low, high) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high { 0.0..1.0 } else { (low - 0.5).max(high - most)..high + 0.5 }
}

/// A little more than the largest y.
pub fn highest(series: &[Series]) -> f64 {
    let most =
        series.iter().flat_map(|s| s.points.iter().map(|(_, y)| *y)).filter(|y| y.is_finite()).fold(0.0, f64::max);
    if most > 0.0 { 1.05 * most } else { 1.0 }
}

/// The exponent of a power of two as one.
pub fn power(exponent: f64) -> String {
    format!("2^{}", exponent.floor())
}
