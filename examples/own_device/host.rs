//! The host program's own device, and the little around wgpu that it needs. Nothing here knows lopper.

use anyhow::{Context, Result};
use bytemuck::Pod;
use lopper::wgpu;
use wgpu::util::DeviceExt;

/// Invocations per workgroup, of every kernel.
const WORKGROUP: u32 = 64;

pub struct Host {
    pub adapter: wgpu::AdapterInfo,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

/// A kernel with its buffers, ready to be recorded any number of times.
pub struct Bound {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: u32,
}

impl Host {
    /// Opens the adapter that `LOPPER_ADAPTER` names, by words of its name and backend, or the one that wgpu takes to be fastest.
    pub async fn open() -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapter = match std::env::var("LOPPER_ADAPTER") {
            Ok(asked) => (instance.enumerate_adapters(wgpu::Backends::all()).await.into_iter())
                .find(|adapter| matches(&adapter.get_info(), &asked.to_lowercase()))
                .with_context(|| format!("no adapter matches `{asked}`"))?,
            Err(_) => {
                let power_preference = wgpu::PowerPreference::HighPerformance;
                instance
                    .request_adapter(&wgpu::RequestAdapterOptions { power_preference, ..Default::default() })
                    .await?
            }
        };
        // wgpu's default limits and no features: lopper needs less than that.
        let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
        Ok(Self { adapter: adapter.get_info(), device, queue })
    }

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// A storage buffer with these contents.
    pub fn storage<T: Pod>(&self, label: &str, contents: &[T]) -> wgpu::Buffer {
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some(label),
            contents: bytemuck::cast_slice(contents),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        })
    }

    /// A storage buffer of zeros: `rows` rows of `cols` words.
    pub fn zeros(&self, label: &str, rows: u32, cols: u32) -> wgpu::Buffer {
        self.storage(label, &vec![0u32; (rows * cols) as usize])
    }

    /// A uniform buffer with these contents.
    pub fn uniform<T: Pod>(&self, label: &str, contents: T) -> wgpu::Buffer {
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some(label),
            contents: bytemuck::bytes_of(&contents),
            usage: wgpu::BufferUsages::UNIFORM,
        })
    }

    /// Compiles an entry point; its bindings are those that it uses.
    pub fn kernel(
        &self,
        module: &wgpu::ShaderModule,
        entry_point: &str,
        constants: &[(&str, f64)],
    ) -> wgpu::ComputePipeline {
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        })
    }

    /// Binds buffers to a kernel, for at least so many invocations.
    pub fn bind(&self, kernel: &wgpu::ComputePipeline, buffers: &[(u32, &wgpu::Buffer)], invocations: u32) -> Bound {
        let entries: Vec<_> = buffers
            .iter()
            .map(|&(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = &kernel.get_bind_group_layout(0);
        let group =
            self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        Bound { pipeline: kernel.clone(), group, workgroups: invocations.div_ceil(WORKGROUP) }
    }

    /// Submits, then waits for what is in `buffer`.
    pub fn submit_and_read<T: Pod>(&self, mut encoder: wgpu::CommandEncoder, buffer: &wgpu::Buffer) -> Result<Vec<T>> {
        let readback = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("a fresh buffer maps"));
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(bytemuck::pod_collect_to_vec(&readback.get_mapped_range(..)?))
    }
}

/// Whether an adapter's name and backend contain all words.
fn matches(info: &wgpu::AdapterInfo, words: &str) -> bool {
    let text = format!("{} {}", info.name, info.backend).to_lowercase();
    words.split_whitespace().all(|word| text.contains(word))
}

/// Records kernels in this order; each sees what those before it wrote.
pub fn record(encoder: &mut wgpu::CommandEncoder, kernels: &[Bound]) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    for kernel in kernels {
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &kernel.group, &[]);
        pass.dispatch_workgroups(kernel.workgroups, 1, 1);
    }
}
