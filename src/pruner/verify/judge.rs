//! Holds one tensor against its rule, weight by weight.

use std::collections::HashMap;

use super::super::Rule;
use super::grid::{Grid, Part};
use super::pool::{Asked, At, Fate, Order, Pool, Wrong};
use super::rank::{Ranks, Sum};
use super::{Mismatch, Verification};
use crate::{Dtype, Result, Target, Ties};

/// How much of each pool was to go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quota {
    /// So many units.
    Count { go: u64, ties: Ties },
    /// Every unit of at most this score.
    Threshold(f64),
    /// One cut decides over several tensors.
    Global,
}

pub(super) struct Judge<'a> {
    tensor: &'a str,
    dtype: Dtype,
    grid: Grid,
    ranks: Ranks<'a>,
    quota: Quota,
    /// The next element of the file.
    at: u64,
    /// Units of which not all weights have come.
    units: HashMap<u64, Unit>,
    /// Pools of which not all units have come.
    pools: HashMap<u64, Pool>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Unit {
    seen: u64,
    sum: Sum,
    /// The first weight that went, and the first that stayed.
    gone: Option<u64>,
    kept: Option<u64>,
}

impl<'a> Judge<'a> {
    pub fn new(tensor: &'a str, dtype: Dtype, grid: Grid, ranks: Ranks<'a>, quota: Quota) -> Self {
        Self { tensor, dtype, grid, ranks, quota, at: 0, units: HashMap::new(), pools: HashMap::new() }
    }

    /// The next weights of both files.
    pub fn block(&mut self, before: &[u8], after: &[u8], found: &mut Verification) -> Result<()> {
        let count = before.len() / self.dtype.size();
        self.ranks.look_at(self.at, count)?;
        let mut done = 0;
        while done < count {
            let place = self.grid.place(self.at);
            let run = (self.grid.run(self.at) as usize).min(count - done);
            let dtype = self.dtype;
            let weight = |i: usize| {
                let (before, after) = (dtype.bits(before, i), dtype.bits(after, i));
                (before & dtype.max_key(), fate(before, after))
            };
            let run = if self.grid.is_of_weights() {
                self.weights(place, done, run, weight, found)?
            } else {
                self.unit(place, done, run, weight, found)?
            };
            (done, self.at) = (done + run, self.at + run as u64);
        }
        Ok(())
    }

    /// Up to `run` weights of one pool, from number `first` of the block on; says how many.
    fn weights(
        &mut self,
        place: (u64, u64),
        first: usize,
        run: usize,
        weight: impl Fn(usize) -> (u32, Fate),
        found: &mut Verification,
    ) -> Result<usize> {
        let unit = self.grid.unit(place).number;
        let run = run.min(self.grid.rest_of_pool(unit) as usize);
        let part = self.grid.pool(unit);
        let mut pool = part.and_then(|part| self.pools.remove(&part.number)).unwrap_or_default();
        for n in 0..run {
            let (key, fate) = weight(first + n);
            let (unit, col) = (unit + n as u64, place.1 + n as u64);
            let grid = self.grid;
            let rank = self.ranks.of_weight(key, first + n, || grid.input(col), unit)?;
            match (part, self.quota) {
                (None, _) if fate == Fate::Gone => found.mismatch(|| Mismatch::Outside {
                    tensor: self.tensor.to_owned(),
                    weight: self.grid.weight_name((place.0, col)),
                }),
                (Some(_), Quota::Threshold(most)) => self.at_most(unit, rank, fate, 1, most, found),
                _ => pool.take(At { rank, unit }, fate),
            }
        }
        self.put_back(part, pool, 1, found);
        Ok(run)
    }

    /// Up to `run` weights of one unit.
    fn unit(
        &mut self,
        place: (u64, u64),
        first: usize,
        run: usize,
        weight: impl Fn(usize) -> (u32, Fate),
        found: &mut Verification,
    ) -> Result<usize> {
        let Part { number, size } = self.grid.unit(place);
        let run = run.min(self.grid.rest_of_unit(place.1) as usize);
        let mut unit = self.units.remove(&number).unwrap_or_default();
        for n in 0..run {
            let (key, fate) = weight(first + n);
            self.ranks.add(&mut unit.sum, key, first + n, self.grid.input(place.1 + n as u64));
            match fate {
                Fate::Gone if unit.gone.is_none() => unit.gone = Some(self.at + n as u64),
                Fate::Kept if unit.kept.is_none() => unit.kept = Some(self.at + n as u64),
                _ => {}
            }
        }
        unit.seen += run as u64;
        if unit.seen < size {
            self.units.insert(number, unit);
            return Ok(run);
        }
        let fate = match (unit.gone, unit.kept) {
            (Some(gone), Some(kept)) => {
                let name = |at| self.grid.weight_name(self.grid.place(at));
                found.mismatch(|| Mismatch::Partly {
                    tensor: self.tensor.to_owned(),
                    unit: self.grid.unit_name(number),
                    pruned: name(gone),
                    kept: name(kept),
                });
                Fate::Unknown
            }
            (Some(_), None) => Fate::Gone,
            (None, Some(_)) => Fate::Kept,
            (None, None) => Fate::Unknown,
        };
        self.close(number, unit.sum, fate, size, found)?;
        Ok(run)
    }

