//! Samples read through the source, for matrices that are streamed: where the first window should lie.

use super::budget::Span;
use super::score::keys;
use super::{Job, Source};
use crate::Result;

/// Units sampled in all, and in a row at each place.
const TAKEN: u64 = 1 << 17;
const RUN: u64 = 64;

/// What is read of weights that are pooled: one in so many.
const RARELY: u64 = 16;

/// A sample, as common keys.
pub struct Sample {
    keys: Vec<u32>,
    /// As many independent ones would tell as much.
    worth: f64,
}

/// About 131,072 units, in runs of 64 spread evenly over the spans; all of them if there are fewer. Of units that are not
/// single weights fewer, since all weights of each are read.
pub fn sample(jobs: &[Job], spans: &[Span], source: &dyn Source) -> Result<Sample> {
    let total: u64 = spans.iter().map(|s| s.units).sum();
    let mut places = (TAKEN / RUN).min(total.div_ceil(RUN));
    let narrowest = spans.iter().map(|s| &jobs[s.job]).filter(|job| job.is_pooled()).map(|job| job.units().cols).min();
    if let Some(cols) = narrowest {
        places = (TAKEN / RUN).min(total.div_ceil(RARELY * RUN.min(cols)));
    }
    let mut sampled = Vec::with_capacity((places * RUN) as usize);
    let (mut spans, mut before, mut scales) = (spans.iter().peekable(), 0, None);
    for place in 0..places {
        let at = (u128::from(total) * u128::from(place) / u128::from(places)) as u64;
        while let Some(span) = spans.peek().filter(|s| at >= before + s.units) {
            before += span.units;
            spans.next();
        }
        let Some(span) = spans.peek() else { break };
        let job = &jobs[span.job];
        let first = span.first + at - before;
        let in_row = if job.is_pooled() { job.units().cols - first % job.units().cols } else { RUN };
        let run = RUN.min(span.units - (at - before)).min(in_row);
        let found = keys(jobs, span.job, source, &mut scales, first, run)?;
        sampled.extend(found.into_iter().map(|key| job.keys().common_key(key)));
    }
    // Neighbours tell less than as many independent units, as rows differ in scale.
    let worth = (sampled.len() as f64).min(places as f64 * (RUN / 16) as f64);
    Ok(Sample { keys: sampled, worth })
}

/// The common keys between which the `k`-th smallest of `total` units probably lies, at four standard errors; the upper
/// one lies inside.
pub fn bounds(sample: Sample, k: u64, total: u64) -> (u32, u32) {
    let Sample { mut keys, worth } = sample;
    keys.sort_unstable();
    let n = keys.len() as f64;
    let share = k as f64 / total as f64;
    let margin = 4.0 * (share * (1.0 - share) / worth).sqrt();
    let low = ((share - margin) * n - 1.0).max(0.0) as usize;
    let high = ((share + margin) * n + 1.0) as usize;
    (if low == 0 { 0 } else { keys[low] }, keys.get(high).copied().unwrap_or(u32::MAX >> 1))
}
