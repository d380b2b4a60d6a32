//! How often each magnitude occurs: what every sparsity does to a tensor follows from it.

use serde::Serialize;

use crate::Dtype;

/// Counts of a tensor's weights by magnitude, in bins: one magnitude each for types of 16 and 8 bits, for F32 those that
/// share their sign's neighbours down to 8 bits of mantissa (1 part in 256).
///
/// What it says of 16 and 8 bits is exact. Of F32, a cut is off by at most 1 part in 256, and a relative error by at most 1
/// part in 500, since a magnitude lies within 1 part in 512 of the middle of its bin, but for subnormal ones (below
/// 1.2e-38), whose bins are coarser.
#[derive(Debug, Clone, PartialEq)]
pub struct Magnitudes {
    dtype: Dtype,
    /// Those that are 0.
    zeros: u64,
    /// The others: bins that are not empty, from the smallest magnitude up, number and count.
    bins: Vec<(u32, u64)>,
    weights: u64,
    /// The smallest key above 0 and the largest that is finite: the first and the last bin hold nothing beyond them.
    ends: Option<(u32, u32)>,
    /// The sum of the squares of those that are finite.
    energy: f64,
}

/// What a sparsity does to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// The share of the weights that goes, zeros included.
    pub sparsity: f64,
    /// The largest magnitude that goes; none where nothing does.
    pub cut: Option<f64>,
    /// ‖W − W′‖ / ‖W‖ in the Frobenius norm, over the weights that are finite.
    pub error: f64,
}

/// Bits of a key that a bin leaves out.
pub(super) const fn shift(dtype: Dtype) -> u32 {
    if matches!(dtype, Dtype::F32) { 15 } else { 0 }
}

/// How many bins there are.
pub(super) const fn bins(dtype: Dtype) -> usize {
    (dtype.max_key() >> shift(dtype)) as usize + 1
}

impl Magnitudes {
    /// Of weights of each bin, of which `zeros` in the first are 0; the smallest key above 0 and the largest that is finite.
    pub(super) fn new(dtype: Dtype, counts: &[u64], zeros: u64, ends: Option<(u32, u32)>) -> Self {
        let others = (0..).zip(counts).map(|(bin, count)| (bin, if bin == 0 { count - zeros } else { *count }));
        let bins = others.filter(|(_, count)| *count > 0).collect();
        let mut all = Self { dtype, zeros, bins, weights: 0, ends, energy: 0.0 };
        all.weights = counts.iter().sum();
        all.energy = all.bins.iter().map(|&(bin, count)| all.square(bin) * count as f64).sum();
        all
    }

    /// Weights in all.
    pub fn weights(&self) -> u64 {
        self.weights
    }

    /// The sum of the squares of those that are finite: ‖W‖².
    pub fn energy(&self) -> f64 {
        self.energy
    }

    /// Where bin `bin` ends: its smallest and its largest magnitude.
    fn ends(&self, bin: u32) -> (f64, f64) {
        let shift = shift(self.dtype);
        let (mut low, mut high) = (bin << shift, (((bin + 1) << shift) - 1).min(self.dtype.max_key()));
        if let Some((least, most)) = self.ends {
            low = if bin == least >> shift { least } else { low };
            high = if bin == most >> shift { most } else { high };
        }
        (self.dtype.magnitude(low), self.dtype.magnitude(high))
    }

    /// The square of a magnitude in the middle of a bin; 0 where it is not finite.
    fn square(&self, bin: u32) -> f64 {
        let (low, high) = self.ends(bin);
        let middle = if high.is_finite() { low + (high - low) / 2.0 } else { low };
        if middle.is_finite() { middle * middle } else { 0.0 }
    }

    /// The magnitude of rank `k` (from 1 on) in the order in which weights go; NaN comes last. None for 0, and beyond.
    pub fn ranked(&self, k: u64) -> Option<f64> {
        if k > 0 && k <= self.zeros {
            return Some(0.0);
        }
        let mut below = self.zeros;
        for &(bin, count) in &self.bins {
            if k > below && k - below <= count {
                let (low, high) = self.ends(bin);
                // As if they were spread evenly over the bin.
                let part = (k - below) as f64 / count as f64;
                return Some(if high.is_finite() { low + (high - low) * part } else { low });
            }
            below += count;
        }
        None
    }

