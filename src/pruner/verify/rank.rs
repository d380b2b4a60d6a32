//! Scores from the files alone, as ranks: numbers whose order is that of the scores.

use super::super::score::Score;
use super::super::scores::Scores;
use super::grid::Grid;
use super::pool::Order;
use crate::scheduler::Scoring;
use crate::{Dtype, Norm, Result, reference};

/// How a tensor's weights or units are scored.
pub(super) struct Ranks<'a> {
    dtype: Dtype,
    norm: Norm,
    of_weights: bool,
    given: Given<'a>,
}

enum Given<'a> {
    Magnitude,
    /// A norm for each input.
    Scales(Vec<f32>),
    Random(u64),
    /// A score for each weight: those of the block that is looked at.
    Weights(&'a Scores, usize, Vec<f32>),
    /// A score for each unit: some of them, from this one on.
    Units(&'a Scores, usize, u64, Vec<f32>),
    Unknown,
}

/// Scores of units that are held at a time.
const HELD: u64 = 1 << 16;

/// What scores a unit's weights add up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    weights: u64,
    total: f64,
    largest: f64,
    nan: bool,
}

impl<'a> Ranks<'a> {
    /// `found` is the tensor of the rule's file that scores this one, and what its numbers are; none where the file is not
    /// known.
    pub fn new(
        dtype: Dtype,
        (score, norm): (&Score, Norm),
        grid: &Grid,
        seed: u64,
        found: Option<(&'a Scores, usize, Scoring)>,
    ) -> Result<Self> {
        let given = match (score, found) {
            (Score::Magnitude, _) => Given::Magnitude,
            (Score::Random { .. }, _) => Given::Random(seed),
            (_, Some((scores, number, Scoring::Scaled))) => {
                let mut scales = vec![0.0; grid.inputs() as usize];
                scores.read(number, 0, &mut scales)?;
                Given::Scales(scales)
            }
            (_, Some((scores, number, Scoring::Given))) => Given::Weights(scores, number, Vec::new()),
            (_, Some((scores, number, _))) => Given::Units(scores, number, 0, Vec::new()),
            (_, None) => Given::Unknown,
        };
        Ok(Self { dtype, norm, of_weights: grid.is_of_weights(), given })
    }

    /// What ranks say about the order.
    pub fn order(&self) -> Order {
        match self.given {
            Given::Unknown => Order::Unknown,
            Given::Random(_) | Given::Units(..) => Order::Exact,
            _ if self.of_weights || self.norm == Norm::Linf => Order::Exact,
            _ => Order::Rounded,
        }
    }

    /// Whether ranks are keys of the tensor's own type.
    fn are_keys(&self) -> bool {
        self.of_weights && matches!(self.given, Given::Magnitude)
    }

    /// The rank among tensors of other types.
    pub fn common(&self, rank: u64) -> u64 {
        if self.are_keys() { self.dtype.common_key(rank as u32).into() } else { rank }
    }

    /// The score that a rank stands for.
    pub fn score(&self, rank: u64) -> f64 {
        if self.are_keys() { self.dtype.magnitude(rank as u32) } else { f64::from_bits(rank) }
    }

    /// Makes ready for as many weights from number `first` of the file on.
    pub fn look_at(&mut self, first: u64, count: usize) -> Result<()> {
        if let Given::Weights(scores, number, held) = &mut self.given {
            held.resize(count, 0.0);
            scores.read(*number, first, held)?;
        }
        Ok(())
    }

    /// The score of a weight: number `i` of the block, of input number `input`.
    fn weight_score(&self, key: u32, i: usize, input: u64) -> f64 {
        match &self.given {
            Given::Magnitude => self.dtype.magnitude(key),
            Given::Scales(scales) => {
                let product = f32::from_bits(self.dtype.common_key(key)) * scales[input as usize];
                f64::from(product.abs())
            }
            Given::Weights(_, _, held) => f64::from(held[i]),
            Given::Random(_) | Given::Units(..) | Given::Unknown => 0.0,
        }
    }

    /// The rank of a weight that is unit number `unit`.
    pub fn of_weight(&mut self, key: u32, i: usize, input: impl Fn() -> u64, unit: u64) -> Result<u64> {
        match self.given {
            Given::Magnitude => Ok(key.into()),
            Given::Random(_) | Given::Units(..) => self.of_unit(unit, Sum::default()),
            _ => Ok(rank(self.weight_score(key, i, input()))),
        }
    }

    /// Adds a weight to its unit.
    pub fn add(&self, sum: &mut Sum, key: u32, i: usize, input: u64) {
        let score = self.weight_score(key, i, input);
        sum.weights += 1;
        sum.nan |= score.is_nan();
        sum.total += if self.norm == Norm::L2 { score * score } else { score };
        sum.largest = sum.largest.max(score);
    }

    /// The rank of a unit, whose weights add up to this.
    pub fn of_unit(&mut self, unit: u64, sum: Sum) -> Result<u64> {
        let score = match &mut self.given {
            Given::Random(seed) => f64::from(reference::random(*seed, unit, 1)[0]),
            Given::Units(scores, number, first, held) => {
                if unit < *first || unit - *first >= held.len() as u64 {
                    *first = unit / HELD * HELD;
                    held.resize(scores.held(*number, *first, HELD) as usize, 0.0);
                    scores.read(*number, *first, held)?;
                }
                f64::from(held[(unit - *first) as usize])
            }
            _ if sum.nan => f64::NAN,
            _ => {
                // What is beyond an f32 is infinite there.
                let total = if sum.total > f64::from(f32::MAX) { f64::INFINITY } else { sum.total };
                match self.norm {
                    Norm::L1 => total,
                    Norm::L2 => total.sqrt(),
                    Norm::Linf => sum.largest,
                    Norm::Mean => total / sum.weights as f64,
                }
            }
        };
        Ok(rank(score))
    }

    /// Whether the score of rank `a` is surely above that of rank `b`, whatever the order in which `weights` numbers of 24
    /// bits are added up, and if what is below the smallest normal number is left out.
    pub fn above(&self, a: u64, b: u64, weights: u64) -> bool {
        self.beyond(self.score(a), self.score(b), weights)
    }

    /// The same for two scores.
    pub fn beyond(&self, a: f64, b: f64, weights: u64) -> bool {
        if self.order() == Order::Exact || a.is_nan() || b.is_nan() {
            return a.total_cmp(&b).is_gt();
        }
        let lost = weights as f64 * f64::from(f32::MIN_POSITIVE);
        let lost = if self.norm == Norm::L2 { lost.sqrt() } else { lost };
        a > b * (1.0 + (weights as f64 + 4.0) * f64::from(f32::EPSILON)) + lost
    }
}

/// The bits of numbers that are not negative are in their order; there is one NaN, above infinity.
fn rank(score: f64) -> u64 {
    if score.is_nan() { f64::NAN.to_bits() } else { score.to_bits() }
}
