//! Mesa's driver for AMD, told that there is a GPU where there is none: it compiles, and runs nothing.

use std::ffi::CStr;

use anyhow::{Context, Result};
use ash::{ext, khr, vk};

pub struct Driver {
    /// What it says the GPU is.
    pub name: String,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    _instance: ash::Instance,
    _entry: ash::Entry,
}

/// What became of a kernel.
pub struct Compiled {
    pub assembly: String,
    statistics: Vec<(String, u64)>,
}

impl Compiled {
    /// What the compiler says under this name.
    pub fn statistic(&self, name: &str) -> u64 {
        self.statistics.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }
}

impl Driver {
    pub fn open() -> Result<Self> {
        // SAFETY: no other thread runs yet; all that is created lives as long as the process.
        unsafe {
            if std::env::var_os("RADV_FORCE_FAMILY").is_none() {
                std::env::set_var("RADV_FORCE_FAMILY", "navi21");
            }
            let entry = ash::Entry::load().context("there is no Vulkan loader")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let mut found = None;
            for physical in instance.enumerate_physical_devices()? {
                let properties = instance.get_physical_device_properties(physical);
                let name = properties.device_name_as_c_str()?.to_string_lossy().into_owned();
                if name.starts_with("Null hardware") {
                    found = Some((physical, name));
                }
            }
            let (physical, name) =
                found.context("no driver takes RADV_FORCE_FAMILY: install mesa-vulkan-drivers, 20.2 or later")?;
            let priorities = [1.0];
            let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&priorities)];
            let extensions = [khr::pipeline_executable_properties::NAME.as_ptr(), ext::robustness2::NAME.as_ptr()];
            let features = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
            let mut executable =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut memory = vk::PhysicalDeviceVulkanMemoryModelFeatures::default().vulkan_memory_model(true);
            let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .enabled_features(&features)
                .push_next(&mut executable)
                .push_next(&mut memory)
                .push_next(&mut robust);
            let device = instance.create_device(physical, &info, None)?;
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { name, device, executables, _instance: instance, _entry: entry })
        }
    }

    /// Compiles a kernel with such bindings: their numbers, and whether they are uniform buffers.
    pub fn compile(&self, spirv: &[u32], bindings: &[(u32, bool)]) -> Result<Compiled> {
        // SAFETY: what pointers point to outlives the calls.
        unsafe {
            let device = &self.device;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None)?;
            let bindings: Vec<_> = bindings
                .iter()
                .map(|&(binding, uniform)| {
                    let storage = vk::DescriptorType::STORAGE_BUFFER;
                    vk::DescriptorSetLayoutBinding::default()
                        .binding(binding)
                        .descriptor_type(if uniform { vk::DescriptorType::UNIFORM_BUFFER } else { storage })
                        .descriptor_count(1)
                        .stage_flags(vk::ShaderStageFlags::COMPUTE)
                })
                .collect();
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&set, None)?];
            let layout =
                device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let capture = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().flags(capture).stage(stage).layout(layout);
            let pipelines = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = pipelines.map_err(|(_, error)| error)?[0];
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let text = |name: &[std::ffi::c_char]| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            let statistics = self.executables.get_pipeline_executable_statistics(&info)?;
            let statistics = statistics.iter().map(|s| (text(&s.name), s.value.u64)).collect();
            Ok(Compiled { assembly: self.assembly(&info)?, statistics })
        }
    }

    unsafe fn assembly(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String> {
        // SAFETY: asked thrice, for how many texts there are, for how long they are, and for them.
        unsafe {
            let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            let mut count = 0;
            ask(self.device.handle(), info, &mut count, std::ptr::null_mut()).result()?;
            let mut all = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            ask(self.device.handle(), info, &mut count, all.as_mut_ptr()).result()?;
            let mut texts: Vec<Vec<u8>> = all.iter().map(|text| vec![0; text.data_size]).collect();
            for (one, text) in all.iter_mut().zip(&mut texts) {
                one.p_data = text.as_mut_ptr().cast();
            }
            ask(self.device.handle(), info, &mut count, all.as_mut_ptr()).result()?;
            let assembly = all.iter().position(|one| CStr::from_ptr(one.name.as_ptr()) == c"Assembly");
            let text = &texts[assembly.context("the driver has no disassembler")?];
            Ok(String::from_utf8_lossy(text).trim_end_matches('\0').to_string())
        }
    }
}
