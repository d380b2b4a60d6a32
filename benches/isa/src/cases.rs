//! The kernels, with the constants that `Kernels` gives them on a GPU: 128 threads, x of 4,096 numbers in workgroup memory.

use anyhow::{Context, Result};
use lopper::kernels::{SHADERS, SUBGROUP_SHADERS};
use naga::back::{pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

pub struct Case {
    pub name: &'static str,
    /// Bytes of each.
    size: u32,
    /// Weights, or multiply-adds of GEMM, that a turn of the loop has done; kept ones where it looks at no others.
    pub weights: u32,
    source: &'static str,
    constants: Vec<(&'static str, u32)>,
}

/// All of them, f32 and bf16.
pub fn all() -> Vec<Case> {
    let x_is_staged = "var<workgroup> staged";
    let (f32_size, bf16_size) = (4, 2);
    let mut all = Vec::new();
    for size in [f32_size, bf16_size] {
        let per_quad = 16 / size;
        let mut add = |name, weights, source: &'static str, constants: &[(&'static str, u32)]| {
            let mut constants = constants.to_vec();
            constants.extend([("SIZE", size), ("BRAIN", u32::from(size == bf16_size))]);
            all.push(Case { name, size, weights, source, constants });
        };
        let lanes = ("WORKGROUP", 128);
        let shared = [("WORKGROUP", 256), ("STAGED", 4352)];
        let slices = [("SLICE", 32), ("DEEP", 1)];
        let blocks = [lanes, ("HEIGHT", 16), ("WIDTH", 16), ("WHOLE", 1)];
        add("gemv", 8 * per_quad, find("gemv", &["fn step("]), &[lanes]);
        add("ell", 32, find("ell", &[x_is_staged]), &[shared[0], shared[1], slices[0], slices[1]]);
        add(
            "ell in place",
            32,
            find("ell", &["fn four_slots", "storage, read> x:"]),
            &[shared[0], slices[0], slices[1]],
        );
        add("macko", 32, find("macko", &[x_is_staged]), &[shared[0], shared[1], ("TEAM", 32)]);
        add("bitmask", 16, find("bitmask", &["fn words_at", "storage, read> x:"]), &[lanes]);
        add("csr", 16, find("csr", &["fn pairs_at", "storage, read> x:"]), &[lanes]);
        add("block", 8 * per_quad, find("block", &["fn times(quad", "storage, read> x:"]), &blocks);
        let paired = ("PAIRED", u32::from(size == bf16_size));
        add("nm", 32, find("nm", &["fn fours_at", "storage, read> x:"]), &[lanes, ("KEEP", 2), ("OF", 4), paired]);
        add("gemm_wide", 16 * 64, find("gemm", &["fn outer("]), &[("WHOLE", 1)]);
        add(
            "gemm_narrow",
            4 * per_quad * 16,
            find("gemm_narrow", &[]),
            &[("WORKGROUP", 32), ("VECTORS", 16), ("SINGLE", 1)],
        );
    }
    all
}

/// The source of a product that has all of these in it: that by subgroups, where there is one.
fn find(name: &str, parts: &[&str]) -> &'static str {
    let found = SUBGROUP_SHADERS.iter().chain(SHADERS).find(|(shader, source, entries)| {
        *shader == name && entries.contains(&"main") && parts.iter().all(|part| source.contains(part))
    });
    found.unwrap_or_else(|| panic!("there is no kernel {name} with {parts:?} any more")).1
}

impl Case {
    pub fn dtype(&self) -> &'static str {
        if self.size == 4 { "f32" } else { "bf16" }
    }

    /// SPIR-V as wgpu has it made of modules with its checks, for drivers that look after the bounds of buffers themselves.
    pub fn spirv(&self) -> Result<Vec<u32>> {
        let (name, stage) = (self.name, naga::ShaderStage::Compute);
        let module = naga::front::wgsl::parse_str(self.source).context(name)?;
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .context(name)?;
        let has = |constant: &str| module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(constant));
        let constants = self.constants.iter().filter(|(constant, _)| has(constant));
        let constants = constants.map(|&(constant, value)| (constant.to_string(), value.into())).collect();
        let (module, info) =
            pipeline_constants::process_overrides(&module, &info, Some((stage, "main")), &constants).context(name)?;
        let unchecked = BoundsCheckPolicy::Unchecked;
        let options = spv::Options {
            lang_version: (1, 6),
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Restrict,
                buffer: unchecked,
                image_load: unchecked,
                binding_array: unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: "main".into() };
        spv::write_vec(&module, &info, &options, Some(&pipeline)).context(name)
    }

    /// Number of each binding, and whether it is a uniform buffer.
    pub fn bindings(&self) -> Vec<(u32, bool)> {
        let bindings = self.source.split("@binding(").skip(1).filter_map(|rest| {
            let number = rest.split(')').next()?.parse().ok()?;
            Some((number, rest.lines().next()?.contains("var<uniform>")))
        });
        bindings.collect()
    }
}
