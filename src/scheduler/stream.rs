//! Pools, and matrices larger than the slots: counted in passes over the source, then masked in one more.

use std::sync::Arc;

use super::budget::{Chunk, Span};
use super::busy::Pass;
use super::count::count;
use super::driver::{DOING, Driver};
use super::ledger::{Left, StreamCut};
use super::part::{Part, What};
use super::progress::Done;
use super::steps::{Of, Stream};
use crate::Result;
use crate::kernels::{CUT_BYTES, cut_words};
use crate::reference::Cut;

/// Finds the cut of what is streamed, unless it is known, and masks all that is not masked yet.
pub fn run(driver: &Driver<'_>, stream: &Stream) -> Result<()> {
    match stream.of {
        Of::Task(task) => {
            let cut = match driver.ledger.stream(task) {
                Some(cut) => cut,
                None => {
                    let (cut, zeros) = count(driver, stream)?;
                    let StreamCut { common, ties, go, goes } = cut;
                    driver.ledger.finish(&Done::Cut { task, common, ties, go, goes, zeros })?;
                    cut
                }
            };
            let (at, left) = driver.ledger.front(task);
            mask(driver, stream, &cut, at, left, driver.budget.part(), |first, weights| What::Masked {
                task,
                first,
                weights,
            })
        }
        Of::Row { row, k } => {
            let (cut, zeros) = count(driver, stream)?;
            let what = What::LongRow { job: stream.spans[0].job, row, k, zeros: zeros[0] };
            mask(driver, stream, &cut, 0, None, usize::MAX, |_, _| what)
        }
    }
}

/// What is left of the spans from their unit number `at` on: each with its number.
pub fn rest(spans: &[Span], mut at: u64) -> Vec<(usize, Span)> {
    let mut rest = Vec::new();
    for (number, &Span { job, first, units }) in spans.iter().enumerate() {
        let done = at.min(units);
        at -= done;
        if done < units {
            rest.push((number, Span { job, first: first + done, units: units - done }));
        }
    }
    rest
}

/// Masks all spans from their weight number `at` on under one cut, of whose quota so much is left: ties go lowest index
/// first, in the order of the spans. Parts have so many chunks, and are what `what(first weight, weights)` says.
fn mask(
    driver: &Driver<'_>,
    stream: &Stream,
    cut: &StreamCut,
    mut at: u64,
    left: Option<Left>,
    per: usize,
    what: impl Fn(u64, u64) -> What,
) -> Result<()> {
    let rest = rest(&stream.spans, at);
    for (_, span) in &rest {
        driver.ask(Pass::Prune, driver.budget.chunks(*span, &driver.jobs[span.job]));
    }
    let total = rest.iter().map(|(_, span)| span.units).sum();
    let Left { ties, go } = left.unwrap_or(Left { ties: cut.ties, go: cut.go });
    let words = |cut: Cut| cut_words(cut, total);
    let buffer = |label, words| {
        let new = || Ok(driver.gpu.buffer_with(label, bytemuck::cast_slice(&[words])));
        driver.gpu.watch("allocating buffers", new)
    };
    let carried = buffer("pool cut", words(Cut { key: 0, ties, go, zeros: 0 }))?;
    for (_, span) in rest {
        let job = &driver.jobs[span.job];
        let dtype = job.keys();
        let (key, exact) = dtype.floor_key(cut.common);
        // Types that have no such value lose all up to the next smaller one, whatever the quota among ties.
        let all = words(Cut { key, ties: u64::MAX, go: u64::MAX, zeros: 0 });
        let spelled = buffer("spelled cut", all)?;
        let chunks: Vec<Chunk> = driver.budget.chunks(span, job).collect();
        for group in chunks.chunks(per.min(chunks.len())) {
            let weights = group.iter().map(Chunk::units).sum();
            let part = Arc::new(Part::new(what(at, weights), group.len(), !job.is_plain()));
            at += weights;
            for number in 1..=group.len() {
                let (slot, chunk) = driver.filled()?;
                driver.gpu.watch(DOING, || {
                    let mut encoder = driver.gpu.encoder("mask");
                    driver.bring(&mut encoder, &slot, chunk)?;
                    let used = if exact {
                        encoder.copy_buffer_to_buffer(&spelled, 0, &carried, 0, 4);
                        &carried
                    } else {
                        &spelled
                    };
                    driver.select.mask(&mut encoder, &slot, chunk, job, used)?;
                    // What is left of the quota tells how many ties there were, and how many of them went.
                    let found = (number == group.len()).then_some((&carried, CUT_BYTES));
                    driver.submit_masked(encoder, (slot, chunk), &part, found);
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}
