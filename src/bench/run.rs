//! Carries out what is asked, case by case, for as long as there is time.

use std::ops::ControlFlow;
use std::time::Instant;

use super::clock::{Clock, Entry, ROOM, SHARE, moment};
use super::exact::{NEAR, distance, looked_at, products};
use super::model::Model;
use super::results::{Case, Results, Skip};
use super::roofs::Pulse;
use super::stored::{self, Stored};
use super::{Asked, Pattern, data, roofs};
use crate::gpu::Gpu;
use crate::kernels::Kernels;
use crate::reference::Matrix;
use crate::{Error, Result, Shape};

/// Called before each case, and often while it is measured, with what it is, how many are done and how many there are;
/// [`ControlFlow::Break`] ends the run, which then returns what it has.
pub type OnCase<'a> = dyn Fn(&str, usize, usize) -> ControlFlow<()> + 'a;

/// Measures what is asked, on weights that are made up. Takes, for each shape, host memory for some copies of the matrix, and GPU
/// memory for as many in each format as 128 MiB hold (512 MiB on a GPU), and one at least.
///
/// # Errors
/// [`Error::View`] where what is asked cannot be measured here; [`Error::Gpu`] where the device fails. What a single case
/// lacks memory for is skipped, and said.
pub fn run(gpu: &Gpu, asked: &Asked, on_case: &OnCase<'_>) -> Result<Results> {
    asked.check(gpu)?;
    let run = Run::new(gpu, asked, on_case)?;
    run.made_up()
}

/// The same for the linear layers of a model, of which shapes and element types are; those of `asked` are not looked at. Of
/// [`Pattern::Given`] the weights that are zero are gone, and of other patterns so many as are asked for.
///
/// # Errors
/// Those of [`run`], and those of reading the checkpoint. A layer that the device cannot take is skipped, and said.
pub fn run_model(gpu: &Gpu, model: &Model<'_>, asked: &Asked, on_case: &OnCase<'_>) -> Result<Results> {
    asked.check_numbers()?;
    let run = Run::new(gpu, asked, on_case)?;
    run.model(model)
}

struct Run<'a> {
    gpu: &'a Gpu,
    kernels: Kernels,
    asked: &'a Asked,
    on_case: &'a OnCase<'a>,
    start: Instant,
    clock: Clock<'a>,
    pulse: Option<Pulse>,
    results: Results,
    done: usize,
    /// How many cases there are.
    of: usize,
}

/// Names of what is not sparse.
const DENSE: &str = "dense";
const BY_VECTOR: &str = "dense, by vector";

/// Vectors up to which it may pay to multiply with one after the other.
const BY_VECTOR_UP_TO: u32 = 16;

/// Sparsities of layers may be so far apart where a format was slow on the one, and is taken to be so on the other.
const ALIKE: f64 = 0.02;

/// Of the time for a model, the share that is for rounds; the rest is for reading, packing and checking.
const ROUNDS_OF_A_MODEL: f64 = 0.5;

/// A matrix that is measured.
#[derive(Clone, Copy)]
struct Subject<'m> {
    matrix: Matrix<'m>,
    /// The layer of a model whose it is.
    layer: Option<&'m str>,
    /// The sparsity that was asked for.
    asked: Option<f64>,
    /// That which it has.
    sparsity: f64,
}

impl Subject<'_> {
    fn name(&self) -> String {
        let gone = format!("{}, sparsity {:.3}", self.matrix.shape, self.sparsity);
        self.layer.map_or_else(|| gone.clone(), |layer| format!("{layer}, {gone}"))
    }
}

impl<'a> Run<'a> {
    fn new(gpu: &'a Gpu, asked: &'a Asked, on_case: &'a OnCase<'a>) -> Result<Self> {
        let start = Instant::now();
        let mut clock = Clock::new(gpu, ROOM.min(SHARE * asked.time.as_secs_f64()), asked.rounds)?;
        let (roofs, pulse) = roofs::measure(gpu, &mut clock)?;
        let results = Results::new(gpu, clock.name(), clock.why.clone(), roofs);
        let kernels = Kernels::new(gpu.device(), gpu.tuning());
        Ok(Self { gpu, kernels, asked, on_case, start, clock, pulse: Some(pulse), results, done: 0, of: 0 })
    }

