//! The kernels, one module per shader, recording into the caller's compute pass.
//!
//! Nothing here submits, waits or reads back. [`Kernels`] builds pipelines when they are first used and keeps them; it
//! can be shared between threads. Weights are seen through a [`MatrixView`]; bounds, alignment and usage of it and of
//! every [`Part`] are checked before anything is recorded.
//!
//! ```text
//! weights ─ bracket ─► window ─ histogram ─► counts ─ threshold ─► cut ─ mask, settle ─► bits ─ apply ─► weights
//!     │                                                              row, group: cut and mask of each row or group
//!     │                                                              row_scaled: of scores made where they are read
//!     └─ scale, random ─► scores ─ pool ─► keys: units that compete as weights do (score: keys, for callers that rank)
//! weights, lists ─ gather ─► rows and columns that stay, without those that go
//! sparsity ─ quota ─► how many go                                 count: what is not zero, what is kept
//!
//! dense weights, x ─ gemv ─► y; gemm: for several vectors
//! ```
//!
//! Half of a matrix, stage by stage; buffers that wgpu has just made are zero, as `counts` and `tiles` must be:
//!
//! ```no_run
//! use lopper::kernels::{Kernels, MatrixView, Part, ThresholdRule, rounds, window_words};
//! use lopper::reference::{Quota, Window};
//! use lopper::{Dtype, quota, wgpu};
//!
//! /// The parts are of `WINDOW_BYTES`, `counts_bytes(capacity)`, `CUT_BYTES`, `mask_bytes(view)`, `tiles_bytes(view)` and
//! /// `BOUNDARY_BYTES`, each in a buffer of its own.
//! fn half(
//!     kernels: &Kernels,
//!     queue: &wgpu::Queue,
//!     pass: &mut wgpu::ComputePass<'_>,
//!     view: &MatrixView<'_>,
//!     [window, counts, cut, mask, tiles, boundary]: [Part<'_>; 6],
//! ) -> lopper::Result<()> {
//!     let (dtype, capacity) = (view.dtype, kernels.tuning().capacity);
//!     // Look among all keys; `sample` and `place` find a narrower window. Written before each run.
//!     let everything = window_words(Window::over(0, dtype.max_key() + 1, capacity));
//!     queue.write_buffer(window.buffer, window.offset, bytemuck::cast_slice(&everything));
//!     let k = Quota::Count(quota(0.5, view.weights()));
//!     let rule = ThresholdRule { dtype, weights: view.weights() as u32, quota: k };
//!     for _ in 0..rounds(dtype, capacity) {
//!         kernels.histogram(pass, view, window, counts)?;
//!         kernels.threshold(pass, rule, window, counts, cut)?;
//!     }
//!     kernels.mask(pass, view, cut, mask, tiles)?;
//!     kernels.settle(pass, view, cut, mask, tiles, boundary)?;
//!     kernels.apply(pass, view, mask)
//! }
//! ```
//!
//! Left to wgpu, whose error goes to the device's handler: parts and views of more than
//! `max_storage_buffer_binding_size`, buffers that are destroyed or of another device, and a buffer that one stage both
//! reads weights from and writes to, since wgpu tracks whole buffers. [`Lopper::prepare`](crate::Lopper::prepare) reports
//! all of these itself.

mod apply;
mod bitmask;
mod block;
mod bracket;
mod count;
mod csr;
mod dense;
mod ell;
mod epilogue;
mod gather;
mod gemm;
mod gemv;
mod group;
mod halves;
mod histogram;
mod lend;
mod macko;
mod mask;
mod nm;
mod pack;
mod packed;
mod part;
mod pool;
mod quota;
mod random;
mod row;
mod scale;
mod scaled;
mod scan;
mod score;
mod settle;
mod several;
mod shaders;
mod sizes;
mod specs;
mod threshold;
mod view;

