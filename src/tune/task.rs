//! What is timed: prunings and products of sizes in use.

use crate::bench::clock::Entry;
use crate::bench::data;
use crate::gpu::{Gpu, Tuning};
use crate::kernels::{Epilogue, GroupRule, Kernels, MatrixView, NONZERO_BYTES};
use crate::record::{Lopper, Masks, PruneDescriptor};
use crate::reference::{Matrix, Packed};
use crate::sparse::{Format, SparseMatrix};
use crate::{Dtype, Error, Result, Scope, Shape, Target};
use wgpu::BufferUsages as Usage;

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Half of the weights go, of all of them or of each row.
    Prune(Dtype, Scope),
    /// Two of each four do.
    Group(Dtype),
    /// A dense matrix by so many vectors.
    Dense(Dtype, u32),
    /// One of which 80 % are gone by one vector.
    Sparse(Dtype),
}

impl Task {
    pub const ALL: [Task; 9] = [
        Task::Prune(Dtype::BF16, Scope::Tensor),
        Task::Prune(Dtype::F32, Scope::Tensor),
        Task::Prune(Dtype::BF16, Scope::Row),
        Task::Prune(Dtype::F32, Scope::Row),
        Task::Group(Dtype::BF16),
        Task::Dense(Dtype::F16, 1),
        Task::Dense(Dtype::F32, 1),
        Task::Dense(Dtype::F16, 8),
        Task::Sparse(Dtype::F16),
    ];

    pub fn is_product(self) -> bool {
        !matches!(self, Task::Prune(..) | Task::Group(_))
    }

    pub fn is_row(self) -> bool {
        matches!(self, Task::Prune(_, Scope::Row))
    }

    pub fn name(self) -> String {
        match self {
            Task::Group(dtype) => format!("prune {dtype}, 2 of 4"),
            Task::Prune(dtype, scope) => format!("prune {dtype}, by {}", scope.name()),
            Task::Dense(dtype, 1) => format!("dense {dtype}, one vector"),
            Task::Dense(dtype, columns) => format!("dense {dtype}, {columns} vectors"),
            Task::Sparse(dtype) => format!("sparse {dtype}, 80 % gone, one vector"),
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Task::Prune(dtype, _) | Task::Group(dtype) | Task::Dense(dtype, _) | Task::Sparse(dtype) => dtype,
        }
    }
}

/// The size of an attention matrix of a model of 1 to 3 billion weights: past the caches of most adapters as often as it is there.
pub const SHAPE: Shape = Shape::new(2048, 4096);

/// Bytes that are used in turn, in so many copies at most; and on GPUs, whose caches are larger.
const IN_TURN: u64 = 64 << 20;
const IN_TURN_OF_GPU: u64 = 160 << 20;
const COPIES: u64 = 64;

fn copies(gpu: &Gpu, bytes: u64) -> u64 {
    let in_turn = if gpu.tuning().simd { IN_TURN } else { IN_TURN_OF_GPU };
    in_turn.div_ceil(bytes.max(1)).clamp(1, COPIES)
}

/// A task's data on the device.
pub struct Prepared {
    pub task: Task,
    weights: Vec<wgpu::Buffer>,
    sparse: Option<Packed>,
    x: wgpu::Buffer,
    out: wgpu::Buffer,
    words: u64,
}

/// What a task comes to: a mask, or a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome(Vec<u32>, bool);

impl Prepared {
    pub fn new(gpu: &Gpu, task: Task, shape: Shape) -> Result<Self> {
        let dtype = task.dtype();
        let bytes = data::weights(dtype, shape, 5);
        let columns = if let Task::Dense(_, columns) = task { columns } else { 1 };
        let x = data::vectors(shape.cols, columns, 6);
        let matrix = Matrix::dense(dtype, shape, &bytes);
        let sparse = match task {
            Task::Sparse(_) => {
                let mask = data::mask(matrix, crate::bench::Pattern::Random, 0.8);
                let slice = if gpu.tuning().simd { 8 } else { 32 };
                Some(Packed::pack(matrix, &mask, Format::SlicedEll { slice })?)
            }
            _ => None,
        };
        let words = match task {
            Task::Prune(..) | Task::Group(_) => shape.rows * shape.mask_words_per_row(),
            _ => shape.rows * u64::from(columns),
        };
        let (weights, x, out) = gpu.watch("allocating buffers", || {
            let device = gpu.device();
            let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
            let label = Some("tune");
            let filled = |contents: &[u8]| {
                use wgpu::util::DeviceExt;
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
            };
            let copies = if sparse.is_some() { 0 } else { copies(gpu, bytes.len() as u64) };
            let weights = (0..copies).map(|_| filled(&bytes)).collect::<Vec<_>>();
            let size = 4 * words;
            let out = device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
            Ok((weights, filled(bytemuck::cast_slice(&x)), out))
        })?;
        Ok(Self { task, weights, sparse, x, out, words })
    }

