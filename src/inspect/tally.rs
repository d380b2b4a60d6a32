//! What one thread counts of some rows.

use super::magnitudes::{bins, shift};
use super::numbers::numbers;
use crate::Dtype;

/// Rows and columns of which norms are kept, at most.
pub(super) const MOST_NORMS: u64 = 1 << 20;

/// Weights that are turned to numbers at a time: whole groups of N:M.
const PIECE: usize = 4096;

/// Counts of a tensor, or of some of its rows.
pub(super) struct Tally {
    pub dtype: Dtype,
    /// Weights of each bin. 32 bits are enough for a thread's share between two calls of [`settle`](Self::settle).
    fresh: Vec<u32>,
    fresh_weights: u64,
    counts: Vec<u64>,
    /// Of F32, whose bins do not tell: the smallest key above 0, less 1, the largest that is finite, and how many are 0, NaN
    /// and infinite.
    low: u32,
    high: u32,
    special: Special,
    pub rows: Spread,
    /// Sums of squares of the columns; empty where they are too many.
    pub columns: Vec<f64>,
    /// Groups of 4 of which 2 are zero, and groups of 8 of which 4 are.
    pub groups: [u64; 2],
    values: Vec<f32>,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Special {
    pub zeros: u64,
    pub nan: u64,
    pub infinite: u64,
}

/// Norms of rows; kept if they are not too many.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    pub norms: Vec<f64>,
    keep: bool,
    pub ends: Option<(f64, f64)>,
    pub zeros: u64,
}

/// Weights after which 32-bit counts are added to the 64-bit ones.
const SETTLE: u64 = 1 << 31;

impl Tally {
    /// For a tensor of so many rows and columns.
    pub fn new(dtype: Dtype, rows: u64, columns: u64) -> Self {
        Self {
            dtype,
            fresh: vec![0; bins(dtype)],
            fresh_weights: 0,
            counts: vec![0; bins(dtype)],
            low: u32::MAX,
            high: 0,
            special: Special::default(),
            rows: Spread { keep: rows <= MOST_NORMS, ..Spread::default() },
            columns: vec![0.0; if columns <= MOST_NORMS { columns as usize } else { 0 }],
            groups: [0; 2],
            values: vec![0.0; PIECE],
        }
    }