pub use bracket::{SamplePlan, WINDOW_BYTES};
pub use epilogue::Epilogue;
pub use gather::GatherRule;
pub use group::GroupRule;
pub(crate) use group::LARGEST_GROUP;
pub(crate) use histogram::counted_bytes;
pub use histogram::{COUNT_HEADS, counts_bytes, read_counts};
pub use mask::{mask_bytes, tiles_bytes};
pub(crate) use pack::{Pack, unit_count};
pub(crate) use packed::PackedParts;
pub use part::Part;
pub use pool::PoolRule;
pub(crate) use quota::Numbers;
pub use quota::{ASKED_BYTES, QuotaRule};
pub use random::RandomRule;
pub use row::{NONZERO_BYTES, RowRule, WHOLE_WEIGHTS};
pub use scale::ScaleRule;
pub use scaled::Scaled;
pub use settle::BOUNDARY_BYTES;
#[doc(hidden)]
pub use shaders::{Layout, SHADERS, SUBGROUP_SHADERS, layouts};
pub use threshold::{CUT_BYTES, ThresholdRule, rounds, window_words};
pub(crate) use threshold::{CutWords, cut_words};
pub use view::MatrixView;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::util::DeviceExt;

use crate::gpu::{Kernel, KernelSpec, Tuning};
use crate::{Error, Result};

/// The member offsets of a struct that a shader shares, so that a test can hold both against each other.
macro_rules! shared_layout {
    ($host:ty, $wgsl:literal, [$($member:ident),* $(,)?]) => {
        impl $host {
            pub(super) fn layout() -> crate::kernels::Layout {
                let members = vec![$((stringify!($member), std::mem::offset_of!($host, $member))),*];
                ($wgsl, size_of::<$host>(), members)
            }
        }
    };
}
pub(crate) use shared_layout;

/// The pipelines of one device, built when first used. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Kernels {
    device: wgpu::Device,
    tuning: Tuning,
    subgroups: bool,
    pipeline_cache: Option<wgpu::PipelineCache>,
    cache: Arc<Mutex<Cache>>,
}

#[derive(Debug, Default)]
struct Cache {
    pipelines: HashMap<(&'static str, view::Variant), Kernel>,
    uniforms: HashMap<Vec<u8>, wgpu::Buffer>,
    /// What vectors are lent in.
    lent: Option<wgpu::Buffer>,
    /// Whether shaders have `unpack2x16float`; none until that was tried.
    halves: Option<bool>,
}

/// Uniform buffers kept for parameters that come again, as those of equally shaped layers do.
const UNIFORMS_KEPT: usize = 512;

impl Kernels {
    /// Kernels for a device that passes [`crate::gpu::check_limits`], with the knobs for its class of adapter
    /// ([`Tuning::for_kind`]). [`Lopper::kernels`](crate::Lopper::kernels) are checked and tuned already.
    pub fn new(device: &wgpu::Device, tuning: Tuning) -> Self {
        let subgroups = device.features().contains(wgpu::Features::SUBGROUP);
        Self { device: device.clone(), tuning, subgroups, pipeline_cache: None, cache: Arc::default() }
    }

    /// The same without subgroups, and so with pipelines of its own; a device that lacks them is not asked for any.
    pub fn without_subgroups(self) -> Self {
        Self { subgroups: false, cache: Arc::default(), ..self }
    }

    /// The same; what the driver compiles goes into, and may come from, the caller's pipeline cache.
    pub fn with_pipeline_cache(self, cache: Option<wgpu::PipelineCache>) -> Self {
        Self { pipeline_cache: cache, ..self }
    }

    /// The same with other knobs, and so with pipelines of its own.
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { tuning, cache: Arc::default(), ..self }
    }

    /// Pipelines are built anew when next used: some may have failed to build.
    pub(crate) fn forget(&self) {
        self.cache().pipelines.clear();
    }

