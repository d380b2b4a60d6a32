//! A kernel is data: WGSL, a list of bindings, constants. Here is the only call of `create_compute_pipeline`.

use std::sync::OnceLock;

use super::dispatch::grid;

/// What makes a shader module of a descriptor.
type MakeModule = fn(&wgpu::Device, wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule;

static MAKE_MODULE: OnceLock<MakeModule> = OnceLock::new();

/// For tests alone: from now on this process makes its shader modules with `make` instead of
/// `Device::create_shader_module`, so that a test can leave out wgpu's run-time checks. The first call counts.
#[doc(hidden)]
pub fn make_modules_with(make: MakeModule) {
    let _ = MAKE_MODULE.set(make);
}

/// How a kernel sees a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A uniform buffer.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is read and written.
    ReadWrite,
}

/// What makes a kernel.
#[derive(Debug, Clone, Copy)]
pub struct KernelSpec {
    /// Label of its pipeline and passes.
    pub label: &'static str,
    /// WGSL source.
    pub source: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// `(binding number, kind)` in group 0.
    pub bindings: &'static [(u32, Binding)],
}

/// A compiled kernel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kernel {
    spec: KernelSpec,
    layout: wgpu::BindGroupLayout,
    pipeline: wgpu::ComputePipeline,
}

impl Kernel {
    /// Compiles a kernel with values for its `override` constants.
    pub fn new(device: &wgpu::Device, spec: KernelSpec, constants: &[(&str, f64)]) -> Self {
        Self::cached(device, spec, constants, None)
    }

    /// The same, through a pipeline cache.
    pub fn cached(
        device: &wgpu::Device,
        spec: KernelSpec,
        constants: &[(&str, f64)],
        cache: Option<&wgpu::PipelineCache>,
    ) -> Self {
        Self::of_source(device, spec, spec.source, constants, cache)
    }

    /// The same from a source other than the spec's.
    pub(crate) fn of_source(
        device: &wgpu::Device,
        spec: KernelSpec,
        source: &str,
        constants: &[(&str, f64)],
        cache: Option<&wgpu::PipelineCache>,
    ) -> Self {
        let label = Some(spec.label);
        let make = MAKE_MODULE.get().copied().unwrap_or(wgpu::Device::create_shader_module);
        let source = wgpu::ShaderSource::Wgsl(source.into());
        let module = make(device, wgpu::ShaderModuleDescriptor { label, source });
        let entries: Vec<_> = spec
            .bindings
            .iter()
            .map(|&(binding, kind)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match kind {
                        Binding::Uniform => wgpu::BufferBindingType::Uniform,
                        Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Binding::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(spec.entry),
            // Kernels write workgroup memory before they read it. Zeroing it costs, and as GLSL it is a literal as long as
            // the array, over which drivers take minutes.
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: false,
            },
            cache,
        });
        Self { spec, layout, pipeline }
    }

    /// Records one dispatch of `workgroups` workgroups; `resources` are in the order of the spec's bindings.
    pub fn dispatch(
        &self,
        device: &wgpu::Device,
        to: &mut impl Record,
        resources: &[wgpu::BufferBinding<'_>],
        workgroups: u32,
    ) {
        if workgroups == 0 {
            return;
        }
        debug_assert_eq!(resources.len(), self.spec.bindings.len(), "{}", self.spec.label);
        let entries: Vec<_> = self
            .spec
            .bindings
            .iter()
            .zip(resources)
            .map(|(&(binding, _), buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.spec.label),
            layout: &self.layout,
            entries: &entries,
        });
        to.record(Dispatch { label: self.spec.label, pipeline: self.pipeline.clone(), group, grid: grid(workgroups) });
    }
}

/// One dispatch with all it needs: can be recorded any number of times.
#[derive(Debug, Clone)]
pub struct Dispatch {
    label: &'static str,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Dispatch {
    /// The kernel's label.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// Records it.
    pub fn replay(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.push_debug_group(self.label);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
        pass.pop_debug_group();
    }
}

/// What takes dispatches: an open compute pass, or a list that is replayed into passes later.
pub trait Record {
    /// Takes one.
    fn record(&mut self, dispatch: Dispatch);
}

impl Record for wgpu::ComputePass<'_> {
    fn record(&mut self, dispatch: Dispatch) {
        dispatch.replay(self);
    }
}

impl Record for Vec<Dispatch> {
    fn record(&mut self, dispatch: Dispatch) {
        self.push(dispatch);
    }
}
