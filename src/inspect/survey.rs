//! One pass over a checkpoint, on the CPU: every weight is looked at once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::magnitudes::{Magnitudes, Point};
use super::tally::{MOST_NORMS, Special, Spread, Tally};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::shared::shared;
use crate::{Dtype, Error, Result};

/// What there is to say of one tensor. What it has not is none: a tensor that is not of floats has neither zeros nor
/// magnitudes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorSurvey {
    /// Its name.
    pub name: String,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Elements in all.
    pub weights: u64,
    /// What its weights are, for types that lopper prunes.
    pub values: Option<Values>,
    /// How often each magnitude occurs.
    #[serde(skip)]
    pub magnitudes: Option<Magnitudes>,
}

/// The weights of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Values {
    /// ±0.
    pub zeros: u64,
    /// NaN.
    pub nan: u64,
    /// ±infinity.
    pub infinite: u64,
    /// The smallest magnitude above 0 that is a number; none where there is none.
    pub min: Option<f64>,
    /// The middle one of all magnitudes, zeros included.
    pub median: Option<f64>,
    /// The largest magnitude that is finite.
    pub max: Option<f64>,
    /// The root of the mean of the squares of those that are finite.
    pub rms: f64,
    /// Magnitudes below which a share of the weights lies.
    pub quantiles: Vec<Quantile>,
    /// What each of [`SPARSITIES`] does to it.
    pub cuts: Vec<Point>,
    /// L2 norms of the rows: `[shape[0], product of the rest]`.
    pub rows: Norms,
    /// L2 norms of the columns; none where there are more than 2^20.
    pub columns: Option<Norms>,
    /// The share of the groups of 4 along a row of which at least 2 are zero; none where there are no such groups.
    pub two_of_four: Option<f64>,
    /// The share of the groups of 8 along a row of which at least 4 are zero.
    pub four_of_eight: Option<f64>,
    /// How many finite weights other than 0 there are of each power of two: `[e, how many]` for magnitudes from 2^e on and
    /// below 2^(e + 1).
    pub binades: Vec<(i32, u64)>,
}

/// A magnitude below which a share of the weights lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quantile {
    /// The share.
    pub share: f64,
    /// The magnitude.
    pub magnitude: Option<f64>,
}

/// How norms spread. Norms of rows and columns with NaN or infinity in them are no numbers, and JSON has `null` for those.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Norms {
    /// How many there are.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The middle one; none where there are more than 2^20.
    pub median: Option<f64>,
    /// The largest.
    pub max: f64,
    /// How many are 0.
    pub zeros: u64,
}

/// The sparsities of [`Values::cuts`].
pub const SPARSITIES: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95];

/// The shares of [`Values::quantiles`].
pub const SHARES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// Bytes that a thread reads at a time: whole groups of eight weights.
const PIECE: u64 = 1 << 18;

/// Rows of about as many bytes are a thread's share at a time.
const SHARE: u64 = 1 << 20;

/// Looks at every tensor of a checkpoint; `progress` is told bytes done and bytes in all, and stops it with
/// [`ControlFlow::Break`]. Uses as many threads as there are processors, and for each about 1 MiB and 8 bytes for each
/// column of a tensor; for each tensor that it has seen, 16 bytes for each different magnitude, of which F32 has at most
/// 65,536 here.
///
/// # Errors
/// Those of reading; [`Error::Cancelled`] where it was stopped.
pub fn survey(
    checkpoint: &Checkpoint,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<Vec<TensorSurvey>> {
    let all = checkpoint.tensors().iter().map(TensorInfo::bytes).sum();
    let done = AtomicU64::new(0);
    let on_bytes = |bytes: u64| match progress(done.fetch_add(bytes, Ordering::Relaxed) + bytes, all) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    };
    let infos = checkpoint.tensors().iter().enumerate();
    infos.map(|(number, info)| Pass { checkpoint, number, info, on_bytes: &on_bytes }.tensor()).collect()
}

struct Pass<'a> {
    checkpoint: &'a Checkpoint,
    number: usize,
    info: &'a TensorInfo,
    on_bytes: &'a (dyn Fn(u64) -> Result<()> + Sync),
}

