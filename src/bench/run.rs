//! Carries out what is asked, case by case, for as long as there is time.

use std::ops::ControlFlow;
use std::time::Instant;

use wgpu::util::DeviceExt;

use super::clock::{Clock, Entry, moment};
use super::exact::{NEAR, distance, looked_at, products};
use super::results::{Case, Results, Roofs, Skip};
use super::{Asked, Pattern, data, roofs};
use crate::gpu::{Dispatch, Gpu};
use crate::kernels::{Epilogue, Kernels, MatrixView, Part};
use crate::reference::{Matrix, Packed};
use crate::sparse::SparseMatrix;
use crate::{Error, Result, Shape};

/// Called before each case with what it is, how many are done and how many there are; [`ControlFlow::Break`] ends the run,
/// which then returns what it has.
pub type OnCase<'a> = dyn Fn(&str, usize, usize) -> ControlFlow<()> + 'a;

/// Measures what is asked. Takes, for each shape, host memory for some copies of the matrix, and GPU memory for as many
/// in each format as 128 MiB hold, and one at least.
///
/// # Errors
/// [`Error::View`] where what is asked cannot be measured here; [`Error::Gpu`] where the device fails. What a single case
/// lacks memory for is skipped, and said.
pub fn run(gpu: &Gpu, asked: &Asked, on_case: &OnCase<'_>) -> Result<Results> {
    asked.check(gpu)?;
    let start = Instant::now();
    let mut clock = Clock::new(gpu, asked.time.as_secs_f64(), asked.rounds)?;
    let roofs = roofs::measure(gpu, &mut clock)?;
    let results = Results {
        lopper: env!("CARGO_PKG_VERSION"),
        adapter: gpu.info().clone(),
        clock: clock.name(),
        clock_why: clock.why.clone(),
        roofs,
        cases: Vec::new(),
        break_even: Vec::new(),
        skipped: Vec::new(),
        stopped: false,
        seconds: 0.0,
        measuring: 0.0,
    };
    let kernels = Kernels::new(gpu.device(), gpu.tuning());
    let mut run = Run { gpu, kernels, asked, on_case, start, clock, results, done: 0 };
    run.all()?;
    let Run { mut results, clock, .. } = run;
    results.find_break_even();
    results.measuring = clock.measuring;
    results.seconds = start.elapsed().as_secs_f64();
    Ok(results)
}

struct Run<'a> {
    gpu: &'a Gpu,
    kernels: Kernels,
    asked: &'a Asked,
    on_case: &'a OnCase<'a>,
    start: Instant,
    clock: Clock<'a>,
    results: Results,
    done: usize,
}

/// Names of what is not sparse.
const DENSE: &str = "dense";
const BY_VECTOR: &str = "dense, by vector";

/// Vectors up to which it may pay to multiply with one after the other.
const BY_VECTOR_UP_TO: u32 = 16;

/// Matrices are used in turn until so many bytes are passed.
const PAST_CACHES: u64 = 128 << 20;

/// Copies of a matrix at most; small ones stay in caches nevertheless.
const COPIES: u64 = 64;

/// A matrix in one of its forms, as often as it takes to pass the caches.
enum Stored {
    Dense(Vec<wgpu::Buffer>),
    /// The same, multiplied with one vector after the other: of these two the faster is what others are compared with.
    ByVector(Vec<wgpu::Buffer>),
    Sparse(Vec<SparseMatrix>),
}

