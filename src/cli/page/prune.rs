//! The page of `lopper prune`.

use std::ops::ControlFlow;

use anyhow::Result;
use lopper::checkpoint::Checkpoint;
use lopper::inspect::{Values, survey};
use lopper::pruner::{Action, Report, TensorReport};

use super::super::args::PruneArgs;
use super::super::inspect::{binades, middle};
use super::super::table::groups;
use super::super::text::{self, bytes, count, magnitude, percent};
use super::inspect::{highest, power};
use super::{Axis, Cell, Chart, Page, Series, Shape};

/// What a run did. The input is read once more, for the magnitudes.
pub fn page(args: &PruneArgs, report: &Report) -> Result<Page> {
    let found = survey(&Checkpoint::open(&args.input)?, &|_, _| ControlFlow::Continue(()))?;
    let pruned = || report.tensors.iter().filter(|t| t.action == Action::Prune);
    let mut page = Page::new(&args.input.display().to_string(), "What was pruned, by lopper prune");
    let (weights, zeros) = (report.totals.weights, report.totals.zeros);
    let before = pruned().filter_map(|t| t.zeros_before).sum();
    let adapter = report.adapter.as_ref().map_or("-".into(), |a| format!("{} ({}, {})", a.name, a.backend, a.driver));
    page.facts(&[
        ("tensors pruned", format!("{} of {}", count(pruned().count() as u64), count(report.tensors.len() as u64))),
        ("weights in them", count(weights)),
        ("zeros before", percent(before, weights)),
        ("zeros after", percent(zeros, weights)),
        ("read", bytes(report.bytes_read as f64)),
        ("written", bytes(report.bytes_written as f64)),
        ("time", text::seconds(report.seconds.total)),
        ("adapter", adapter),
    ]);
    page.heading("The command");
    page.verbatim(&std::env::args().map(|arg| quoted(&arg)).collect::<Vec<_>>().join(" "));
    page.heading("The rule");
    page.verbatim(&report.recipe);

    page.heading("Sparsity");
    let share = |name: &str, width: f64, of: fn(&TensorReport) -> Option<u64>| {
        let share =
            |(n, t): (usize, &TensorReport)| Some((n as f64 + 0.5, 100.0 * of(t)? as f64 / t.weights.max(1) as f64));
        Series {
            name: name.into(),
            points: pruned().enumerate().filter_map(share).collect(),
            shape: Shape::Bars(width),
        }
    };
    let tensors = pruned().count().max(1) as f64;
    let series = vec![share("zeros after", 0.8, |t| t.zeros), share("zeros before", 0.4, |t| t.zeros_before)];
    page.chart(
        &Chart {
            x: Axis {
                label: "pruned tensors, in the order of the file",
                range: 0.0..tensors,
                show: |v| format!("{v:.0}"),
            },
            y: Axis { label: "zeros, %", range: 0.0..highest(&series), show: |v| format!("{v:.0}") },
            series,
            mark: None,
        },
        "Zeros of each tensor, before and after",
    );

    page.heading("Magnitudes");
    let is_pruned: std::collections::HashSet<&str> = pruned().map(|t| t.name.as_str()).collect();
    let values: Vec<&Values> =
        found.iter().filter(|t| is_pruned.contains(t.name.as_str())).filter_map(|t| t.values.as_ref()).collect();
    let counted = binades(&values);
    let most = counted.last().map_or(0, |(e, _)| *e);
    let points = counted.iter().filter(|(e, _)| *e > most - 24);
    let points = points.map(|(e, n)| (f64::from(*e) + 0.5, 100.0 * *n as f64 / weights.max(1) as f64)).collect();
    let series = vec![Series { name: "weights".into(), points, shape: Shape::Bars(0.9) }];
    let cut = middle(pruned().filter_map(|t| t.cut)).filter(|cut| *cut > 0.0);
    let low = series[0].points.first().map_or(0.0, |(x, _)| x - 0.5);
    page.chart(
        &Chart {
            x: Axis { label: "magnitude before pruning", range: low..f64::from(most) + 1.0, show: power },
            y: Axis {
                label: "% of the weights, by powers of two",
                range: 0.0..highest(&series),
                show: |v| format!("{v:.0}"),
            },
            series,
            mark: cut.map(|cut| (cut.log2().max(low), format!("cut {}", magnitude(cut)))),
        },
        "Magnitudes of what was pruned, and the cut; of several cuts the middle one",
    );

    page.heading("Time");
    let (seconds, waiting) = (&report.seconds, &report.waiting);
    let stages = [
        ("reading", seconds.stages.read, Some(waiting.read)),
        ("uploading: into memory that the GPU maps", seconds.stages.upload, Some(waiting.upload)),
        ("GPU, with copies that are recorded with kernels", seconds.stages.gpu, Some(waiting.gpu)),
        ("downloading: mapping masks and reading them", seconds.stages.download, Some(waiting.download)),
        ("masking and writing", seconds.stages.write, Some(waiting.write)),
        ("copying what is not pruned", seconds.stages.copy, Some(waiting.copy)),
        ("commit: syncing and renaming", seconds.commit, None),
    ];
    let row = |(stage, busy, waiting): (&str, f64, Option<f64>)| {
        let waiting = Cell::number(waiting, |share| format!("{:.0} %", 100.0 * share));
        vec![Cell::text(stage), Cell::number(Some(busy), text::seconds), waiting]
    };
    page.table(&["stage", "busy", "waiting"], &[1, 2], stages.map(row));
    page.paragraph(
        "Stages overlap. A stage that is not busy waits for another, or has nothing left to do: shares are of the time before \
         the commit, and the stage that waits least holds the others up.",
    );

    page.heading("Kinds of tensors");
    let kinds = groups(pruned(), |t| &t.name, |t| t.dtype.as_str());
    let row = |(name, members): (String, Vec<&TensorReport>)| {
        let sum = |of: fn(&TensorReport) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let weights = sum(|t| t.weights);
        let share = |n: u64| Cell::number(Some(n as f64), |_| percent(n, weights));
        vec![
            Cell::text(name),
            Cell::number(Some(members.len() as f64), |n| n.to_string()),
            Cell::number(Some(weights as f64), |_| count(weights)),
            share(sum(|t| t.zeros_before.unwrap_or(0))),
            share(sum(|t| t.zeros.unwrap_or(0))),
        ]
    };
    page.table(
        &["kind", "tensors", "weights", "zeros before", "zeros after"],
        &[1, 2, 3, 4],
        kinds.into_iter().map(row),
    );

    page.heading("Tensors");
    let row = |tensor: &TensorReport| {
        let share = |n: Option<u64>| Cell::number(n.map(|n| n as f64), |n| percent(n as u64, tensor.weights));
        vec![
            Cell::text(&tensor.name),
            Cell::text(&tensor.dtype),
            Cell::text(text::shape(&tensor.shape)),
            Cell::number(Some(tensor.weights as f64), |_| count(tensor.weights)),
            share(tensor.zeros_before),
            share(tensor.zeros),
            Cell::number(tensor.cut, magnitude),
            Cell::text(&tensor.reason),
        ]
    };
    let header = ["tensor", "dtype", "shape", "weights", "zeros before", "zeros after", "cut", "why"];
    page.table(&header, &[3, 4, 5, 6], report.tensors.iter().map(row));
    Ok(page)
}

/// An argument as a POSIX shell takes it.
fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.into() } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}