    /// Takes weights of one row, from column `column` on; gives the sum of their squares. Pieces of a row must be whole
    /// multiples of 8 weights, but for the last.
    pub fn take(&mut self, bytes: &[u8], column: u64) -> f64 {
        let size = self.dtype.size();
        self.fresh_weights += (bytes.len() / size) as u64;
        if self.fresh_weights >= SETTLE {
            self.settle();
        }
        let mut sum = 0.0;
        let mut column = column as usize;
        for piece in bytes.chunks(PIECE * size) {
            self.count(piece);
            let count = piece.len() / size;
            let values = &mut self.values[..count];
            sum += squares(values);
            if !self.columns.is_empty() {
                let columns = &mut self.columns[column..column + count];
                columns.iter_mut().zip(&*values).for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value));
            }
            for eight in values.as_chunks::<8>().0 {
                let zeros = |some: &[f32]| some.iter().map(|value| u64::from(*value == 0.0)).sum::<u64>();
                let (left, right) = (zeros(&eight[..4]), zeros(&eight[4..]));
                self.groups[0] += u64::from(left >= 2) + u64::from(right >= 2);
                self.groups[1] += u64::from(left + right >= 4);
            }
            if let Some(four) = values.as_chunks::<8>().1.first_chunk::<4>() {
                self.groups[0] += u64::from(four.iter().filter(|value| **value == 0.0).count() >= 2);
            }
            column += count;
        }
        sum
    }

    /// Counts magnitudes, and leaves the numbers in `values`.
    fn count(&mut self, piece: &[u8]) {
        let values = &mut self.values[..piece.len() / self.dtype.size()];
        numbers(self.dtype, piece, values);
        let (max_key, shift) = (self.dtype.max_key(), shift(self.dtype));
        let mut one = |bits: u32| self.fresh[((bits & max_key) >> shift) as usize] += 1;
        match self.dtype.size() {
            1 => piece.iter().for_each(|bits| one((*bits).into())),
            2 => piece.as_chunks().0.iter().for_each(|bytes| one(u16::from_le_bytes(*bytes).into())),
            _ => {
                piece.as_chunks().0.iter().for_each(|bytes| one(u32::from_le_bytes(*bytes)));
                self.count_apart(piece.len() / 4);
            }
        }
    }

    /// What bins of F32 do not tell, of the first of `values`.
    fn count_apart(&mut self, count: usize) {
        let values = &self.values[..count];
        let keys = || values.iter().map(|value| value.to_bits() & self.dtype.max_key());
        let low = keys().map(|key| key.wrapping_sub(1)).min().unwrap_or(u32::MAX);
        let mut high = keys().max().unwrap_or(0);
        if high >= self.dtype.max_number_key() {
            self.special.nan += values.iter().filter(|value| value.is_nan()).count() as u64;
            self.special.infinite += values.iter().filter(|value| value.is_infinite()).count() as u64;
            high = keys().filter(|key| *key < self.dtype.max_number_key()).max().unwrap_or(0);
        }
        self.special.zeros += values.iter().map(|value| u64::from(*value == 0.0)).sum::<u64>();
        (self.low, self.high) = (self.low.min(low), self.high.max(high));
    }

    fn settle(&mut self) {
        for (all, fresh) in self.counts.iter_mut().zip(&mut self.fresh) {
            *all += u64::from(std::mem::take(fresh));
        }
        self.fresh_weights = 0;
    }

    /// Adds what another thread counted of the same tensor.
    pub fn add(&mut self, mut other: Tally) {
        self.settle();
        other.settle();
        self.counts.iter_mut().zip(other.counts).for_each(|(all, more)| *all += more);
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
        let (all, more) = (&mut self.special, other.special);
        *all =
            Special { zeros: all.zeros + more.zeros, nan: all.nan + more.nan, infinite: all.infinite + more.infinite };
        self.rows.add(other.rows);
        self.columns.iter_mut().zip(other.columns).for_each(|(all, more)| *all += more);
        self.groups.iter_mut().zip(other.groups).for_each(|(all, more)| *all += more);
    }

    /// Weights of each bin; the smallest key above 0 and the largest that is finite, where there are any; what is counted
    /// apart.
    pub fn finish(&mut self) -> (&[u64], Option<(u32, u32)>, Special) {
        self.settle();
        if self.dtype == Dtype::F32 {
            let ends = (self.high > 0).then(|| (self.low + 1, self.high));
            return (&self.counts, ends, self.special);
        }
        let largest = self.dtype.max_number_key();
        let infinity = self.dtype.magnitude(largest).is_infinite();
        let numbers = || (1..largest + u32::from(!infinity)).filter(|key| self.counts[*key as usize] > 0);
        let special = Special {
            zeros: self.counts[0],
            nan: self.counts[largest as usize + 1..].iter().sum(),
            infinite: if infinity { self.counts[largest as usize] } else { 0 },
        };
        (&self.counts, numbers().next().zip(numbers().next_back()), special)
    }
}

impl Spread {
    /// One that keeps all of them.
    pub fn kept() -> Self {
        Self { keep: true, ..Self::default() }
    }

    pub fn take(&mut self, norm: f64) {
        // A NaN lies above infinity, whatever its sign was. Choosing between `f64::NAN` and the norm would not do: a compiler may
        // take any NaN for any other, and release builds did.
        let norm = norm.abs();
        if self.keep {
            self.norms.push(norm);
        }
        self.zeros += u64::from(norm == 0.0);
        self.ends = Some(self.ends.map_or((norm, norm), |ends| wider(ends, (norm, norm))));
    }

    fn add(&mut self, mut other: Spread) {
        self.norms.append(&mut other.norms);
        self.zeros += other.zeros;
        self.ends = match (self.ends, other.ends) {
            (Some(one), Some(two)) => Some(wider(one, two)),
            (one, two) => one.or(two),
        };
    }
}

/// NaN lies above infinity.
fn wider((low, high): (f64, f64), (other_low, other_high): (f64, f64)) -> (f64, f64) {
    let least = |a: f64, b: f64| if a.total_cmp(&b).is_le() { a } else { b };
    let most = |a: f64, b: f64| if a.total_cmp(&b).is_ge() { a } else { b };
    (least(low, other_low), most(high, other_high))
}

/// Eight sums at a time, as processors add.
fn squares(values: &[f32]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0f64; 8];
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>()
}
