//! Samples read through the source, for matrices that are streamed: where the first window should lie.

use super::budget::Span;
use super::{Job, Source};
use crate::Result;

/// Weights sampled in all, and in a row at each place.
const TAKEN: u64 = 1 << 17;
const RUN: u64 = 64;

/// The common keys of about 131,072 weights, in runs of 64 spread evenly over the spans; all of them if there are fewer.
pub fn sample(jobs: &[Job], spans: &[Span], source: &dyn Source) -> Result<Vec<u32>> {
    let total: u64 = spans.iter().map(|s| s.weights).sum();
    let places = (TAKEN / RUN).min(total.div_ceil(RUN));
    let mut keys = Vec::with_capacity((places * RUN) as usize);
    let mut bytes = [0; RUN as usize * 4];
    let (mut spans, mut before) = (spans.iter().peekable(), 0);
    for place in 0..places {
        let at = (u128::from(total) * u128::from(place) / u128::from(places)) as u64;
        while let Some(span) = spans.peek().filter(|s| at >= before + s.weights) {
            before += span.weights;
            spans.next();
        }
        let Some(span) = spans.peek() else { break };
        let dtype = jobs[span.job].dtype;
        let run = RUN.min(span.weights - (at - before));
        let part = &mut bytes[..run as usize * dtype.size()];
        source.read(span.job, (span.first + at - before) * dtype.size() as u64, part)?;
        keys.extend((0..run as usize).map(|i| dtype.common_key(dtype.key(part, i))));
    }
    Ok(keys)
}

/// The common keys between which the `k`-th smallest of `total` weights probably lies; the upper one lies inside.
///
/// Runs of neighbouring weights tell less than as many independent ones, as rows differ in scale: the margin is that of
/// a sixteenth of the sample at four standard errors.
pub fn bounds(keys: &mut [u32], k: u64, total: u64) -> (u32, u32) {
    keys.sort_unstable();
    let n = keys.len() as f64;
    let share = k as f64 / total as f64;
    let margin = 4.0 * (share * (1.0 - share) / (n / 16.0)).sqrt();
    let low = ((share - margin) * n - 1.0).max(0.0) as usize;
    let high = ((share + margin) * n + 1.0) as usize;
    (if low == 0 { 0 } else { keys[low] }, keys.get(high).copied().unwrap_or(u32::MAX >> 1))
}