    /// Sparsities from the highest down: where sparse products win is known first. None: that which the weights have.
    fn sparsities(&self) -> Vec<Option<f64>> {
        let mut sparsities = match self.asked.pattern {
            Pattern::Given => return vec![None],
            Pattern::Group { keep, of } => vec![1.0 - f64::from(keep) / f64::from(of)],
            _ => self.asked.sparsities.clone(),
        };
        sparsities.sort_by(|a, b| b.total_cmp(a));
        sparsities.dedup();
        sparsities.into_iter().map(Some).collect()
    }

    fn made_up(mut self) -> Result<Results> {
        let Asked { shapes, dtype, batches, .. } = self.asked;
        let sparsities = self.sparsities();
        self.of = shapes.len() * sparsities.len() * batches.len();
        for (number, &shape) in shapes.iter().enumerate() {
            let bytes = data::weights(*dtype, shape, number as u64 + 1);
            let matrix = Matrix::dense(*dtype, shape, &bytes);
            if self.sparsities_of(matrix, None, &sparsities, number as u64 + 2)?.is_break() {
                break;
            }
        }
        self.results.find_break_even();
        Ok(self.finished())
    }

    fn model(mut self, model: &Model<'_>) -> Result<Results> {
        let sparsities = self.sparsities();
        self.of = model.layers.len() * sparsities.len() * self.asked.batches.len();
        self.clock.limit(ROUNDS_OF_A_MODEL * self.asked.time.as_secs_f64() / self.of as f64);
        for (number, layer) in model.order().into_iter().enumerate() {
            let cases = sparsities.len() * self.asked.batches.len();
            if let Some(why) = layer.unfit(self.gpu, self.asked) {
                self.skip(layer.name.into(), why);
                self.done += cases;
                continue;
            }
            if self.late() {
                self.skip(layer.name.into(), self.time_is_up());
                self.done += cases;
                continue;
            }
            let bytes = model.read(layer)?;
            let matrix = Matrix::dense(layer.dtype, layer.shape, &bytes);
            if self.sparsities_of(matrix, Some(layer.name), &sparsities, number as u64 + 2)?.is_break() {
                break;
            }
        }
        self.results.add_up(model);
        Ok(self.finished())
    }

    fn finished(self) -> Results {
        let Self { mut results, clock, start, .. } = self;
        results.mark_drift();
        results.measuring = clock.measuring;
        results.seconds = start.elapsed().as_secs_f64();
        results
    }