    /// The magnitude below which a share of the weights lies; none for a tensor without weights.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.ranked(crate::quota(share, self.weights).max(1))
    }

    /// What goes where the `k` smallest go: the sum of their squares.
    fn lost(&self, k: u64) -> f64 {
        let (mut left, mut lost) = (k.saturating_sub(self.zeros), 0.0);
        for &(bin, count) in &self.bins {
            let goes = count.min(left);
            lost += self.square(bin) * goes as f64;
            left -= goes;
            if left == 0 {
                break;
            }
        }
        lost
    }

    /// What it does to the tensor if its `k` smallest weights go.
    pub fn point(&self, k: u64) -> Point {
        let error = if self.energy > 0.0 { (self.lost(k) / self.energy).min(1.0).sqrt() } else { 0.0 };
        let sparsity = if self.weights > 0 { k as f64 / self.weights as f64 } else { 0.0 };
        Point { sparsity, cut: self.ranked(k), error }
    }

    /// The same for each of these shares.
    pub fn curve(&self, sparsities: &[f64]) -> Vec<Point> {
        sparsities.iter().map(|s| self.point(crate::quota(*s, self.weights))).collect()
    }

    /// What the weights cost, from the cheapest on: `(square, how many)`.
    pub(super) fn squares(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let zeros = (self.zeros > 0).then_some((0.0, self.zeros));
        zeros.into_iter().chain(self.bins.iter().map(|&(bin, count)| (self.square(bin), count)))
    }

    /// How many finite weights other than zero there are of each power of two: `(e, how many)` for magnitudes from `2^e` on
    /// and below `2^(e + 1)`.
    pub fn binades(&self) -> Vec<(i32, u64)> {
        let mut binades: Vec<(i32, u64)> = Vec::new();
        for &(bin, count) in &self.bins {
            let (_, high) = self.ends(bin);
            if high > 0.0 && high.is_finite() {
                let exponent = exponent(high);
                match binades.last_mut() {
                    Some((last, all)) if *last == exponent => *all += count,
                    _ => binades.push((exponent, count)),
                }
            }
        }
        binades
    }
}

/// The power of two at or below a positive number.
fn exponent(magnitude: f64) -> i32 {
    // All magnitudes are normal numbers in f64.
    ((magnitude.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dtype: Dtype, keys: &[u32]) -> Magnitudes {
        let mut counts = vec![0; bins(dtype)];
        keys.iter().for_each(|key| counts[(key >> shift(dtype)) as usize] += 1);
        let numbers = || keys.iter().filter(|key| **key > 0 && dtype.magnitude(**key).is_finite());
        let ends = numbers().min().copied().zip(numbers().max().copied());
        Magnitudes::new(dtype, &counts, keys.iter().filter(|key| **key == 0).count() as u64, ends)
    }

    #[test]
    fn sixteen_bits_are_exact() {
        let bits = |v: f32| v.to_bits() >> 16;
        let some = of(Dtype::BF16, &[bits(3.0), bits(1.0), 0, bits(2.0), bits(2.0), 0x7fc0]);
        assert_eq!((some.weights(), some.energy()), (6, 18.0));
        let ranked: Vec<_> = (0..=5).map(|k| some.ranked(k)).collect();
        assert_eq!(ranked, [None, Some(0.0), Some(1.0), Some(2.0), Some(2.0), Some(3.0)]);
        assert!(some.ranked(6).unwrap().is_nan() && some.ranked(7).is_none());
        let point = some.point(3);
        assert_eq!((point.sparsity, point.cut, point.error), (0.5, Some(2.0), (5.0f64 / 18.0).sqrt()));
        assert_eq!(some.binades(), [(0, 1), (1, 3)]);
    }

    #[test]
    fn the_ends_of_f32_are_exact() {
        let bits = f32::to_bits;
        for some in [&[3.0f32; 5][..], &[1e-42; 3], &[0.75], &[0.5, 0.5, f32::NAN, f32::INFINITY]] {
            let keys: Vec<u32> = some.iter().map(|value| bits(*value)).collect();
            let (found, most) = (of(Dtype::F32, &keys), f64::from(some[0]));
            assert_eq!((found.ranked(1), found.point(1).cut), (Some(most), Some(most)), "{some:?}");
            let energy = some.iter().filter(|v| v.is_finite()).map(|v| f64::from(v * v)).sum::<f64>();
            assert!((found.energy() - energy).abs() <= 1e-12 * energy || energy == 0.0, "{some:?}");
        }
        let some = of(Dtype::F32, &[bits(0.5), bits(0.501), bits(4.0), bits(4.001)]);
        assert!(some.ranked(1).unwrap() >= 0.5 && some.ranked(4) == Some(f64::from(4.001f32)));
    }

    #[test]
    fn nothing_and_zeros_have_no_error() {
        for some in [of(Dtype::F32, &[]), of(Dtype::F16, &[0, 0]), of(Dtype::F8E4M3, &[0x7f])] {
            assert_eq!(some.point(some.weights()).error, 0.0);
            assert!(some.binades().is_empty());
        }
    }
}
