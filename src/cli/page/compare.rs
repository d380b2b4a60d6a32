//! The page of `lopper compare`.

use std::path::Path;

use lopper::inspect::{Comparison, TensorComparison};

use super::super::text::{count, percent};
use super::inspect::highest;
use super::{Axis, Cell, Chart, Page, Series, Shape};

pub fn page(first: &Path, second: &Path, found: &Comparison) -> Page {
    let title = format!("{} and {}", first.display(), second.display());
    let mut page = Page::new(&title, "A and B side by side, by lopper compare");
    let sum = |of: fn(&TensorComparison) -> u64| found.tensors.iter().map(of).sum::<u64>();
    let weights = sum(|t| t.weights);
    let share = |n: u64| format!("{} ({})", count(n), percent(n, weights));
    page.facts(&[
        ("tensors compared", count(found.tensors.len() as u64)),
        ("weights", count(weights)),
        ("zeros in A", share(sum(|t| t.zeros[0]))),
        ("zeros in B", share(sum(|t| t.zeros[1]))),
        ("masks agree", share(sum(TensorComparison::agree))),
        ("weights that differ", share(sum(|t| t.differ))),
    ]);
    let bars = |name: &str, of: fn(&TensorComparison) -> f64| {
        let points = found.tensors.iter().enumerate().map(|(n, t)| (n as f64 + 0.5, of(t)));
        let points = points.filter(|(_, y)| y.is_finite()).collect();
        vec![Series { name: name.into(), points, shape: Shape::Bars(0.8) }]
    };
    let charts = [
        ("Errors", "‖A − B‖ / ‖A‖", bars("error", |t| t.error), "The relative error of each tensor"),
        (
            "Masks",
            "% that agree",
            bars("agree", |t| 100.0 * t.agreement),
            "The share of the weights that are zero in both or in neither",
        ),
    ];
    for (heading, label, series, caption) in charts {
        page.heading(heading);
        let x = Axis {
            label: "tensors, in the order of A",
            range: 0.0..found.tensors.len().max(1) as f64,
            show: |v| format!("{v:.0}"),
        };
        let y = Axis { label, range: 0.0..highest(&series), show: |v| format!("{v:.2}") };
        page.chart(&Chart { x, y, series, mark: None }, caption);
    }
    page.heading("Tensors");
    let header = ["tensor", "dtypes", "weights", "zeros in A", "zeros in B", "masks agree", "differ", "‖A − B‖ / ‖A‖"];
    page.table(&header, &[2, 3, 4, 5, 6, 7], found.tensors.iter().map(row));
    if !found.others.is_empty() {
        page.heading("Not compared");
        let row = |other: &lopper::inspect::Other| vec![Cell::text(&other.name), Cell::text(&other.why)];
        page.table(&["tensor", "why"], &[], found.others.iter().map(row));
    }
    page
}

fn row(tensor: &TensorComparison) -> Vec<Cell> {
    let weights = tensor.weights;
    let share = |n: u64| Cell::number(Some(n as f64), |_| percent(n, weights));
    let [a, b] = &tensor.dtypes;
    vec![
        Cell::text(&tensor.name),
        Cell::text(if a == b { a.clone() } else { format!("{a}, {b}") }),
        Cell::number(Some(weights as f64), |_| count(weights)),
        share(tensor.zeros[0]),
        share(tensor.zeros[1]),
        Cell::number(Some(tensor.agreement), |share| format!("{:.4} %", 100.0 * share)),
        share(tensor.differ),
        Cell::number(Some(tensor.error), |error| format!("{error:.4}")),
    ]
}