    /// All sparsities of one matrix.
    fn sparsities_of(
        &mut self,
        matrix: Matrix<'_>,
        layer: Option<&str>,
        sparsities: &[Option<f64>],
        seed: u64,
    ) -> Result<ControlFlow<()>> {
        let columns = self.asked.batches.iter().copied().max().unwrap_or(1);
        let x = data::vectors(matrix.shape.cols, columns, seed);
        for &asked in sparsities {
            // How sparse it is is not known before its mask is; where it is given, most of it is not.
            let subject = Subject { matrix, layer, asked, sparsity: asked.unwrap_or(0.0) };
            let what = subject.layer.map_or_else(|| subject.name(), Into::into);
            if self.late() {
                self.skip(what, self.time_is_up());
                self.done += self.asked.batches.len();
                continue;
            }
            if self.stops(&what) || self.sparsity(subject, &x)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn late(&self) -> bool {
        self.start.elapsed() >= self.asked.time
    }

    fn time_is_up(&self) -> String {
        format!("the time was up: {} s", self.asked.time.as_secs_f64())
    }

    fn stops(&mut self, what: &str) -> bool {
        self.results.stopped |= (self.on_case)(what, self.done, self.of).is_break();
        self.results.stopped
    }

    fn skip(&mut self, what: String, why: String) {
        self.results.skipped.push(Skip { what, why, wrong: false });
    }

    /// All formats and batches of one matrix.
    fn sparsity(&mut self, subject: Subject<'_>, x: &[f32]) -> Result<ControlFlow<()>> {
        let (matrix, asked) = (subject.matrix, self.asked);
        let shape = matrix.shape;
        let mask = data::mask(matrix, asked.pattern, subject.sparsity);
        let masked = data::masked(matrix, &mask);
        let kept: u64 = mask.iter().map(|word| u64::from(word.count_ones())).sum();
        let masked = Matrix { bytes: &masked, ..matrix };
        let sparsity = 1.0 - kept as f64 / shape.weights() as f64;
        let subject = Subject { matrix: masked, sparsity, ..subject };
        let dense = stored::dense(self.gpu, masked)?;
        let mut all = vec![(DENSE.to_string(), Stored::Dense(dense.clone()))];
        let first = dense[0].clone();
        // Parts of buffers begin at multiples of 256 bytes.
        if asked.batches.iter().any(|batch| *batch > 1) && shape.rows % 64 == 0 && shape.cols % 64 == 0 {
            all.push((BY_VECTOR.to_string(), Stored::ByVector(dense)));
        }
        for format in asked.formats(self.gpu) {
            let what = || format!("{}, {format}", subject.name());
            let name = format.to_string();
            // Packing takes long, too.
            let hopeless: Option<Vec<String>> =
                asked.batches.iter().map(|&batch| self.hopeless(subject, batch, &name)).collect();
            if let Some(why) = hopeless.and_then(|mut all| all.pop()) {
                self.skip(what(), format!("for every batch; {why}"));
                continue;
            }
            match Stored::sparse(self.gpu, &self.kernels, &first, masked, &mask, format) {
                Ok(stored) => all.push((name, stored)),
                Err(error @ (Error::GpuMemory { .. } | Error::View { .. })) => self.skip(what(), error.to_string()),
                Err(error) => return Err(error),
            }
            if self.stops(&what()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        let mut columns: Vec<u32> = asked.batches.iter().flat_map(|&batch| looked_at(batch)).collect();
        columns.sort_unstable();
        columns.dedup();
        let exact = products(masked, x, &columns);
        for &batch in &asked.batches {
            let what = format!("{}, batch {batch}", subject.name());
            if self.late() {
                self.skip(what, self.time_is_up());
            } else if self.stops(&what) {
                return Ok(ControlFlow::Break(()));
            } else {
                let want = |&column: &u32| exact[columns.binary_search(&column).unwrap_or(0)].clone();
                let looked = looked_at(batch);
                let want: Vec<Vec<f64>> = looked.iter().map(want).collect();
                let x = &x[..batch as usize * shape.cols as usize];
                if self.batch(&all, subject, x, batch, (&looked, &want))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.done += 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The product of one matrix in all of its forms, with so many vectors: checked, then timed in turn.
    fn batch(
        &mut self,
        all: &[(String, Stored)],
        subject: Subject<'_>,
        x: &[f32],
        batch: u32,
        (looked_at, want): (&[u32], &[Vec<f64>]),
    ) -> Result<ControlFlow<()>> {
        let Matrix { shape, dtype, .. } = subject.matrix;
        let rows = shape.rows as usize * batch as usize;
        let x = stored::buffer(self.gpu, "bench x", bytemuck::cast_slice(&padded(x)))?;
        let nothing = vec![f32::NAN; rows.next_multiple_of(4)];
        let (mut entries, mut errors, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        for (name, stored) in all {
            if matches!(stored, Stored::ByVector(_)) && !(2..=BY_VECTOR_UP_TO).contains(&batch) {
                continue;
            }
            let what = || format!("{}, batch {batch}, {name}", subject.name());
            if self.stops(&what()) {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(hopeless) = self.hopeless(subject, batch, name) {
                self.skip(what(), hopeless);
                continue;
            }
            let y = stored::buffer(self.gpu, "bench y", bytemuck::cast_slice(&nothing))?;
            let record = || stored.record(&self.kernels, (shape, dtype), batch, &x, &y);
            let copies = match self.gpu.watch("recording kernels", record) {
                Ok(copies) => copies,
                Err(error @ Error::View { .. }) => {
                    self.skip(what(), error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.gpu.submit("checking", |encoder| {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                copies[0].iter().for_each(|dispatch| dispatch.replay(&mut pass));
            })?;
            let got: Vec<f32> = self.gpu.read_words(&y, 4 * rows as u64)?.into_iter().map(f32::from_bits).collect();
            let error = distance(&got, looked_at, want);
            if error.is_nan() || error > NEAR {
                let why =
                    format!("its result is {error:.2e} off a product in f64, {NEAR:e} is right: it was not timed");
                self.results.skipped.push(Skip { what: what(), why, wrong: true });
                continue;
            }
            entries.push(Entry::new(name, copies));
            errors.push(error);
            timed.push(stored);
        }
        let what = format!("{}, batch {batch}", subject.name());
        let (on_case, done, of) = (self.on_case, self.done, self.of);
        let pulse = self.pulse.take();
        let pulse_bytes = pulse.as_ref().map_or(0, |pulse| pulse.bytes);
        entries.extend(pulse.map(|pulse| pulse.entry));
        let Some(mut times) = self.clock.race_unless(&mut entries, &|| on_case(&what, done, of).is_break())? else {
            self.results.stopped = true;
            return Ok(ControlFlow::Break(()));
        };
        self.pulse = entries.pop().map(|entry| Pulse { entry, bytes: pulse_bytes });
        let read = pulse_bytes as f64 / moment(&times.pop().unwrap_or_default()).seconds;
        let dense = timed.iter().zip(&times).filter(|(stored, _)| stored.is_dense()).map(|(_, seconds)| seconds);
        let dense = dense.min_by(|a, b| moment(a).seconds.total_cmp(&moment(b).seconds)).cloned();
        let dense_bytes = shape.weights() * dtype.size() as u64;
        for (((entry, error), stored), seconds) in entries.iter().zip(errors).zip(timed).zip(&times) {
            let (matrix_bytes, kept) = match stored {
                Stored::Sparse(copies) => (copies[0].bytes(), 1.0 - subject.sparsity),
                Stored::Dense(_) | Stored::ByVector(_) => (dense_bytes, 1.0),
            };
            let vectors = 4 * (shape.rows + shape.cols) * u64::from(batch);
            let bytes = matrix_bytes + vectors;
            let operations = 2.0 * kept * shape.weights() as f64 * f64::from(batch);
            let fma = self.results.roofs.fma;
            let (reading, computing) = (bytes as f64 / read, operations / fma);
            let (roof, least) = if reading >= computing { ("read", reading) } else { ("fma", computing) };
            let time = moment(seconds);
            // Round by round: what else the machine did then fell on both.
            let ratios: Vec<f64> = dense.iter().flatten().zip(seconds).map(|(dense, own)| dense / own).collect();
            self.results.cases.push(Case {
                layer: subject.layer.map(Into::into),
                asked: subject.asked,
                rows: shape.rows,
                cols: shape.cols,
                dtype: dtype.to_string(),
                pattern: self.asked.pattern.to_string(),
                sparsity: subject.sparsity,
                batch,
                format: entry.name.clone(),
                time,
                bytes,
                matrix_bytes,
                memory: dense_bytes as f64 / matrix_bytes.max(1) as f64,
                roof: roof.into(),
                of_roof: least / time.seconds,
                read,
                speedup: moment(&ratios).seconds,
                error,
            });
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Why a format needs no more measuring: it was far slower than dense with no more weights than now.
    fn hopeless(&self, subject: Subject<'_>, batch: u32, format: &str) -> Option<String> {
        let Shape { rows, cols } = subject.matrix.shape;
        let fewer = |case: &&Case| case.sparsity + ALIKE >= subject.sparsity && !case.is_dense();
        let same = |case: &&Case| (case.rows, case.cols, case.batch) == (rows, cols, batch) && case.format == format;
        let mut others = self.results.cases.iter().filter(same).filter(fewer);
        let case = others.find(|case| case.speedup < self.asked.give_up)?;
        Some(format!(
            "with {:.1} % gone it was {:.2} x as fast as dense, with less it is slower",
            100.0 * case.sparsity,
            case.speedup
        ))
    }
}

/// To whole 16 bytes.
fn padded(x: &[f32]) -> Vec<f32> {
    let mut x = x.to_vec();
    x.resize(x.len().next_multiple_of(4).max(4), 0.0);
    x
}
