//! `lopper inspect`: what the weights of a checkpoint are like.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use lopper::checkpoint::Checkpoint;
use lopper::inspect::{SPARSITIES, TensorSurvey, Values, survey};
use serde::Serialize;

use super::args::InspectArgs;
use super::file::NewFile;
use super::page;
use super::progress::Bar;
use super::table::{Grid, groups, pattern};
use super::term::{self, Paint, paint};
use super::text::{self, bytes, count, magnitude, percent};

/// What `--json` prints. Later versions only add fields.
#[derive(Serialize)]
struct Json<'a> {
    tensors: &'a [TensorSurvey],
    kinds: Vec<Kind>,
    weights: u64,
    zeros: u64,
    bytes: u64,
}

/// All tensors whose names differ in numbers only.
#[derive(Serialize)]
struct Kind {
    name: String,
    tensors: usize,
    dtype: String,
    weights: u64,
    zeros: u64,
    nan: u64,
    infinite: u64,
    max: Option<f64>,
}

pub fn run(args: &InspectArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.input)?;
    let html = args.html.as_ref().map(|path| NewFile::create(path, &args.input, None)).transpose()?;
    let bar = Bar::new(false);
    let found = survey(&checkpoint, &|done, all| {
        bar.set(done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    if let Some(file) = html {
        page::inspect::page(&args.input, &found, checkpoint.total_bytes()).write(file)?;
    }
    if args.json {
        let weights = found.iter().filter(|t| t.values.is_some()).map(|t| t.weights).sum();
        let zeros = found.iter().filter_map(|t| t.values.as_ref()).map(|v| v.zeros).sum();
        let (kinds, bytes) = (kinds(&found), checkpoint.total_bytes());
        text::print_json(&Json { tensors: &found, kinds, weights, zeros, bytes })?;
    } else {
        text::print(&shown(&found, checkpoint.total_bytes(), args.tensors)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn kinds(found: &[TensorSurvey]) -> Vec<Kind> {
    let kinds = groups(found, |t| &t.name, |t| (t.dtype.as_str(), t.values.is_some()));
    let kind = |(name, members): (String, Vec<&TensorSurvey>)| {
        let values = || members.iter().filter_map(|t| t.values.as_ref());
        Kind {
            name,
            tensors: members.len(),
            dtype: members[0].dtype.clone(),
            weights: members.iter().map(|t| t.weights).sum(),
            zeros: values().map(|v| v.zeros).sum(),
            nan: values().map(|v| v.nan).sum(),
            infinite: values().map(|v| v.infinite).sum(),
            max: values().filter_map(|v| v.max).max_by(f64::total_cmp),
        }
    };
    kinds.into_iter().map(kind).collect()
}

/// For people: what the tensors of each kind have in common, or each tensor; then cuts; then totals.
fn shown(found: &[TensorSurvey], total: u64, each: bool) -> Result<String> {
    let mut text = String::new();
    let header = ["tensor", "n", "dtype", "weights", "zeros", "median |w|", "max |w|", "row norms", "2:4", "log |w|"];
    let mut grid = Grid::new(&header, &[1, 3, 4, 5, 6, 8]);
    let mut cuts = Grid::new(&["cut for", "10 %", "30 %", "50 %", "70 %", "90 %", "95 %"], &[1, 2, 3, 4, 5, 6]);
    let members = |each| match each {
        true => found.iter().map(|t| (t.name.clone(), vec![t])).collect(),
        false => groups(found, |t| &t.name, |t| (t.dtype.as_str(), t.values.is_some())),
    };
    for (name, members) in members(each) {
        let (number, dtype) = (members.len().to_string(), members[0].dtype.clone());
        let weights = members.iter().map(|t| t.weights).sum();
        let values: Vec<&Values> = members.iter().filter_map(|t| t.values.as_ref()).collect();
        let [first, ..] = values[..] else {
            let none = || "-".to_string();
            grid.short_row([
                name,
                number,
                dtype,
                count(weights),
                none(),
                none(),
                none(),
                none(),
                none(),
                String::new(),
            ]);
            continue;
        };
        let zeros = percent(values.iter().map(|v| v.zeros).sum(), weights);
        let median = middle(values.iter().filter_map(|v| v.median));
        let max = values.iter().filter_map(|v| v.max).max_by(f64::total_cmp);
        // NaN lies above infinity.
        let low = values.iter().map(|v| v.rows.min).min_by(f64::total_cmp).unwrap_or(0.0);
        let high = values.iter().map(|v| v.rows.max).max_by(f64::total_cmp).unwrap_or(0.0);
        let rows = if first.rows.count > 1 { format!("{} .. {}", short(low), short(high)) } else { short(high) };
        let groups = values.iter().filter_map(|v| v.two_of_four).reduce(f64::min);
        grid.short_row([
            name.clone(),
            number,
            dtype,
            count(weights),
            zeros,
            median.map_or("-".into(), magnitude),
            max.map_or("-".into(), magnitude),
            rows,
            groups.map_or("-".into(), |share| format!("{:.0} %", (100.0 * share).floor())),
            spark(&binades(&values), term::unicode()),
        ]);
        let cut = |s: f64| {
            let place = SPARSITIES.iter().position(|other| *other == s).expect("one of them");
            middle(values.iter().filter_map(|v| v.cuts[place].cut)).map_or("-".into(), magnitude)
        };
        cuts.short_row([name].into_iter().chain([0.1, 0.3, 0.5, 0.7, 0.9, 0.95].map(cut)));
    }
    write!(text, "{grid}{cuts}")?;
    let values = || found.iter().filter_map(|t| t.values.as_ref().map(|v| (t, v)));
    for (tensor, v) in values().filter(|(_, v)| v.nan + v.infinite > 0).take(20) {
        let name = text::printable(&tensor.name);
        let note = format!("note: {name} has {} NaN and {} infinite weights", count(v.nan), count(v.infinite));
        writeln!(text, "{}", paint(Paint::Note, &note))?;
    }
    let (weights, zeros) = (values().map(|(t, _)| t.weights).sum(), values().map(|(_, v)| v.zeros).sum());
    let kinds = found.iter().map(|t| pattern(&t.name)).collect::<std::collections::HashSet<_>>().len();
    let totals = format!(
        "{} tensors of {} kinds, {} weights, {} zeros ({}), {}",
        count(found.len() as u64),
        count(kinds as u64),
        count(weights),
        count(zeros),
        percent(zeros, weights),
        bytes(total as f64)
    );
    writeln!(text, "{}", paint(Paint::Bold, &totals))?;
    Ok(text)
}

/// Weights of each power of two, over all of these tensors.
pub fn binades(values: &[&Values]) -> Vec<(i32, u64)> {
    let mut all = std::collections::BTreeMap::new();
    for (exponent, count) in values.iter().flat_map(|v| &v.binades) {
        *all.entry(*exponent).or_insert(0) += count;
    }
    all.into_iter().collect()
}

/// Powers of two that a spark line shows, up to the largest that occurs.
const SPARKS: i32 = 16;

/// How high a character is, in eighths, where there are no blocks.
const ASCII: &[u8; 8] = b".:-=+*#@";

/// One character for each power of two, as high as it has weights: `▁▁▂▄▇█▃▁ 2^-2`, or `..:=#@-. 2^-2` in ASCII.
pub fn spark(binades: &[(i32, u64)], unicode: bool) -> String {
    let Some((last, _)) = binades.last() else { return String::new() };
    let highest = binades.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let bar = |exponent: i32| {
        let count = binades.iter().find(|(other, _)| *other == exponent).map_or(0, |(_, count)| *count);
        // Rounded up: what is there is seen.
        let eighths = (8.0 * count as f64 / highest as f64).ceil() as u32;
        match eighths {
            0 => ' ',
            _ if !unicode => ASCII[eighths as usize - 1].into(),
            _ => char::from_u32(0x2580 + eighths).unwrap_or('█'),
        }
    };
    let bars: String = (last - SPARKS + 1..=*last).map(bar).collect();
    format!("{bars} 2^{last}")
}

/// The middle one.
pub fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Three digits.
fn short(value: f64) -> String {
    match value {
        v if v == 0.0 || (0.01..1e4).contains(&v) => format!("{v:.3}"),
        v if v.is_finite() => format!("{v:.2e}"),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_line_shows_what_there_is() {
        assert_eq!(spark(&[], true), "");
        let some = [(-40, 9), (-4, 1), (-3, 1000), (-2, 500)];
        assert_eq!(spark(&some, true), "             ▁█▄ 2^-2");
        assert_eq!(spark(&some, false), "             .@= 2^-2");
    }
}
