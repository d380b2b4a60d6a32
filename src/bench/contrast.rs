//! Two results side by side: of two machines, or of two versions.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::results::{Case, Moment, Results};
use crate::{Result, json_file};

/// Bytes of a file of results at most: a hundred thousand cases are half of it.
const MOST: u64 = 64 << 20;

/// No difference below this share is clear, as spreads of few rounds may be 0.
const LEAST: f64 = 0.01;

/// Sparsities that are so far apart are different cases.
const SAME: f64 = 5e-4;

impl Results {
    /// Reads what `lopper bench --json` has written.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the file cannot be read; [`Error::Data`](crate::Error::Data) where it is larger than 64 MiB, or holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        json_file::read(path, MOST, "a result of `lopper bench --json`")
    }
}

/// A product that both have measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// What it is, as the first has it.
    pub layer: Option<String>,
    /// Outputs.
    pub rows: u64,
    /// Inputs.
    pub cols: u64,
    /// Element type of the weights.
    pub dtype: String,
    /// Which weights are gone.
    pub pattern: String,
    /// The share of them that is.
    pub sparsity: f64,
    /// Vectors at once.
    pub batch: u32,
    /// How it is stored.
    pub format: String,
    /// Its times.
    pub times: [Moment; 2],
    /// How many times as fast as dense it is on each.
    pub speedups: [f64; 2],
    /// How many times as fast the second is.
    pub ratio: f64,
    /// Whether that is more than the spreads of both times explain.
    pub clear: bool,
}

/// Two results side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// What both have measured.
    pub pairs: Vec<Pair>,
    /// How many cases are in one of them alone.
    pub alone: [usize; 2],
    /// How many times as high the second's roofs are: read, copy, multiply-adds.
    pub roofs: [f64; 3],
    /// The median of the ratios; none without a pair.
    pub median: Option<f64>,
}

impl Contrast {
    /// Pairs the cases of two results.
    pub fn new(first: &Results, second: &Results) -> Self {
        let mut others: HashMap<Key<'_>, Vec<&Case>> = HashMap::new();
        second.cases.iter().for_each(|case| others.entry(key(case)).or_default().push(case));
        let mut pairs = Vec::new();
        for case in &first.cases {
            let Some(alike) = others.get_mut(&key(case)) else { continue };
            let Some(place) = alike.iter().position(|other| (other.sparsity - case.sparsity).abs() < SAME) else {
                continue;
            };
            pairs.push(pair(case, alike.swap_remove(place)));
        }
        let mut ratios: Vec<f64> = pairs.iter().map(|pair| pair.ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let roofs = |results: &Results| [results.roofs.read, results.roofs.copy, results.roofs.fma];
        let (a, b) = (roofs(first), roofs(second));
        Self {
            alone: [first.cases.len() - pairs.len(), second.cases.len() - pairs.len()],
            pairs,
            roofs: [b[0] / a[0], b[1] / a[1], b[2] / a[2]],
            median: ratios.get(ratios.len() / 2).copied(),
        }
    }
}

/// What must be the same, but for the sparsity.
type Key<'a> = (Option<&'a str>, u64, u64, &'a str, &'a str, u32, &'a str);

fn key(case: &Case) -> Key<'_> {
    let Case { layer, rows, cols, dtype, pattern, batch, format, .. } = case;
    (layer.as_deref(), *rows, *cols, dtype, pattern, *batch, format)
}

fn pair(a: &Case, b: &Case) -> Pair {
    let ratio = a.time.seconds / b.time.seconds;
    Pair {
        layer: a.layer.clone(),
        rows: a.rows,
        cols: a.cols,
        dtype: a.dtype.clone(),
        pattern: a.pattern.clone(),
        sparsity: a.sparsity,
        batch: a.batch,
        format: a.format.clone(),
        times: [a.time, b.time],
        speedups: [a.speedup, b.speedup],
        ratio,
        clear: ratio.max(1.0 / ratio) - 1.0 > (a.time.spread + b.time.spread).max(LEAST),
    }
}
