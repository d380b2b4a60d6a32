//! What `lopper mask` says.

use lopper::masks::{Applied, Comparison, Regrown, TensorDiff, TensorKept, TensorStats, Written};

use super::super::table::{Grid, groups};
use super::super::term::{Paint, paint};
use super::super::text::{bytes, count, percent, printable};

/// What was written, by kind of tensors.
pub fn written(found: &Written) -> String {
    let grid = kept(&found.tensors, |_| String::new(), "");
    format!("{grid}{}\n", paint(Paint::Bold, &totals(&found.tensors, found.bytes)))
}

/// The same, with what was exchanged.
pub fn regrown(found: &Regrown) -> String {
    let place = |tensor: &TensorKept| found.written.tensors.iter().position(|t| std::ptr::eq(t, tensor));
    let grown = |members: &[&TensorKept]| {
        let of = |t: &&TensorKept| place(t).map_or(0, |place| found.exchanged[place].grown);
        count(members.iter().map(of).sum())
    };
    let grid = kept(&found.written.tensors, grown, "grown");
    let all: u64 = found.exchanged.iter().map(|e| e.grown).sum();
    let totals = format!("{}; {} others than before", totals(&found.written.tensors, found.written.bytes), count(all));
    format!("{grid}{}\n", paint(Paint::Bold, &totals))
}

fn kept(tensors: &[TensorKept], more: impl Fn(&[&TensorKept]) -> String, header: &str) -> Grid {
    let columns = ["tensor", "n", "weights", "kept", "sparsity", header];
    let width = if header.is_empty() { 5 } else { 6 };
    let mut grid = Grid::new(&columns[..width], &[1, 2, 3, 4, 5]);
    for (name, members) in groups(tensors, |t| &t.name, |_| ()) {
        let sum = |of: fn(&TensorKept) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let (weights, kept) = (sum(|t| t.weights), sum(|t| t.kept));
        let number = members.len().to_string();
        let cells = [name, number, count(weights), count(kept), percent(weights - kept, weights), more(&members)];
        grid.short_row(cells.into_iter().take(width));
    }
    grid
}

fn totals(tensors: &[TensorKept], size: u64) -> String {
    let sum = |of: fn(&TensorKept) -> u64| tensors.iter().map(of).sum::<u64>();
    let (weights, kept) = (sum(|t| t.weights), sum(|t| t.kept));
    let (number, size, gone) = (tensors.len(), bytes(size as f64), percent(weights - kept, weights));
    format!("{number} masks of {} weights, {} kept ({gone} pruned), {size}", count(weights), count(kept))
}

pub fn applied(found: &Applied) -> String {
    let header = ["tensor", "n", "dtype", "weights", "kept", "cleared", "revived"];
    let mut grid = Grid::new(&header, &[1, 3, 4, 5, 6]);
    for (name, members) in groups(&found.tensors, |t| &t.name, |t| &t.dtype) {
        let sum = |of: fn(&lopper::masks::TensorApplied) -> u64| count(members.iter().map(|t| of(t)).sum());
        let (number, dtype) = (members.len().to_string(), members[0].dtype.clone());
        let cells = [sum(|t| t.weights), sum(|t| t.kept), sum(|t| t.cleared), sum(|t| t.revived)];
        grid.short_row([name, number, dtype].into_iter().chain(cells));
    }
    let cleared = count(found.tensors.iter().map(|t| t.cleared).sum());
    let totals = format!(
        "{} tensors masked, {} copied; {cleared} numbers became 0, {}",
        found.tensors.len(),
        found.copied,
        bytes(found.bytes as f64)
    );
    format!("{grid}{}\n", paint(Paint::Bold, &totals))
}

pub fn diff(found: &Comparison, each: bool) -> String {
    let header = ["tensor", "n", "weights", "pruned in A", "pruned in B", "agree", "kept by both of either"];
    let mut grid = Grid::new(&header, &[1, 2, 3, 4, 5, 6]);
    let lines = match each {
        true => found.tensors.iter().map(|t| (t.name.clone(), vec![t])).collect(),
        false => groups(&found.tensors, |t| &t.name, |_| ()),
    };
    for (name, members) in lines {
        grid.short_row([name].into_iter().chain(diff_cells(&members)));
    }
    let mut text = grid.to_string();
    for other in found.others.iter().take(20) {
        text += &format!("not compared: {}, {}\n", printable(&other.name), other.why);
    }
    if found.others.len() > 20 {
        text += &format!("... and {} more that are not compared\n", count(found.others.len() as u64 - 20));
    }
    let all: Vec<&TensorDiff> = found.tensors.iter().collect();
    let [_, weights, a, b, agree, overlap] = diff_cells(&all);
    let totals = format!(
        "{weights} weights, pruned in A {a}, in B {b}; masks agree on {agree}; {overlap} of what either keeps both keep"
    );
    format!("{text}{}\n", paint(Paint::Bold, &totals))
}

fn diff_cells(members: &[&TensorDiff]) -> [String; 6] {
    let sum = |of: fn(&TensorDiff) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
    let weights = sum(|t| t.weights);
    [
        members.len().to_string(),
        count(weights),
        percent(weights - sum(|t| t.kept[0]), weights),
        percent(weights - sum(|t| t.kept[1]), weights),
        percent(sum(TensorDiff::agree), weights),
        percent(sum(|t| t.both), sum(TensorDiff::either)),
    ]
}

pub fn stats(found: &[TensorStats], each: bool) -> String {
    let header = ["tensor", "n", "weights", "kept", "sparsity", "rows", "empty rows", "2:4"];
    let mut grid = Grid::new(&header, &[1, 2, 3, 4, 5, 6, 7]);
    let lines = match each {
        true => found.iter().map(|t| (t.name.clone(), vec![t])).collect(),
        false => groups(found, |t| &t.name, |_| ()),
    };
    for (name, members) in lines {
        let sum = |of: fn(&TensorStats) -> u64| members.iter().map(|t| of(t)).sum::<u64>();
        let (weights, kept) = (sum(|t| t.weights), sum(|t| t.kept));
        let shares: Option<Vec<f64>> = members.iter().map(|t| t.two_of_four).collect();
        let least = shares.and_then(|shares| shares.into_iter().reduce(f64::min));
        grid.short_row([
            name,
            members.len().to_string(),
            count(weights),
            count(kept),
            percent(weights - kept, weights),
            count(sum(|t| t.rows)),
            count(sum(|t| t.empty_rows)),
            least.map_or("-".into(), |share| format!("{:.0} %", (100.0 * share).floor())),
        ]);
    }
    let sum = |of: fn(&TensorStats) -> u64| found.iter().map(of).sum::<u64>();
    let (weights, kept) = (sum(|t| t.weights), sum(|t| t.kept));
    let totals = format!(
        "{} masks of {} weights, {} kept ({} pruned)",
        found.len(),
        count(weights),
        count(kept),
        percent(weights - kept, weights)
    );
    format!("{grid}{}\n", paint(Paint::Bold, &totals))
}