    /// A unit that is whole goes to its pool.
    fn close(&mut self, number: u64, sum: Sum, fate: Fate, weights: u64, found: &mut Verification) -> Result<()> {
        let rank = self.ranks.of_unit(number, sum)?;
        if let Quota::Threshold(most) = self.quota {
            self.at_most(number, rank, fate, weights, most, found);
            return Ok(());
        }
        let part = self.grid.pool(number);
        let mut pool = part.and_then(|part| self.pools.remove(&part.number)).unwrap_or_default();
        pool.take(At { rank, unit: number }, fate);
        self.put_back(part, pool, weights, found);
        Ok(())
    }

    /// Judges a pool of which all units have come, and keeps any other.
    fn put_back(&mut self, part: Option<Part>, pool: Pool, weights: u64, found: &mut Verification) {
        let Some(part) = part else { return };
        match self.quota {
            Quota::Count { go, ties } if pool.seen == part.size => {
                let asked = Asked { go, ties, order: self.ranks.order() };
                match pool.verdict(asked, |a, b| self.ranks.above(a, b, weights)) {
                    None => {}
                    Some(Wrong::Count) => found.mismatch(|| self.count(self.grid.pool_name(part.number), &pool, asked)),
                    Some(Wrong::Order) => found.mismatch(|| Mismatch::Order {
                        tensor: self.tensor.to_owned(),
                        place: self.grid.pool_name(part.number),
                        pruned: self.name(pool.highest),
                        pruned_score: self.score(pool.highest),
                        kept: self.name(pool.lowest),
                        kept_score: self.score(pool.lowest),
                    }),
                }
            }
            _ => drop(self.pools.insert(part.number, pool)),
        }
    }

    /// A pool's mismatch of numbers.
    pub fn count(&self, place: String, pool: &Pool, asked: Asked) -> Mismatch {
        let bound = match asked.ties {
            Ties::Exact => "exactly",
            Ties::Stay => "at most",
            Ties::Go => "at least",
        };
        let (tensor, pruned, zero) = (self.tensor.to_owned(), pool.gone, pool.zero);
        Mismatch::Count { tensor, place, pruned, zero, units: pool.seen, bound: bound.into(), asked: asked.go }
    }

    fn at_most(&self, unit: u64, rank: u64, fate: Fate, weights: u64, most: f64, found: &mut Verification) {
        let score = self.ranks.score(rank);
        let wrong = match (self.ranks.order(), fate) {
            (Order::Unknown, _) | (_, Fate::Unknown) => false,
            (_, Fate::Gone) => score.is_nan() || self.ranks.beyond(score, most, weights),
            (Order::Exact, Fate::Kept) => score <= most,
            (Order::Rounded, Fate::Kept) => !score.is_nan() && self.ranks.beyond(most, score, weights),
        };
        if wrong {
            found.mismatch(|| Mismatch::Threshold {
                tensor: self.tensor.to_owned(),
                unit: self.grid.unit_name(unit),
                score,
                threshold: most,
                pruned: fate == Fate::Gone,
            });
        }
    }

    /// The unit of a rank, for people.
    pub fn name(&self, at: Option<At>) -> String {
        at.map_or_else(String::new, |at| self.grid.unit_name(at.unit))
    }

    /// Its score.
    pub fn score(&self, at: Option<At>) -> f64 {
        at.map_or(f64::NAN, |at| self.ranks.score(at.rank))
    }

    /// All units of a tensor of a global rule, with ranks that compare with those of others.
    pub fn into_pool(mut self) -> Pool {
        let mut common = Pool::default();
        if let Some(pool) = self.pools.remove(&0) {
            common.add(&pool, |at| At { rank: self.ranks.common(at.rank), unit: at.unit });
        }
        common
    }

    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether score `a` is surely above score `b`, of units of so many weights.
    pub fn beyond(&self, a: f64, b: f64, weights: u64) -> bool {
        self.ranks.beyond(a, b, weights)
    }

    /// What ranks say about the order.
    pub fn order(&self) -> Order {
        self.ranks.order()
    }

    /// Weights of a unit, at most.
    pub fn most_weights(&self) -> u64 {
        self.grid.unit((0, 0)).size
    }
}

/// What was to go, of a tensor with this target and these counts.
pub(super) fn quota(rule: &Rule, target: Target, units: super::super::Units) -> Quota {
    match (target, units.go) {
        (Target::Threshold(most), _) => Quota::Threshold(most),
        (_, Some(go)) => Quota::Count { go: go.checked_div(units.pools).unwrap_or(0), ties: units.ties },
        (_, None) => {
            debug_assert_eq!(rule.scope, crate::Scope::Global);
            Quota::Global
        }
    }
}

fn fate(before: u32, after: u32) -> Fate {
    match (before, after) {
        (0, 0) => Fate::Unknown,
        (_, 0) => Fate::Gone,
        _ if before == after => Fate::Kept,
        _ => Fate::Unknown, // which is a mismatch of its own
    }
}
