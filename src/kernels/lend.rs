//! x ─ lend ─► x where lanes read it fastest. Twin: [`crate::reference::lend`].

use super::sizes::SizesWords;
use super::view::Variant;
use super::{Kernels, Part};
use crate::gpu::{Binding, KernelSpec, Record};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "lend",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/lend.wgsl")
    ),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (3, Binding::Read), (4, Binding::ReadWrite)],
};

/// What a uniform buffer holds on most devices, and all that `x_lent.wgsl` sees.
const LENT_BYTES: u64 = 1 << 16;

impl Kernels {
    /// Records: `batch` vectors of `x`, 1 or 4, from number `first` on, into a buffer of lopper's own that the next
    /// dispatch may bind as a uniform. None where that does not pay, or they do not fit.
    ///
    /// The buffer is one for all: whatever records a lending records its use right behind it, into the same pass or list.
    pub(super) fn lend(
        &self,
        to: &mut impl Record,
        sizes: &SizesWords,
        x: Part<'_>,
        batch: u32,
    ) -> Option<wgpu::Buffer> {
        let fits = 4 * u64::from(sizes.cols) * u64::from(batch) <= LENT_BYTES;
        if !self.tuning.simd || !fits || self.device.limits().max_uniform_buffer_binding_size < LENT_BYTES {
            return None;
        }
        let lent = self.cache().lent.get_or_insert_with(|| self.lent()).clone();
        let threads = self.tuning.workgroup;
        let variant = Variant { mode: batch.into(), ..Variant::NONE };
        let kernel = self.kernel(SPEC, variant, &[("BATCH", batch.into()), ("WORKGROUP", threads.into())]);
        let uniform = self.uniform(sizes);
        let bindings = [uniform.as_entire_buffer_binding(), x.binding(), lent.as_entire_buffer_binding()];
        kernel.dispatch(&self.device, to, &bindings, sizes.cols.div_ceil(16 * threads));
        Some(lent)
    }

    fn lent(&self) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("lopper vectors"),
            size: LENT_BYTES,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    }
}