impl Run<'_> {
    /// Sparsities from the highest down: where sparse products win is known first.
    fn sparsities(&self) -> Vec<f64> {
        let mut sparsities = match self.asked.pattern {
            Pattern::Group { keep, of } => vec![1.0 - f64::from(keep) / f64::from(of)],
            _ => self.asked.sparsities.clone(),
        };
        sparsities.sort_by(|a, b| b.total_cmp(a));
        sparsities.dedup();
        sparsities
    }

    fn all(&mut self) -> Result<()> {
        let asked = self.asked;
        let sparsities = self.sparsities();
        let of = asked.shapes.len() * sparsities.len() * asked.batches.len();
        for (number, &shape) in asked.shapes.iter().enumerate() {
            let bytes = data::weights(asked.dtype, shape, number as u64 + 1);
            let columns = asked.batches.iter().copied().max().unwrap_or(1);
            let x = data::vectors(shape.cols, columns, number as u64 + 2);
            for &sparsity in &sparsities {
                let what = format!("{shape}, sparsity {sparsity}");
                if self.late() {
                    self.skip(what, format!("the time was up: {} s", asked.time.as_secs_f64()));
                    self.done += asked.batches.len();
                    continue;
                }
                if self.stops(&what, of) {
                    return Ok(());
                }
                let matrix = Matrix::dense(asked.dtype, shape, &bytes);
                if self.sparsity(matrix, &x, sparsity, of)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn late(&self) -> bool {
        self.start.elapsed() >= self.asked.time
    }

    fn stops(&mut self, what: &str, of: usize) -> bool {
        self.results.stopped |= (self.on_case)(what, self.done, of).is_break();
        self.results.stopped
    }

    fn skip(&mut self, what: String, why: String) {
        self.results.skipped.push(Skip { what, why, wrong: false });
    }

    /// All formats and batches of one matrix.
    fn sparsity(&mut self, matrix: Matrix<'_>, x: &[f32], sparsity: f64, of: usize) -> Result<ControlFlow<()>> {
        let (shape, asked) = (matrix.shape, self.asked);
        let mask = data::mask(matrix, asked.pattern, sparsity);
        let masked = data::masked(matrix, &mask);
        let kept: u64 = mask.iter().map(|word| u64::from(word.count_ones())).sum();
        let sparsity = 1.0 - kept as f64 / shape.weights() as f64;
        let masked = Matrix { bytes: &masked, ..matrix };
        let dense = self.dense(masked)?;
        let mut all = vec![(DENSE.to_string(), Stored::Dense(dense.clone()))];
        // Parts of buffers begin at multiples of 256 bytes.
        if asked.batches.iter().any(|batch| *batch > 1) && shape.rows % 64 == 0 && shape.cols % 64 == 0 {
            all.push((BY_VECTOR.to_string(), Stored::ByVector(dense)));
        }
        for format in asked.formats(self.gpu) {
            let what = || format!("{shape}, sparsity {sparsity:.3}, {format}");
            let name = format.to_string();
            // Packing takes long, too.
            let hopeless: Option<Vec<String>> =
                asked.batches.iter().map(|&batch| self.hopeless(shape, batch, &name)).collect();
            if let Some(why) = hopeless.and_then(|mut all| all.pop()) {
                self.skip(what(), format!("for every batch; {why}"));
                continue;
            }
            match self.sparse(masked, &mask, format) {
                Ok(stored) => all.push((name, stored)),
                Err(error @ (Error::GpuMemory { .. } | Error::View { .. })) => self.skip(what(), error.to_string()),
                Err(error) => return Err(error),
            }
            if self.stops(&what(), of) {
                return Ok(ControlFlow::Break(()));
            }
        }
        let mut columns: Vec<u32> = asked.batches.iter().flat_map(|&batch| looked_at(batch)).collect();
        columns.sort_unstable();
        columns.dedup();
        let exact = products(masked, x, &columns);
        for &batch in &asked.batches {
            let what = format!("{shape}, sparsity {sparsity:.3}, batch {batch}");
            if self.late() {
                self.skip(what, format!("the time was up: {} s", asked.time.as_secs_f64()));
            } else if self.stops(&what, of) {
                return Ok(ControlFlow::Break(()));
            } else {
                let want = |&column: &u32| exact[columns.binary_search(&column).unwrap_or(0)].clone();
                let looked = looked_at(batch);
                let want: Vec<Vec<f64>> = looked.iter().map(want).collect();
                self.batch(
                    &all,
                    (shape, sparsity),
                    &x[..batch as usize * shape.cols as usize],
                    batch,
                    (&looked, &want),
                )?;
            }
            self.done += 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn copies(bytes: u64) -> u64 {
        PAST_CACHES.div_ceil(bytes.max(1)).clamp(1, COPIES)
    }

    fn dense(&self, matrix: Matrix<'_>) -> Result<Vec<wgpu::Buffer>> {
        let mut contents = matrix.bytes.to_vec();
        contents.resize(contents.len().next_multiple_of(16), 0);
        let copies = (0..Self::copies(contents.len() as u64)).map(|_| self.buffer("bench weights", &contents));
        copies.collect()
    }

    fn sparse(&self, matrix: Matrix<'_>, mask: &[u32], format: crate::Format) -> Result<Stored> {
        let packed = Packed::pack(matrix, mask, format)?;
        let bytes = 4 * (packed.index.len() + packed.values.len()) as u64;
        let copies = (0..Self::copies(bytes)).map(|_| SparseMatrix::upload(self.gpu.device(), &packed));
        Ok(Stored::Sparse(copies.collect::<Result<_>>()?))
    }

    fn buffer(&self, label: &'static str, contents: &[u8]) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let label = Some(label);
        let device = self.gpu.device();
        let made = || Ok(device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage }));
        self.gpu.watch("allocating buffers", made)
    }

    /// The product of one matrix in all of its forms, with so many vectors: checked, then timed in turn.
    fn batch(
        &mut self,
        all: &[(String, Stored)],
        (shape, sparsity): (Shape, f64),
        x: &[f32],
        batch: u32,
        (looked_at, want): (&[u32], &[Vec<f64>]),
    ) -> Result<()> {
        let rows = shape.rows as usize * batch as usize;
        let x = self.buffer("bench x", bytemuck::cast_slice(&padded(x)))?;
        let nothing = vec![f32::NAN; rows.next_multiple_of(4)];
        let (mut entries, mut errors, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        for (name, stored) in all {
            if matches!(stored, Stored::ByVector(_)) && !(2..=BY_VECTOR_UP_TO).contains(&batch) {
                continue;
            }
            let what = format!("{shape}, sparsity {sparsity:.3}, batch {batch}, {name}");
            if let Some(hopeless) = self.hopeless(shape, batch, name) {
                self.skip(what, hopeless);
                continue;
            }
            let y = self.buffer("bench y", bytemuck::cast_slice(&nothing))?;
            let recorded = self.gpu.watch("recording kernels", || self.record(stored, shape, batch, &x, &y));
            let copies = match recorded {
                Ok(copies) => copies,
                Err(error @ Error::View { .. }) => {
                    self.skip(what, error.to_string());
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
                self.results.skipped.push(Skip { what, why, wrong: true });
                continue;
            }
            entries.push(Entry::new(name, copies));
            errors.push(error);
            timed.push(stored);
        }
        let times = self.clock.race(&mut entries)?;
        let is_dense = |entry: &&Entry| [DENSE, BY_VECTOR].contains(&entry.name.as_str());
        let dense = entries.iter().zip(&times).filter(|(entry, _)| is_dense(entry)).map(|(_, seconds)| seconds);
        let dense = dense.min_by(|a, b| moment(a).seconds.total_cmp(&moment(b).seconds)).cloned();
        let dense_bytes = shape.weights() * self.asked.dtype.size() as u64;
        for (((entry, error), stored), seconds) in entries.iter().zip(errors).zip(timed).zip(&times) {
            let matrix_bytes = match stored {
                Stored::Dense(_) | Stored::ByVector(_) => dense_bytes,
                Stored::Sparse(copies) => copies[0].bytes(),
            };
            let kept = if is_dense(&entry) { 1.0 } else { 1.0 - sparsity };
            let vectors = 4 * (shape.rows + shape.cols) * u64::from(batch);
            let bytes = matrix_bytes + vectors;
            let operations = 2.0 * kept * shape.weights() as f64 * f64::from(batch);
            let Roofs { read, fma, .. } = self.results.roofs;
            let (reading, computing) = (bytes as f64 / read, operations / fma);
            let (roof, least) = if reading >= computing { ("read", reading) } else { ("fma", computing) };
            let time = moment(seconds);
            // Round by round: what else the machine did then fell on both.
            let ratios: Vec<f64> = dense.iter().flatten().zip(seconds).map(|(dense, own)| dense / own).collect();
            self.results.cases.push(Case {
                rows: shape.rows,
                cols: shape.cols,
                dtype: self.asked.dtype.to_string(),
                pattern: self.asked.pattern.to_string(),
                sparsity,
                batch,
                format: entry.name.clone(),
                time,
                bytes,
                matrix_bytes,
                memory: dense_bytes as f64 / matrix_bytes.max(1) as f64,
                roof,
                of_roof: least / time.seconds,
                speedup: moment(&ratios).seconds,
                error,
            });
        }
        Ok(())
    }

    /// Why a format needs no more measuring: it was far slower than dense with fewer weights than it has now.
    fn hopeless(&self, shape: Shape, batch: u32, format: &str) -> Option<String> {
        let same = |case: &&Case| (case.rows, case.cols, case.batch) == (shape.rows, shape.cols, batch);
        let mut others = self.results.cases.iter().filter(same).filter(|case| case.format == format);
        let case = others.find(|case| case.speedup < self.asked.give_up && ![DENSE, BY_VECTOR].contains(&format))?;
        Some(format!(
            "with {:.1} % gone it was {:.2} x as fast as dense, with less it is slower",
            100.0 * case.sparsity,
            case.speedup
        ))
    }

    /// The dispatches of a product, on each copy of the matrix.
    fn record(
        &self,
        stored: &Stored,
        shape: Shape,
        batch: u32,
        x: &wgpu::Buffer,
        y: &wgpu::Buffer,
    ) -> Result<Vec<Vec<Dispatch>>> {
        let (kernels, plain) = (&self.kernels, Epilogue::default);
        let mut copies = Vec::new();
        match stored {
            Stored::Dense(buffers) => {
                for buffer in buffers {
                    let (rows, cols) = (shape.rows as u32, shape.cols as u32);
                    let view = MatrixView::dense(buffer, 0, self.asked.dtype, rows, cols);
                    let mut dispatches = Vec::new();
                    kernels.gemm(&mut dispatches, &view, batch, x, y, plain())?;
                    copies.push(dispatches);
                }
            }
            Stored::ByVector(buffers) => {
                let part = |buffer, vector: u32, length: u64| Part {
                    buffer,
                    offset: 4 * u64::from(vector) * length,
                    size: 4 * length,
                };
                for buffer in buffers {
                    let (rows, cols) = (shape.rows as u32, shape.cols as u32);
                    let view = MatrixView::dense(buffer, 0, self.asked.dtype, rows, cols);
                    let mut dispatches = Vec::new();
                    for vector in 0..batch {
                        let (x, y) = (part(x, vector, shape.cols), part(y, vector, shape.rows));
                        kernels.gemv(&mut dispatches, &view, x, y, plain())?;
                    }
                    copies.push(dispatches);
                }
            }
            Stored::Sparse(matrices) => {
                for matrix in matrices {
                    let mut dispatches = Vec::new();
                    matrix.matmul(kernels, &mut dispatches, batch, x, y, plain())?;
                    copies.push(dispatches);
                }
            }
        }
        Ok(copies)
    }
}

/// To whole 16 bytes.
fn padded(x: &[f32]) -> Vec<f32> {
    let mut x = x.to_vec();
    x.resize(x.len().next_multiple_of(4).max(4), 0.0);
    x
}
