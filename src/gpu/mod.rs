//! What lopper needs of a device, and the one place that builds pipelines.
//!
//! [`Gpu`] is a device opened by lopper itself, for the command line and for programs without one, or the caller's;
//! everything below works with any `wgpu::Device` that passes [`check_limits`].

mod adapter;
pub mod dispatch;
mod kernel;
mod tuning;
mod watch;

pub use adapter::{AdapterInfo, adapters};
#[doc(hidden)]
pub use kernel::make_modules_with;
pub use kernel::{Binding, Dispatch, Kernel, KernelSpec, Record};
pub(crate) use tuning::SAMPLED_PER_THREAD;
pub use tuning::Tuning;
pub(crate) use watch::{PATIENCE, watch};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use wgpu::util::DeviceExt;

use crate::fault::Faults;
use crate::{Error, Result};

/// The limits that lopper's kernels need, as `(wgpu's name, value)`: within wgpu's defaults, and far below what GPUs have. Bindings
/// of 128 MiB and 16 KiB of workgroup memory are plenty.
pub const REQUIRED: &[(&str, u64)] = &[
    ("max_storage_buffers_per_shader_stage", 6),
    ("max_uniform_buffers_per_shader_stage", 2),
    ("max_bindings_per_bind_group", 8),
    ("max_storage_buffer_binding_size", 1 << 24),
    ("max_buffer_size", 1 << 24),
    ("max_compute_workgroup_storage_size", 16 << 10),
    ("max_compute_invocations_per_workgroup", 256),
    ("max_compute_workgroup_size_x", 256),
    ("max_compute_workgroups_per_dimension", 65_535),
];

/// The features that lopper uses where an adapter has them. It needs none.
pub const OPTIONAL_FEATURES: wgpu::Features =
    wgpu::Features::MAPPABLE_PRIMARY_BUFFERS.union(wgpu::Features::SUBGROUP).union(wgpu::Features::TIMESTAMP_QUERY);

/// Reading and raising by name, from one list of names.
macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        /// The value of one of the [`REQUIRED`] limits.
        fn limit(limits: &wgpu::Limits, name: &str) -> u64 {
            match name {
                $(stringify!($name) => u64::from(limits.$name),)*
                other => unreachable!("{other} is not in REQUIRED"),
            }
        }

        /// Raises limits to what is [`REQUIRED`].
        pub(crate) fn raise_limits(limits: &mut wgpu::Limits) {
            for &(name, need) in REQUIRED {
                match name {
                    $(stringify!($name) => limits.$name = limits.$name.max(need as _),)*
                    other => unreachable!("{other} is not in REQUIRED"),
                }
            }
        }
    };
}
limits!(
    max_storage_buffers_per_shader_stage,
    max_uniform_buffers_per_shader_stage,
    max_bindings_per_bind_group,
    max_storage_buffer_binding_size,
    max_buffer_size,
    max_compute_workgroup_storage_size,
    max_compute_invocations_per_workgroup,
    max_compute_workgroup_size_x,
    max_compute_workgroups_per_dimension,
);

/// Checks that limits are enough for lopper's kernels; `who` is named in the error.
///
/// # Errors
/// [`Error::Limit`] with the first limit that falls short, and both numbers.
pub fn check_limits(who: &str, limits: &wgpu::Limits) -> Result<()> {
    for &(what, need) in REQUIRED {
        let have = limit(limits, what);
        if have < need {
            return Err(Error::Limit { adapter: who.into(), what, have, need });
        }
    }
    Ok(())
}

/// A device opened by lopper or by the caller, its queue, and what is known of its adapter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: AdapterInfo,
    kind: wgpu::DeviceType,
    tuning: Tuning,
    /// The first error that no scope caught, and the reason why the device was lost. Stays empty on a caller's device.
    failure: Arc<OnceLock<String>>,
    /// Where the device came from, if lopper opened it.
    adapter: Option<wgpu::Adapter>,
    lost: Arc<AtomicBool>,
    faults: Option<Faults>,
}

impl Gpu {
    /// Opens an adapter: by its index in [`adapters`], by a part of its name or backend (`vulkan`, `nvidia`), or the
    /// best there is.
    ///
    /// # Errors
    /// [`Error::Adapter`] where none fits or several do, [`Error::Limit`] where it falls short of [`REQUIRED`].
    pub async fn open(adapter: Option<&str>) -> Result<Self> {
        let (adapter, info) = adapter::choose(adapter).await?;
        check_limits(&info.name, &adapter.limits())?;
        let features = adapter.features() & adapter::features_for(adapter.get_info().device_type);
        Self::request(adapter, info, features).await
    }

