//! Keys that are not the weights' own: scored and pooled on the GPU, before anything looks at them.

use std::sync::{Mutex, PoisonError};

use super::budget::Chunk;
use super::driver::Driver;
use super::job::{Job, Scoring, Weights};
use super::select::compute_pass;
use super::slot::Slot;
use super::{Each, Source};
use crate::kernels::{MatrixView, PoolRule, RandomRule, ScaleRule};
use crate::reference::{self, Matrix};
use crate::{Dtype, Result, Shape};

/// What scoring keeps between chunks: the scales of the matrix in work.
#[derive(Debug, Default)]
pub struct Scorer(Mutex<Option<(usize, wgpu::Buffer)>>);

impl Scorer {
    /// Records: the keys of a chunk that lies in its slot; nothing where the weights' own bits are the keys.
    pub fn score(
        &self,
        driver: &Driver<'_>,
        encoder: &mut wgpu::CommandEncoder,
        slot: &Slot,
        chunk: Chunk,
    ) -> Result<()> {
        let job = &driver.jobs[chunk.job];
        let (Some(keys), kernels) = (slot.keys.as_ref().filter(|_| !job.is_plain()), &driver.select.kernels) else {
            return Ok(());
        };
        let of = job.weights_in(chunk);
        let weights = |buffer, dtype| MatrixView::dense(buffer, 0, dtype, of.rows as u32, of.cols as u32);
        let scores = slot.scores.as_ref().filter(|_| job.scores_first());
        let mut scored = weights(&slot.weights, job.dtype);
        match job.scoring {
            Scoring::Magnitude => {}
            Scoring::Scaled => {
                let scales = self.scales(driver, chunk.job)?;
                let rule = ScaleRule { first: of.first, period: job.shape.cols as u32 };
                let to = scores.unwrap_or(keys);
                kernels.scale(&mut compute_pass(encoder, "scale"), &scored, rule, &scales, to)?;
                scored = weights(to, Dtype::F32);
            }
            Scoring::Given => {
                let to = scores.unwrap_or(keys);
                driver.gpu.queue().write_buffer(to, 0, slot.given());
                scored = weights(to, Dtype::F32);
            }
            Scoring::GivenByUnit => {
                driver.gpu.queue().write_buffer(keys, 0, slot.given());
                return Ok(());
            }
            Scoring::Random { seed } => {
                let rule = RandomRule { seed, first: chunk.first, count: chunk.units() as u32 };
                return kernels.random(&mut compute_pass(encoder, "random"), rule, keys);
            }
        }
        if !job.is_pooled() {
            return Ok(());
        }
        let rule = PoolRule { rows: job.unit.rows as u32, cols: job.unit.cols as u32, norm: job.norm };
        kernels.pool(&mut compute_pass(encoder, "pool"), &scored, rule, keys)
    }

    /// The scales of a matrix whose rows are pruned by scores that are made where they are compared, and how many weights of
    /// each row go; none where keys come first.
    pub fn scales_of_rows(&self, driver: &Driver<'_>, job: usize, each: Each) -> Result<Option<(wgpu::Buffer, u64)>> {
        let of = &driver.jobs[job];
        match each {
            Each::Smallest { k }
                if of.scoring == Scoring::Scaled
                    && !of.is_pooled()
                    && driver.select.kernels.takes_scaled(of.shape.cols as u32) =>
            {
                Ok(Some((self.scales(driver, job)?, k)))
            }
            _ => Ok(None),
        }
    }

    fn scales(&self, driver: &Driver<'_>, job: usize) -> Result<wgpu::Buffer> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, scales)) = &*kept
            && *of == job
        {
            return Ok(scales.clone());
        }
        let scales = driver.source.scales(job)?;
        let buffer = driver.gpu.buffer_with("scales", bytemuck::cast_slice(&scales));
        *kept = Some((job, buffer.clone()));
        Ok(buffer)
    }
}

/// The keys of `units` units of one row of units from unit `first` on, by the twins of the kernels. `scales` are those of
/// the matrix, once they have been asked for.
pub fn keys(
    jobs: &[Job],
    number: usize,
    source: &dyn Source,
    scales: &mut Option<(usize, Vec<f32>)>,
    first: u64,
    units: u64,
) -> Result<Vec<u32>> {
    let job = &jobs[number];
    let score = |first, n: u64| {
        let mut scores = vec![0f32; n as usize];
        source.scores(number, first, &mut scores).map(|()| scores)
    };
    let bits = |scores: Vec<f32>| scores.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    match job.scoring {
        Scoring::Random { seed } => return Ok(reference::random(seed, first, units as u32)),
        Scoring::GivenByUnit => return score(first, units).map(bits),
        _ => {}
    }
    let mut all = Vec::new();
    let stretches = stretches(job, first, units);
    for &Weights { first, cols, .. } in &stretches {
        let mut bytes = vec![0; cols as usize * job.dtype.size()];
        source.read(number, first * job.dtype.size() as u64, &mut bytes)?;
        let matrix = Matrix::dense(job.dtype, Shape::new(1, cols), &bytes);
        match job.scoring {
            Scoring::Magnitude => all.extend_from_slice(&bytes),
            Scoring::Given => all.extend(bits(score(first, cols)?).into_iter().flat_map(u32::to_le_bytes)),
            _ => {
                if scales.as_ref().is_none_or(|(of, _)| *of != number) {
                    *scales = Some((number, source.scales(number)?));
                }
                let (_, scales) = scales.as_ref().expect("just asked for");
                let scored = reference::scale(matrix, scales, first);
                all.extend(scored.into_iter().flat_map(u32::to_le_bytes));
            }
        }
    }
    let dtype = if job.scoring == Scoring::Magnitude { job.dtype } else { Dtype::F32 };
    let matrix = Matrix::dense(dtype, Shape::new(stretches.len() as u64, stretches[0].cols), &all);
    Ok(if job.is_pooled() {
        reference::pool(matrix, job.unit.rows, job.unit.cols, job.norm)
    } else {
        matrix.keys().collect()
    })
}

/// The weights of units that lie in one row of units: a stretch of each row.
fn stretches(job: &Job, first: u64, units: u64) -> Vec<Weights> {
    if !job.is_pooled() {
        return vec![Weights { first, rows: 1, cols: units }];
    }
    let per_row = job.units().cols;
    let (row, col) = (first / per_row * job.unit.rows, first % per_row * job.unit.cols);
    let cols = (units * job.unit.cols).min(job.shape.cols - col);
    let rows = job.unit.rows.min(job.shape.rows - row);
    (row..row + rows).map(|row| Weights { first: row * job.shape.cols + col, rows: 1, cols }).collect()
}
