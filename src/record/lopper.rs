//! [`Lopper`]: a device, and the pipelines built for it.

use crate::Result;
use crate::gpu::{Tuning, check_limits, raise_limits, watch};
use crate::kernels::{Kernels, MatrixView};
use crate::record::{Amount, Masks, PruneDescriptor, Pruning, scratch};

/// Prunes weights in the buffers of a program that has its own device. Cheap to clone; clones share their pipelines,
/// which are built when they are first needed. Can be used from several threads.
#[derive(Debug, Clone)]
pub struct Lopper {
    device: wgpu::Device,
    kernels: Kernels,
}

impl Lopper {
    /// For a device of the caller's.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] where it falls short of what lopper's kernels need, with both numbers.
    pub fn new(device: &wgpu::Device) -> Result<Self> {
        Self::with_pipeline_cache(device, None)
    }

    /// The same; what the driver compiles goes into, and may come from, the caller's pipeline cache.
    ///
    /// # Errors
    /// As [`Lopper::new`].
    pub fn with_pipeline_cache(device: &wgpu::Device, cache: Option<wgpu::PipelineCache>) -> Result<Self> {
        let info = device.adapter_info();
        check_limits(&info.name, &device.limits())?;
        let kernels = Kernels::new(device, Tuning::for_kind(info.device_type)).with_pipeline_cache(cache);
        Ok(Self { device: device.clone(), kernels })
    }

    /// The same with other knobs; results do not depend on them. [`Lopper::prepare`] refuses those that are out of range.
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { kernels: self.kernels.with_tuning(tuning), ..self }
    }

    /// With these kernels, and the pipelines that they have built.
    pub(crate) fn with_kernels(device: &wgpu::Device, kernels: Kernels) -> Self {
        Self { device: device.clone(), kernels }
    }

    /// The features a device must have: none. (`TIMESTAMP_QUERY` lets [`Pruning::profile`] tell times.)
    pub fn required_features(_adapter: &wgpu::Adapter) -> wgpu::Features {
        wgpu::Features::empty()
    }

    /// The limits a device must have, the others being wgpu's lowest; to be joined with the caller's own by
    /// `wgpu::Limits::or_better_values_from`. Matrices of more than 128 MiB need a larger
    /// `max_storage_buffer_binding_size`.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] where the adapter falls short, with both numbers.
    pub fn required_limits(adapter: &wgpu::Adapter) -> Result<wgpu::Limits> {
        check_limits(&adapter.get_info().name, &adapter.limits())?;
        let mut limits = wgpu::Limits::downlevel_defaults();
        raise_limits(&mut limits);
        Ok(limits.using_alignment(adapter.limits()))
    }

    /// Its device.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The single stages, each recording into a compute pass of the caller's.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Bytes of scratch that a pruning of this kind needs. It is larger for larger matrices, and does not depend on how
    /// many there are.
    pub fn scratch_size(&self, descriptor: &PruneDescriptor<'_>) -> u64 {
        self.layout(descriptor).size
    }

    pub(super) fn layout(&self, descriptor: &PruneDescriptor<'_>) -> scratch::Layout {
        let masks = matches!(descriptor.masks, Masks::Scratch);
        scratch::Layout::new(self.kernels.tuning(), descriptor.matrices, masks)
    }

    /// A scratch buffer of this size in bytes, to be shared by prunings: the largest [`Lopper::scratch_size`] of theirs.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where memory runs out, or the device makes no buffer as large.
    pub fn scratch(&self, size: u64) -> Result<wgpu::Buffer> {
        let (label, usage) = (Some("lopper scratch"), wgpu::BufferUsages::STORAGE);
        let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
        watch(&self.device, "allocating scratch", || Ok(self.device.create_buffer(&descriptor)))
    }

    /// Records at once: prunes matrices in place, each by itself. For what is done once; a pruning that comes again is
    /// better [prepared](Lopper::prepare), or left to an [`Arena`](super::Arena).
    ///
    /// # Errors
    /// As [`Lopper::prepare`].
    pub fn prune<'a>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        matrices: &'a [MatrixView<'a>],
        amount: impl Into<Amount<'a>>,
    ) -> Result<Pruning> {
        let pruning = self.prepare(&PruneDescriptor::new(matrices, amount))?;
        pruning.record(encoder);
        Ok(pruning)
    }
}