impl Pass<'_> {
    fn tensor(&self) -> Result<TensorSurvey> {
        let name = self.info.dtype.to_string();
        let weights = self.info.shape.iter().product();
        let (values, magnitudes) = match self.info.prunable() {
            Some(dtype) if weights > 0 => {
                let (values, magnitudes) = self.values(dtype, weights)?;
                (Some(values), Some(magnitudes))
            }
            _ => {
                (self.on_bytes)(self.info.bytes())?;
                (None, None)
            }
        };
        let (tensor, shape) = (self.info.name.clone(), self.info.shape.clone());
        Ok(TensorSurvey { name: tensor, dtype: name, shape, weights, values, magnitudes })
    }

    fn values(&self, dtype: Dtype, weights: u64) -> Result<(Values, Magnitudes)> {
        let rows = if self.info.shape.len() < 2 { 1 } else { self.info.shape[0] };
        let columns = weights / rows;
        let row_bytes = columns * dtype.size() as u64;
        let per_share = (SHARE / row_bytes).clamp(1, rows);
        let shares = rows.div_ceil(per_share);
        let new = || (Tally::new(dtype, rows, columns), Vec::new());
        let tallies = shared(shares, new, |(tally, piece), share| {
            let first = share * per_share;
            self.rows(first..rows.min(first + per_share), row_bytes, piece, tally)
        })?;
        let tally = tallies.into_iter().map(|(tally, _)| tally).reduce(|mut all, more| {
            all.add(more);
            all
        });
        let tally = tally.expect("there is one thread at least");
        Ok(summary(dtype, tally, rows, columns))
    }

    fn rows(&self, rows: std::ops::Range<u64>, row_bytes: u64, piece: &mut Vec<u8>, tally: &mut Tally) -> Result<()> {
        let size = tally.dtype.size() as u64;
        // Many short rows are read at once, and long ones in pieces.
        let at_once = (PIECE / row_bytes).max(1);
        let mut row = rows.start;
        while row < rows.end {
            let some = at_once.min(rows.end - row);
            let (mut at, end, mut sum) = (row * row_bytes, (row + some) * row_bytes, 0.0);
            while at < end {
                piece.resize(PIECE.max(row_bytes.min(PIECE) * some).min(end - at) as usize, 0);
                self.checkpoint.read_at(self.number, at, piece)?;
                (self.on_bytes)(piece.len() as u64)?;
                if row_bytes > PIECE {
                    sum += tally.take(piece, (at - row * row_bytes) / size);
                } else {
                    for row_piece in piece.chunks_exact(row_bytes as usize) {
                        let sum = tally.take(row_piece, 0);
                        tally.rows.take(sum.sqrt());
                    }
                }
                at += piece.len() as u64;
            }
            if row_bytes > PIECE {
                tally.rows.take(sum.sqrt());
            }
            row += some;
        }
        Ok(())
    }
}

fn summary(dtype: Dtype, mut tally: Tally, rows: u64, columns: u64) -> (Values, Magnitudes) {
    let column_norms: Vec<f64> = tally.columns.iter().map(|sum| sum.sqrt()).collect();
    let (row_norms, groups) = (std::mem::take(&mut tally.rows), tally.groups);
    let (counts, ends, Special { zeros, nan, infinite }) = tally.finish();
    let magnitudes = Magnitudes::new(dtype, counts, zeros, ends);
    let finite = magnitudes.weights() - nan - infinite;
    let share = |zero: u64, of: u64| {
        let all = rows * (columns / of);
        (all > 0).then(|| zero as f64 / all as f64)
    };
    let quantile = |share: &f64| Quantile { share: *share, magnitude: magnitudes.quantile(*share) };
    let values = Values {
        zeros,
        nan,
        infinite,
        min: ends.map(|(low, _)| dtype.magnitude(low)),
        median: magnitudes.quantile(0.5),
        max: ends.map(|(_, high)| dtype.magnitude(high)),
        rms: if finite > 0 { (magnitudes.energy() / finite as f64).sqrt() } else { 0.0 },
        quantiles: SHARES.iter().map(quantile).collect(),
        cuts: magnitudes.curve(&SPARSITIES),
        rows: Norms::of(row_norms, rows),
        columns: (columns <= MOST_NORMS).then(|| {
            let mut spread = Spread::kept();
            column_norms.iter().for_each(|norm| spread.take(*norm));
            Norms::of(spread, columns)
        }),
        two_of_four: share(groups[0], 4),
        four_of_eight: share(groups[1], 8),
        binades: magnitudes.binades(),
    };
    (values, magnitudes)
}

impl Norms {
    fn of(mut spread: Spread, count: u64) -> Self {
        spread.norms.sort_unstable_by(f64::total_cmp);
        let (min, max) = spread.ends.unwrap_or((0.0, 0.0));
        Self { count, min, median: spread.norms.get(spread.norms.len() / 2).copied(), max, zeros: spread.zeros }
    }
}
