//! Every shader as every backend will see it, and host structs against the layouts that shaders declare. No GPU.

use std::collections::HashMap;

use lopper::kernels::{SHADERS, SUBGROUP_SHADERS, layouts};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// 16 KiB: what every device has.
const WORKGROUP_MEMORY: u32 = 16 << 10;

/// No f16 arithmetic, no subgroups, no 64-bit integers: but for those that are used only where there are subgroups.
/// Products unpack f16, which WGSL has anyway.
fn capabilities(source: &str) -> Capabilities {
    let unpacked = if source.contains("unpack2x16float") {
        Capabilities::SHADER_FLOAT16_IN_FLOAT32
    } else {
        Capabilities::empty()
    };
    let with = SUBGROUP_SHADERS.iter().any(|shader| shader.1 == source);
    if with { unpacked | Capabilities::SUBGROUP } else { unpacked }
}

fn parse(name: &str, source: &str) -> (Module, ModuleInfo) {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    let info = Validator::new(ValidationFlags::all(), capabilities(source))
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    (module, info)
}

/// With override constants at the values of a weight size.
fn specialised(name: &str, source: &str, entry: &str, size: u32) -> (Module, ModuleInfo) {
    let (module, info) = parse(name, source);
    let constants: HashMap<String, f64> = module
        .overrides
        .iter()
        .filter_map(|(_, o)| o.name.clone())
        .filter_map(|n| match n.as_str() {
            "SIZE" => Some((n, f64::from(size))),
            "LIMIT" => Some((n, f64::from(1u32 << (8 * size - 1)))),
            _ => None,
        })
        .collect();
    let constants = constants.into_iter().collect();
    let (module, info) = naga::back::pipeline_constants::process_overrides(
        &module,
        &info,
        Some((ShaderStage::Compute, entry)),
        &constants,
    )
    .unwrap_or_else(|e| panic!("{name}: {e}"));
    (module.into_owned(), info.into_owned())
}

fn each(mut check: impl FnMut(&str, &str, &Module, &ModuleInfo)) {
    for &(name, source, entries) in SHADERS.iter().chain(SUBGROUP_SHADERS).chain(lopper::bench::SHADERS) {
        for entry in entries {
            for size in [1, 2, 4] {
                let (module, info) = specialised(name, source, entry, size);
                check(name, entry, &module, &info);
            }
        }
    }
}

#[test]
fn all_shaders_translate_to_spir_v() {
    each(|name, entry, module, info| {
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
        let words = spv::write_vec(module, info, &spv::Options::default(), Some(&pipeline))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(words[0], 0x0723_0203, "{name}");
    });
}

#[test]
fn all_shaders_translate_to_msl() {
    each(|name, entry, module, info| {
        let options = msl::Options { lang_version: (2, 0), fake_missing_bindings: true, ..Default::default() };
        let pipeline =
            msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.into())), ..Default::default() };
        let (text, _) = msl::write_string(module, info, &options, &pipeline).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("kernel void"), "{name}");
    });
}

#[test]
fn all_shaders_translate_to_hlsl() {
    each(|name, entry, module, info| {
        // 5.1 is FXC's: no dynamic writes into vectors (wgpu#8334).
        for shader_model in [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0] {
            let options = hlsl::Options { shader_model, ..Default::default() };
            let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.into())) };
            let mut text = String::new();
            hlsl::Writer::new(&mut text, &options, &pipeline)
                .write(module, info, None)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(text.contains("numthreads"), "{name}");
        }
    });
}

#[test]
fn all_shaders_translate_to_glsl() {
    each(|name, entry, module, info| {
        for version in [glsl::Version::Desktop(430), glsl::Version::new_gles(310)] {
            let options = glsl::Options { version, ..Default::default() };
            let pipeline = glsl::PipelineOptions {
                shader_stage: ShaderStage::Compute,
                entry_point: entry.into(),
                multiview: None,
            };
            let policies = BoundsCheckPolicies { buffer: BoundsCheckPolicy::Restrict, ..Default::default() };
            let mut text = String::new();
            glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)
                .and_then(|mut writer| writer.write())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(text.contains("local_size_x"), "{name}");
        }
    });
}

#[test]
fn workgroup_memory_fits_every_device() {
    each(|name, entry, module, info| {
        let point = module.entry_points.iter().position(|e| e.name == entry).expect("the entry exists");
        let used: u32 = module
            .global_variables
            .iter()
            .filter(|(handle, v)| {
                v.space == naga::AddressSpace::WorkGroup && !info.get_entry_point(point)[*handle].is_empty()
            })
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(used <= WORKGROUP_MEMORY, "{name} {entry}: {used} bytes");
    });
}

#[test]
fn host_structs_lie_as_shaders_declare_them() {
    let mut seen = 0;
    for &(name, source, _) in SHADERS {
        let (module, _) = parse(name, source);
        for (_, ty) in module.types.iter() {
            let naga::TypeInner::Struct { members, span } = &ty.inner else { continue };
            let declared = ty.name.as_deref().expect("WGSL structs have names");
            let Some(host) = layouts().into_iter().find(|l| l.0 == declared) else { continue };
            let wgsl: Vec<_> =
                members.iter().map(|m| (m.name.clone().expect("members have names"), m.offset as usize)).collect();
            let rust: Vec<_> = host.2.iter().map(|&(member, offset)| (member.to_string(), offset)).collect();
            assert_eq!((wgsl, *span as usize), (rust, host.1), "{name}: {declared}");
            seen += 1;
        }
    }
    // View in seven shaders, Window in four, Cut in four, Sample, Quota, Rows, Ask.
    assert!(seen >= 19, "only {seen} structs were compared");
    let names: Vec<_> = layouts().into_iter().map(|l| l.0).collect();
    assert_eq!(
        names,
        [
            "View", "Scale", "Random", "Pool", "Gather", "Sample", "Window", "Quota", "Cut", "Rows", "Ask", "Sizes",
            "Scan"
        ]
    );
}

#[test]
fn one_name_for_shader_module_twin_and_test() {
    let root = env!("CARGO_MANIFEST_DIR");
    for &(name, _, _) in SHADERS {
        let exists = |path: String| std::path::Path::new(&path).is_file();
        assert!(
            exists(format!("{root}/shaders/{name}.wgsl")) && exists(format!("{root}/src/kernels/{name}.rs")),
            "{name}"
        );
        // What `mask` leaves open, `settle` closes: one twin for both.
        assert!(name == "settle" || exists(format!("{root}/src/reference/{name}.rs")), "{name} has no twin");
        let tests = ["kernels.rs", "kernels/units.rs", "products.rs", "sparse.rs"]
            .map(|file| std::fs::read_to_string(format!("{root}/tests/{file}")).unwrap())
            .concat();
        let bench = ["kernels.rs", "products.rs", "gather.rs"]
            .map(|file| std::fs::read_to_string(format!("{root}/benches/{file}")).unwrap())
            .concat();
        assert!(tests.contains(name) && bench.contains(name), "{name} has no test or no bench");
    }
}