    /// The same, as if the adapter could not map storage buffers: chunks are staged, as on a discrete GPU.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub async fn open_staged(adapter: Option<&str>) -> Result<Self> {
        let (adapter, info) = adapter::choose(adapter).await?;
        check_limits(&info.name, &adapter.limits())?;
        let features = adapter.features() & wgpu::Features::SUBGROUP;
        Self::request(adapter, info, features).await
    }

    /// The caller's device and its queue, shared with whatever else the caller does on them.
    ///
    /// The device needs the limits in [`REQUIRED`], which `wgpu::Limits::default()` covers, and no feature. Where it is
    /// an integrated GPU or a software driver, ask for `MAPPABLE_PRIMARY_BUFFERS` if the adapter has it: chunks are then
    /// read where the kernels find them. Elsewhere that feature is not used, as such buffers lie in slow memory.
    ///
    /// What happens to the device:
    ///
    /// - Its uncaptured-error handler and its device-lost callback stay the caller's. All that a
    ///   [`Pruner`](crate::pruner::Pruner) or [`scheduler::run`](crate::scheduler::run) records, allocates and submits
    ///   is inside error scopes of its own, on its own threads and on the one that called it: an error of lopper's,
    ///   running out of memory included, is an [`Error::Gpu`] and never reaches the handler; an error of the caller's
    ///   own calls, those of a source, a sink or a progress function included, is never caught.
    /// - A device that is lost or destroyed gives no error to scopes. It shows by a wait or a mapping that fails, which
    ///   is an [`Error::Gpu`] too; the reason is told to the caller's device-lost callback alone.
    /// - What no driver reports, the host finds where a count is asked for: it counts the kept weights of every mask
    ///   before anything is committed.
    /// - lopper waits for its own submissions, never for the device. A queue works in order, so whatever the caller
    ///   submitted before those is waited for with them. Waiting polls the device, so the caller's own callbacks (of
    ///   `map_async`, `on_submitted_work_done`) may run on lopper's threads.
    ///
    /// # Errors
    /// [`Error::Limit`] with the first of the device's limits that falls short of [`REQUIRED`], and both numbers.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let adapter = device.adapter_info();
        check_limits(&adapter.name, &device.limits())?;
        let kind = adapter.device_type;
        let info = AdapterInfo::new(None, adapter, &device.limits(), device.features());
        let (failure, lost) = (Arc::default(), Arc::default());
        let tuning = Tuning::for_kind(kind);
        Ok(Self { device, queue, info, kind, tuning, failure, adapter: None, lost, faults: None })
    }

    /// The same with other knobs for its kernels, such as those of a [`Table`](crate::tune::Table); results do not depend on
    /// them.
    ///
    /// # Errors
    /// [`Error::Rule`] with the first knob that is out of range, and its value.
    pub fn with_tuning(self, tuning: Tuning) -> Result<Self> {
        tuning.check()?;
        Ok(Self { tuning, ..self })
    }

    /// The same, which fails on purpose.
    #[doc(hidden)]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// A new device in place of one that is lost; none if it is not, or is the caller's.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is none to be had.
    pub(crate) fn reopen(&self) -> Option<Result<Self>> {
        // A loss is told when the device is polled.
        let _ = self.poll(wgpu::PollType::Poll);
        let adapter = self.adapter.clone().filter(|_| self.lost.load(Ordering::Relaxed))?;
        let features = self.device.features();
        // wgpu knows at once, but for the web.
        let opened = watch::ready(Self::request(adapter, self.info.clone(), features));
        let none = || Err(Error::Adapter(format!("cannot open {} again", self.info.name)));
        Some(opened.unwrap_or_else(none).map(|gpu| Self { faults: self.faults.clone(), tuning: self.tuning, ..gpu }))
    }

    async fn request(adapter: wgpu::Adapter, info: AdapterInfo, required_features: wgpu::Features) -> Result<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lopper"),
            required_features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::Adapter(format!("cannot open {}: {e}", info.name)))?;
        let failure = Arc::new(OnceLock::new());
        let lost = Arc::new(AtomicBool::new(false));
        let (errors, losses, is_lost) = (failure.clone(), failure.clone(), lost.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| drop(errors.set(error.to_string()))));
        device.set_device_lost_callback(move |reason, message| {
            is_lost.store(true, Ordering::Relaxed);
            // `Destroyed` is how a device ends that is dropped.
            if reason != wgpu::DeviceLostReason::Destroyed {
                drop(losses.set(format!("the device was lost: {message}")));
            }
        });
        let kind = adapter.get_info().device_type;
        let tuning = Tuning::for_kind(kind);
        Ok(Self { device, queue, info, kind, tuning, failure, adapter: Some(adapter), lost, faults: None })
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Its adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// The kernels' knobs: those for this class of adapter, unless [others](Gpu::with_tuning) were given.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Those for this class of adapter.
    pub fn class_tuning(&self) -> Tuning {
        Tuning::for_kind(self.kind)
    }

    /// Whether the host maps the very buffers that kernels read, so that nothing needs to be uploaded.
    pub fn maps_storage(&self) -> bool {
        let used = self.device.features() & adapter::features_for(self.kind);
        used.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    /// The largest buffer a kernel can be bound to, in bytes: at most 2³¹ − 1 (wgpu#8105), rounded down to 256.
    pub fn max_binding(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min((1 << 31) - 1) & !255
    }

    /// The first error that the device reported outside of all error scopes since lopper opened it. Of a caller's
    /// device nothing is known here.
    ///
    /// # Errors
    /// [`Error::Gpu`] with wgpu's message.
    pub fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(message) => Err(Error::Gpu { doing: "running kernels", message: message.clone() }),
        }
    }

    pub(crate) fn encoder(&self, label: &str) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) })
    }

    /// A small storage buffer with these words.
    pub(crate) fn buffer_with(&self, label: &str, words: &[u32]) -> wgpu::Buffer {
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some(label),
            contents: bytemuck::cast_slice(words),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        })
    }
}
