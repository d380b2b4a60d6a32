//! Which units stay: exact counts, and of equal scores the lowest index goes first.

use super::{Couplings, Problem};
use crate::{Target, quota};

/// How much goes, and who competes with whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// A share of the units goes, as `--sparsity` of weights does; all but [`Target::Keep`] neurons, heads or layers; or every
    /// unit whose score is at most a threshold.
    pub target: Target,
    /// The units of all couplings compete for a place, and a share or number is of all of them together; else those of each
    /// coupling by themselves.
    pub global: bool,
    /// What stays of a coupling is a multiple of this; of a share or threshold fewer go, until it is.
    pub round_to: u64,
}

impl Amount {
    /// So much of each coupling, as exactly as it can be.
    pub fn new(target: Target) -> Self {
        Self { target, global: false, round_to: 1 }
    }

    /// How many units of each coupling stay; none where that depends on scores.
    ///
    /// # Errors
    /// [`Problem::Wider`], [`Problem::WiderTogether`], [`Problem::Multiple`], [`Problem::NoMultiple`], [`Problem::Emptied`],
    /// [`Problem::Uniform`] and [`Problem::Differ`].
    pub fn counts(&self, couplings: &Couplings) -> Result<Option<Vec<u64>>, Problem> {
        if let (true, Some(why)) = (self.global, &couplings.uniform) {
            return Err(Problem::Uniform { why: why.clone() });
        }
        let per = couplings.per_unit();
        if let Target::Keep(width) = self.target {
            self.check_width(width, per)?;
            let units = couplings.list.iter().map(|coupling| coupling.units).sum::<u64>();
            if self.global && width / per > units {
                let (couplings, kind) = (couplings.list.len(), couplings.kind.name());
                return Err(Problem::WiderTogether { couplings, kind, units: units * per, width });
            }
        }
        if self.global || matches!(self.target, Target::Threshold(_)) {
            return Ok(None);
        }
        let counts = couplings.list.iter().map(|coupling| {
            let (units, name, kind) = (coupling.units, &coupling.name, couplings.kind.name());
            match self.target {
                Target::Keep(width) if width / per > units => {
                    let units = units * per;
                    Err(Problem::Wider { coupling: name.clone(), kind, units, width })
                }
                Target::Keep(width) => Ok(width / per),
                _ => self.rounded(name, units - self.target.goes(units).unwrap_or(0), units, per),
            }
        });
        let counts = counts.collect::<Result<Vec<_>, _>>()?;
        check(couplings, &counts)?;
        Ok(Some(counts))
    }

    fn check_width(&self, width: u64, per: u64) -> Result<(), Problem> {
        let whys = [
            (per, "the query heads that share a key and a value head"),
            (self.round_to.max(1), "which --round-to asks for"),
        ];
        match whys.into_iter().find(|(of, _)| !width.is_multiple_of(*of) && !self.global) {
            Some((of, why)) => Err(Problem::Multiple { width, of, why }),
            None => Ok(()),
        }
    }

    /// The least number that is not below `kept` of which `--round-to` is a part.
    fn rounded(&self, coupling: &str, kept: u64, units: u64, per: u64) -> Result<u64, Problem> {
        let to = self.round_to.max(1);
        // So many units have a multiple of it.
        let step = to / gcd(to, per);
        let rounded = if kept == 0 { Some(0) } else { kept.checked_next_multiple_of(step) };
        rounded.filter(|rounded| *rounded <= units).ok_or_else(|| {
            let (kept, units) = (kept * per, units * per);
            Problem::NoMultiple { coupling: coupling.into(), kept, units, of: to }
        })
    }

    /// The units of each coupling that stay, in order. `scores` has a number for each unit; NaN stays longest.
    ///
    /// # Errors
    /// As [`Amount::counts`], for what only scores say.
    pub fn choose(&self, couplings: &Couplings, scores: &[Vec<f64>]) -> Result<Vec<Vec<u64>>, Problem> {
        let counts = match self.counts(couplings)? {
            Some(counts) => counts,
            None => self.counts_by(couplings, scores)?,
        };
        check(couplings, &counts)?;
        let stay = scores.iter().zip(&counts).map(|(scores, count)| {
            let mut order: Vec<u64> = (0..scores.len() as u64).collect();
            // Stable: of equal scores the lowest index goes first.
            order.sort_by(|a, b| key(scores[*a as usize]).total_cmp(&key(scores[*b as usize])));
            let mut stay = order.split_off(scores.len() - *count as usize);
            stay.sort_unstable();
            stay
        });
        Ok(stay.collect())
    }

    fn counts_by(&self, couplings: &Couplings, scores: &[Vec<f64>]) -> Result<Vec<u64>, Problem> {
        let mut goes = vec![0; scores.len()];
        match self.target {
            Target::Threshold(threshold) => {
                for (goes, scores) in goes.iter_mut().zip(scores) {
                    *goes = scores.iter().filter(|score| **score <= threshold).count() as u64;
                }
            }
            Target::Sparsity(_) | Target::Keep(_) => {
                let mut all: Vec<(f64, usize)> = Vec::new();
                for (coupling, scores) in scores.iter().enumerate() {
                    all.extend(scores.iter().map(|score| (key(*score), coupling)));
                }
                all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                let (n, per) = (all.len() as u64, couplings.per_unit());
                let k = match self.target {
                    Target::Keep(keep) => n.saturating_sub(keep / per),
                    Target::Sparsity(share) => quota(share, n),
                    Target::Threshold(_) => 0,
                };
                all[..k as usize].iter().for_each(|(_, coupling)| goes[*coupling] += 1);
            }
        }
        let kept = couplings.list.iter().zip(goes).map(|(coupling, goes)| {
            self.rounded(&coupling.name, coupling.units - goes, coupling.units, couplings.per_unit())
        });
        kept.collect()
    }
}

/// A score in its place: NaN, of whichever sign, behind all numbers; both zeros in one.
fn key(score: f64) -> f64 {
    if score.is_nan() { f64::NAN } else { score + 0.0 }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// No coupling may be empty, and where all must be alike, all must be.
fn check(couplings: &Couplings, counts: &[u64]) -> Result<(), Problem> {
    let all = || couplings.list.iter().zip(counts);
    if let Some((coupling, _)) = all().find(|(_, count)| **count == 0) {
        let (name, kind) = (coupling.name.clone(), couplings.kind.name());
        return Err(Problem::Emptied { coupling: name, kind, units: coupling.units * couplings.per_unit() });
    }
    let different = all().zip(all().skip(1)).find(|((_, one), (_, two))| one != two);
    match (&couplings.uniform, different) {
        (Some(why), Some(((first, one), (second, two)))) => {
            let (first, second, per) = (first.name.clone(), second.name.clone(), couplings.per_unit());
            Err(Problem::Differ { first, first_kept: one * per, second, second_kept: two * per, why: why.clone() })
        }
        _ => Ok(()),
    }
}
