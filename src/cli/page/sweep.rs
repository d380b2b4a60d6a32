//! The page of `lopper sweep`.

use std::path::Path;

use super::super::args::SweepArgs;
use super::super::sweep::{CURVE, Selected};
use super::super::table::groups;
use super::super::text::{count, magnitude};
use super::inspect::{SHOWN, caption, highest};
use super::{Axis, Cell, Chart, Page, Series, Shape};

pub fn page(input: &Path, selected: &[Selected<'_>], args: &SweepArgs, recipe: Option<&str>) -> Page {
    let mut page = Page::new(&input.display().to_string(), "What each sparsity does to its tensors, by lopper sweep");
    let weights: u64 = selected.iter().map(|s| s.tensor.weights).sum();
    let mut facts = vec![("tensors", count(selected.len() as u64)), ("weights", count(weights))];
    if let (Some(way), Some(sparsity)) = (args.allocate, args.sparsity) {
        facts.extend([("sparsity", sparsity.to_string()), ("allocated by", way.name().into())]);
        let squares = selected.iter().filter_map(|s| s.allocated).map(|p| p.error * p.error).sum::<f64>();
        facts.push(("sum of squared errors", format!("{squares:.4}")));
    }
    page.facts(&facts);

    let mut kinds = groups(selected, |s| &s.tensor.name, |s| s.tensor.dtype.as_str());
    kinds.sort_by_key(|(_, members)| std::cmp::Reverse(members.iter().map(|s| s.tensor.weights).sum::<u64>()));
    let more = kinds.len().saturating_sub(SHOWN);
    let curve = |(name, members): &(String, Vec<&Selected<'_>>)| {
        let curves: Vec<_> = members.iter().map(|s| s.magnitudes.curve(&CURVE)).collect();
        let worst = |n: usize| curves.iter().map(|curve| curve[n].error).fold(0.0, f64::max);
        let points = CURVE.iter().enumerate().map(|(n, s)| (100.0 * s, worst(n)));
        Series { name: name.clone(), points: points.collect(), shape: Shape::Line }
    };
    let series = kinds.iter().take(SHOWN).map(curve).collect();
    page.heading("Errors");
    page.chart(
        &Chart {
            x: Axis { label: "sparsity, %", range: 0.0..100.0, show: |v| format!("{v:.0}") },
            y: Axis { label: "‖W − W′‖ / ‖W‖", range: 0.0..1.0, show: |v| format!("{v:.2}") },
            series,
            mark: args.sparsity.map(|s| (100.0 * s, "asked for".into())),
        },
        &caption("Relative error by sparsity; of several tensors the largest", more),
    );

    if args.allocate.is_some() {
        let points = selected.iter().enumerate();
        let points = points.filter_map(|(n, s)| Some((n as f64 + 0.5, 100.0 * s.allocated?.sparsity))).collect();
        let series = vec![Series { name: "sparsity".into(), points, shape: Shape::Bars(0.8) }];
        page.heading("Allocated");
        page.chart(
            &Chart {
                x: Axis {
                    label: "tensors, in the order of the file",
                    range: 0.0..selected.len().max(1) as f64,
                    show: |v| format!("{v:.0}"),
                },
                y: Axis { label: "sparsity, %", range: 0.0..highest(&series).min(100.0), show: |v| format!("{v:.0}") },
                series,
                mark: None,
            },
            "The sparsity that each tensor gets",
        );
    }

    page.heading("Tensors");
    let tenths: Vec<String> = (1..=9).map(|tenth| format!("error at {tenth}0 %")).collect();
    let mut header = vec!["tensor", "dtype", "weights"];
    header.extend(tenths.iter().map(String::as_str));
    header.extend(["allocated", "cut", "error"]);
    let numbers: Vec<usize> = (2..header.len()).collect();
    let row = |s: &Selected<'_>| {
        let mut row = vec![
            Cell::text(&s.tensor.name),
            Cell::text(&s.tensor.dtype),
            Cell::number(Some(s.tensor.weights as f64), |_| count(s.tensor.weights)),
        ];
        let errors = s.magnitudes.curve(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
        row.extend(errors.iter().map(|p| Cell::number(Some(p.error), |e| format!("{e:.4}"))));
        row.push(Cell::number(s.allocated.map(|p| p.sparsity), |s| format!("{s:.4}")));
        row.push(Cell::number(s.allocated.and_then(|p| p.cut), magnitude));
        row.push(Cell::number(s.allocated.map(|p| p.error), |e| format!("{e:.4}")));
        row
    };
    page.table(&header, &numbers, selected.iter().map(row));
    if let Some(recipe) = recipe {
        page.heading("Recipe");
        page.verbatim(recipe);
    }
    page
}
