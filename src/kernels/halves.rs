//! f16 weights on devices whose shaders have no `unpack2x16float`.

use std::borrow::Cow;

use super::Kernels;
use crate::gpu::watch;

/// How `stored.wgsl` decodes two of them, and what else does.
const BUILTIN: &str = "unpack2x16float(word)";
const BY_INTEGERS: &str = include_str!("../../shaders/halves.wgsl");

/// What tells whether there is the builtin: wgpu says it of adapters, and lopper may be given no more than a device.
const PROBE: &str = "@group(0) @binding(0) var<storage, read_write> v: array<u32>; \
    @compute @workgroup_size(1) fn main() { v[0] = bitcast<u32>(unpack2x16float(v[0]).x); }";

impl Kernels {
    /// The same with f16 weights decoded by integers, as where there is nothing else; for tests.
    #[doc(hidden)]
    pub fn without_half_builtin(self) -> Self {
        let kernels = Self { cache: Default::default(), ..self };
        kernels.cache().halves = Some(false);
        kernels
    }

    /// A source as this device takes it.
    pub(super) fn source_for(&self, source: &'static str) -> Cow<'static, str> {
        if !source.contains(BUILTIN) || self.has_half_builtin() {
            return source.into();
        }
        (source.replace(BUILTIN, "halves_of(word)") + BY_INTEGERS).into()
    }

    fn has_half_builtin(&self) -> bool {
        let known = self.cache().halves;
        known.unwrap_or_else(|| {
            let source = wgpu::ShaderSource::Wgsl(PROBE.into());
            let module = wgpu::ShaderModuleDescriptor { label: Some("lopper probe"), source };
            let has = watch(&self.device, "looking for f16", || Ok(self.device.create_shader_module(module))).is_ok();
            self.cache().halves = Some(has);
            has
        })
    }
}
