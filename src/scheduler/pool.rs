//! The cut of weights of several element types, from each type's own histogram: pure arithmetic on counts.
//!
//! Types are compared by value, in the order of [`Dtype::common_key`]. An interval of common keys becomes a window of
//! keys for each type; the counts of all types together then either hold the cut, or name a smaller interval.

use crate::Dtype;
use crate::reference::{Counts, Window};

/// Common keys `low..high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub low: u32,
    pub high: u32,
}

/// One element type's part of the pool.
#[derive(Debug, Clone)]
pub struct Part {
    pub dtype: Dtype,
    pub window: Window,
    pub counts: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolStep {
    /// All weights below this common key go, and `go` of the `ties` equal to it.
    Found { common: u32, ties: u64, go: u64 },
    /// Count again, between these.
    Count(Interval),
}

impl Interval {
    /// Every key there is.
    pub const ALL: Interval = Interval { low: 0, high: 1 << 31 };

    /// The keys of a type within the interval: at least one, so that there is something to count.
    pub fn window(self, dtype: Dtype, capacity: u32) -> Window {
        // The smallest key whose common key is at least `common`.
        let ceiling = |common: u32| match dtype.floor_key(common) {
            (key, true) => key,
            (0, false) if dtype.common_key(0) > common => 0,
            (key, false) => key + 1,
        };
        let low = ceiling(self.low).min(dtype.max_key());
        let high = if self.high >= 1 << 31 { dtype.max_key() + 1 } else { ceiling(self.high) };
        Window::over(low, high.saturating_sub(low).max(1), capacity)
    }
}

impl Part {
    /// The common key at which bin `b` starts.
    fn start(&self, b: usize) -> u32 {
        self.dtype.common_key(self.window.low + ((b as u32) << self.window.shift))
    }

    /// Weights with a common key below `common`, which is no key inside a bin of several.
    fn below(&self, common: u32) -> u64 {
        let bins = (0..self.window.bins as usize).take_while(|&b| self.start(b) < common);
        self.counts.below(self.window) + bins.map(|b| self.counts.in_bin(self.window, b)).sum::<u64>()
    }

    /// Weights with exactly this common key.
    pub fn at(&self, common: u32) -> u64 {
        match self.dtype.floor_key(common) {
            (key, true) if key >= self.window.low && u64::from(key) < self.window.end() => {
                self.counts.in_bin(self.window, (key - self.window.low) as usize)
            }
            _ => 0,
        }
    }
}

/// Where the `k`-th smallest weight of the pool lies (`k` is at least 1), given counts over `interval`.
pub fn threshold(parts: &[Part], interval: Interval, k: u64) -> PoolStep {
    let below = |common: u32| parts.iter().map(|part| part.below(common)).sum::<u64>();
    if k <= below(interval.low) {
        return PoolStep::Count(Interval { low: 0, high: interval.low });
    }
    if interval.high < 1 << 31 && k > below(interval.high) {
        return PoolStep::Count(Interval { low: interval.high, ..Interval::ALL });
    }
    // Only the widest type can have bins of several keys; then only their starts are safe to count up to.
    let coarse = parts.iter().find(|part| part.window.shift > 0);
    let starts = |part: &Part| (0..part.window.bins as usize).map(|b| part.start(b)).collect::<Vec<_>>();
    let mut marks: Vec<u32> = coarse.map_or_else(|| parts.iter().flat_map(starts).collect(), starts);
    marks.retain(|&mark| mark >= interval.low && mark < interval.high);
    marks.push(interval.low);
    marks.sort_unstable();
    marks.dedup();
    // The last mark with fewer than k weights below it.
    let at = marks.partition_point(|&mark| below(mark) < k) - 1;
    let common = marks[at];
    match coarse {
        Some(_) => PoolStep::Count(Interval { low: common, high: marks.get(at + 1).copied().unwrap_or(interval.high) }),
        None => {
            let ties = parts.iter().map(|part| part.at(common)).sum();
            PoolStep::Found { common, ties, go: k - below(common) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::histogram;

    /// Runs the search as the scheduler does, from a first interval on; returns the cut and the number of counts.
    fn search(pool: &[(Dtype, Vec<u32>)], first: Interval, k: u64, capacity: u32) -> (u32, u64, u64, u32) {
        let (mut interval, mut rounds) = (first, 0);
        loop {
            rounds += 1;
            let part = |(dtype, keys): &(Dtype, Vec<u32>)| {
                let window = interval.window(*dtype, capacity);
                Part { dtype: *dtype, window, counts: histogram(keys.iter().copied(), window) }
            };
            match threshold(&pool.iter().map(part).collect::<Vec<_>>(), interval, k) {
                PoolStep::Found { common, ties, go } => return (common, ties, go, rounds),
                PoolStep::Count(next) => interval = next,
            }
            assert!(rounds < 12, "the search does not end");
        }
    }

    #[test]
    fn pools_of_mixed_types_are_cut_by_value_from_any_interval() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let pool: Vec<(Dtype, Vec<u32>)> = Dtype::ALL
            .into_iter()
            .map(|dtype| {
                let near = |r: u32| dtype.key_at_most(f64::from(r % 4096) / 2048.0);
                let keys = (0..500).map(|i| if i % 9 == 0 { random() & dtype.max_key() } else { near(random()) });
                (dtype, keys.collect())
            })
            .collect();
        let mut all: Vec<u32> =
            pool.iter().flat_map(|(dtype, keys)| keys.iter().map(|&key| dtype.common_key(key))).collect();
        all.sort_unstable();
        let intervals = [
            Interval::ALL,
            Interval { low: all[900], high: all[1500] },
            Interval { low: all[2000], high: all[2001] + 1 },
            Interval { low: 0, high: 1 },
        ];
        for k in [1, 2, 700, 1250, 1251, 2400, 2500] {
            for first in intervals {
                for capacity in [1 << 15, 1 << 21] {
                    let (common, ties, go, _) = search(&pool, first, k, capacity);
                    let below = all.iter().filter(|&&key| key < common).count() as u64;
                    let equal = all.iter().filter(|&&key| key == common).count() as u64;
                    // A cut that ends exactly at a boundary may name the key below which all goes.
                    assert_eq!((below + go, ties), (k, equal), "k = {k} {first:?}");
                    assert_eq!(all[k as usize - 1], common, "k = {k} {first:?}");
                }
            }
        }
    }

    #[test]
    fn a_good_interval_takes_one_count() {
        let keys: Vec<u32> = (0..100_000).map(|i| 0x3c00_0000 + i * 7).collect();
        let first = Interval { low: 0x3c00_0000 + 40_000 * 7, high: 0x3c00_0000 + 60_000 * 7 };
        let pool = [(Dtype::F32, keys), (Dtype::BF16, vec![0x3c00, 0x3c05])];
        assert_eq!(search(&pool, first, 50_000, 1 << 21).3, 1);
    }
}