    /// The knobs.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Software adapters end a thread that has gone around loops 65,535 times, as if it were done.
    fn check_steps(&self, cols: u32, most: u32) -> Result<()> {
        if self.tuning.simd && cols > most {
            let problem = format!("{cols} columns, the loops of a software adapter hold {most}");
            return Err(Error::View { what: "product", problem });
        }
        Ok(())
    }

    /// Whether a workgroup of so many threads is one subgroup on this device.
    fn is_one_subgroup(&self, threads: u32) -> bool {
        let info = self.device.adapter_info();
        self.subgroups && info.subgroup_min_size == threads && info.subgroup_max_size == threads
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // A poisoned cache is still whole: entries are inserted in one step.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel for this kind of view, compiled at its first use. `extra` are constants besides the variant's; they
    /// must depend on nothing but the tuning and the variant.
    fn kernel(&self, spec: KernelSpec, variant: view::Variant, extra: &[(&str, f64)]) -> Kernel {
        if let Some(kernel) = self.cache().pipelines.get(&(spec.label, variant)) {
            return kernel.clone();
        }
        // Compiled outside the lock: two threads may do the same work once, none waits for another's.
        let source = self.source_for(spec.source);
        let kernel = Kernel::of_source(&self.device, spec, &source, extra, self.pipeline_cache.as_ref());
        self.cache().pipelines.entry((spec.label, variant)).or_insert(kernel).clone()
    }

    /// A kernel that shares the groups of a view out among workgroups: with the view's uniform, and how many workgroups.
    fn streaming(&self, spec: KernelSpec, view: &MatrixView<'_>) -> (Kernel, wgpu::Buffer, u32) {
        let constants = view.variant().constants([("WORKGROUP", self.tuning.workgroup.into())]);
        let share = view.share(self.tuning);
        let uniform = self.uniform(&view.words(share.span));
        (self.kernel(spec, view.variant(), &constants), uniform, share.workgroups)
    }

    /// Whether workgroups read the view's weights together, as `shaders/staged.wgsl` does.
    fn stages(&self, view: &MatrixView<'_>) -> bool {
        let variant = view.variant();
        !self.tuning.simd && variant.size == 4 && variant.aligned && variant.flat
    }

    /// The knobs of kernels that do: smaller workgroups, and so more of them.
    fn staging_tuning(&self) -> Tuning {
        let workgroup = self.tuning.workgroup.min(64);
        let more = self.tuning.workgroup / workgroup;
        Tuning { workgroup, workgroups: self.tuning.workgroups.saturating_mul(more), ..self.tuning }
    }

    /// The same as [`Self::streaming`] for these.
    fn staging(&self, spec: KernelSpec, view: &MatrixView<'_>) -> (Kernel, wgpu::Buffer, u32) {
        let tuning = self.staging_tuning();
        let constants = view.variant().constants([("WORKGROUP", tuning.workgroup.into())]);
        let share = view.share(tuning);
        let uniform = self.uniform(&view.words(share.span));
        (self.kernel(spec, view.variant(), &constants), uniform, share.workgroups)
    }

    /// What is bound where 16 bytes are read at a time: the binding itself, or, if it is shorter, `none` of as much.
    fn quads<'a>(binding: wgpu::BufferBinding<'a>, none: &'a wgpu::Buffer) -> wgpu::BufferBinding<'a> {
        if binding.size.is_some_and(|size| size.get() < 16) { none.as_entire_buffer_binding() } else { binding }
    }

    /// A uniform buffer with these contents; the same buffer for the same contents.
    fn uniform<T: bytemuck::Pod>(&self, words: &T) -> wgpu::Buffer {
        let contents = bytemuck::bytes_of(words);
        let mut cache = self.cache();
        if let Some(buffer) = cache.uniforms.get(contents) {
            return buffer.clone();
        }
        if cache.uniforms.len() >= UNIFORMS_KEPT {
            cache.uniforms.clear();
        }
        let buffer = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("lopper uniform"),
            contents,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
        });
        cache.uniforms.insert(contents.to_vec(), buffer.clone());
        buffer
    }
}