    /// The task with these knobs, to be timed.
    pub fn entry(&self, gpu: &Gpu, kernels: &Kernels, shape: Shape, tuning: Tuning) -> Result<Entry> {
        let view = |buffer| MatrixView::dense(buffer, 0, self.task.dtype(), shape.rows as u32, shape.cols as u32);
        let name = self.task.name();
        gpu.watch("recording kernels", || match self.task {
            Task::Prune(_, scope) => {
                let lopper = Lopper::with_kernels(gpu.device(), kernels.clone());
                let prunings = self.weights.iter().map(|weights| {
                    let matrices = [view(weights)];
                    let masks = [(&self.out).into()];
                    let masks = Masks::Given(&masks);
                    let descriptor = PruneDescriptor::new(&matrices, Target::Sparsity(0.5));
                    lopper.prepare(&PruneDescriptor { scope, apply: false, masks, ..descriptor })
                });
                Ok(Entry::prunings(name, prunings.collect::<Result<_>>()?))
            }
            Task::Group(_) => {
                let counters = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("tune"),
                    size: NONZERO_BYTES,
                    usage: Usage::STORAGE,
                    mapped_at_creation: false,
                });
                let copies = self.weights.iter().map(|weights| {
                    let mut dispatches = Vec::new();
                    kernels.group(
                        &mut dispatches,
                        &view(weights),
                        GroupRule { keep: 2, of: 4 },
                        &self.out,
                        &counters,
                    )?;
                    Ok(dispatches)
                });
                Ok(Entry::new(name, copies.collect::<Result<_>>()?))
            }
            Task::Dense(_, columns) => {
                let copies = self.weights.iter().map(|weights| {
                    let mut dispatches = Vec::new();
                    kernels.gemm(&mut dispatches, &view(weights), columns, &self.x, &self.out, Epilogue::default())?;
                    Ok(dispatches)
                });
                Ok(Entry::new(name, copies.collect::<Result<_>>()?))
            }
            Task::Sparse(_) => {
                let Some(packed) = &self.sparse else { return Ok(Entry::new(name, Vec::new())) };
                let copies = (0..copies(gpu, 4 * packed.values.len() as u64)).map(|_| {
                    let matrix = SparseMatrix::upload(gpu.device(), packed)?;
                    let mut dispatches = Vec::new();
                    matrix.matmul(kernels, &mut dispatches, 1, &self.x, &self.out, Epilogue::default())?;
                    Ok(dispatches)
                });
                Ok(Entry::new(name, copies.collect::<Result<_>>()?))
            }
        })
        .map_err(|error| match error {
            Error::Gpu { doing, message } => Error::Gpu { doing, message: format!("with {tuning:?}: {message}") },
            other => other,
        })
    }

    /// What it comes to.
    pub fn outcome(&self, gpu: &Gpu, entry: &Entry) -> Result<Outcome> {
        gpu.submit("checking", |encoder| {
            encoder.clear_buffer(&self.out, 0, None);
            entry.record(&mut encoder.begin_compute_pass(&Default::default()));
        })?;
        Ok(Outcome(gpu.read_words(&self.out, 4 * self.words)?, self.task.is_product()))
    }
}

impl Outcome {
    /// Whether both are right if one is: masks are equal, products as near as another order of sums lets them be.
    pub fn agrees(&self, other: &Outcome) -> bool {
        if !self.1 {
            return self.0 == other.0;
        }
        let values = |outcome: &Outcome| outcome.0.iter().map(|w| f64::from(f32::from_bits(*w))).collect::<Vec<_>>();
        let want = values(other);
        crate::bench::exact::distance(
            &self.0.iter().map(|w| f32::from_bits(*w)).collect::<Vec<_>>(),
            &[0],
            std::slice::from_ref(&want),
        ) <= crate::bench::exact::NEAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_differ_where_they_do() {
        let product = |values: [f32; 2]| Outcome(values.map(f32::to_bits).to_vec(), true);
        assert!(product([1.0, 2.0]).agrees(&product([1.0, 2.000001])));
        assert!(!product([1.0, 2.0]).agrees(&product([1.0, 2.1])));
        assert!(!product([f32::NAN, 2.0]).agrees(&product([1.0, 2.0])));
        assert!(Outcome(vec![7], false).agrees(&Outcome(vec![7], false)));
        assert!(!Outcome(vec![7], false).agrees(&Outcome(vec![6], false)));
    }
}
