//! Finding adapters and choosing one.

use serde::{Deserialize, Serialize};

use super::{OPTIONAL_FEATURES, REQUIRED, check_limits, limit};
use crate::{Error, Result};

/// An adapter, as far as it matters to lopper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterInfo {
    /// Its place in the list of [`adapters`]; none where the caller opened the device.
    pub index: Option<usize>,
    /// Its name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` or `Other`.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// The limits lopper depends on.
    pub limits: Vec<(String, u64)>,
    /// The features lopper uses where there are any.
    pub features: Vec<(String, bool)>,
    /// Why lopper cannot use it; none if it can.
    pub unfit: Option<String>,
}

/// Every adapter that wgpu sees, best first: discrete, integrated, virtual, other, software; Vulkan, Metal and DX12
/// before GL.
pub async fn adapters() -> Vec<AdapterInfo> {
    enumerate(wgpu::Backends::all()).await.into_iter().map(|(_, info)| info).collect()
}

/// The optional features to ask for. On a discrete GPU, a mappable storage buffer lies in slow memory.
pub(super) fn features_for(kind: wgpu::DeviceType) -> wgpu::Features {
    match kind {
        wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu => OPTIONAL_FEATURES,
        _ => OPTIONAL_FEATURES.difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
    }
}

/// The adapter that is asked for, or the best that fits.
pub(super) async fn choose(asked: Option<&str>) -> Result<(wgpu::Adapter, AdapterInfo)> {
    let Some(asked) = asked else {
        // GL only where there is nothing else: why start a backend that is not going to be used.
        let mut all = enumerate(wgpu::Backends::PRIMARY).await;
        if all.iter().all(|(_, info)| info.unfit.is_some()) {
            all = enumerate(wgpu::Backends::all()).await;
        }
        return all.into_iter().find(|(_, info)| info.unfit.is_none()).ok_or_else(|| {
            Error::Adapter(
                "no usable GPU adapter: install a driver for Vulkan, Metal or DX12 (on Debian and Ubuntu, \
                 `mesa-vulkan-drivers` brings a software one), then see `lopper devices`"
                    .into(),
            )
        });
    };
    let all = enumerate(wgpu::Backends::all()).await;
    let line = |info: &AdapterInfo| format!("{} ({}, {})", info.index.unwrap_or_default(), info.name, info.backend);
    let lines = |infos: &[&AdapterInfo]| infos.iter().map(|i| line(i)).collect::<Vec<_>>().join("; ");
    let lower = asked.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let matches = |info: &AdapterInfo| match asked.parse::<usize>() {
        Ok(index) => info.index == Some(index),
        Err(_) => {
            let text = format!("{} {} {} {}", info.name, info.backend, info.kind, info.driver).to_lowercase();
            !words.is_empty() && words.iter().all(|w| text.contains(w))
        }
    };
    let found: Vec<&AdapterInfo> = all.iter().map(|(_, info)| info).filter(|i| matches(i)).collect();
    match found[..] {
        [one] => {
            let index = one.index;
            Ok(all.into_iter().find(|(_, info)| info.index == index).expect("it was found among them"))
        }
        [] => {
            let known: Vec<&AdapterInfo> = all.iter().map(|(_, info)| info).collect();
            let known = if known.is_empty() { "there are none".into() } else { lines(&known) };
            Err(Error::Adapter(format!("no adapter matches `{asked}`; known: {known}")))
        }
        _ => Err(Error::Adapter(format!(
            "`{asked}` matches {} adapters; name one by its index or by more words: {}",
            found.len(),
            lines(&found)
        ))),
    }
}

async fn enumerate(backends: wgpu::Backends) -> Vec<(wgpu::Adapter, AdapterInfo)> {
    // The instance itself starts every backend that it is not told to leave out.
    // WGPU_VALIDATION=1 turns the driver's validation on, also in a release build; WGPU_DEBUG=0 leaves debug information out.
    let flags = wgpu::InstanceFlags::default().with_env();
    let descriptor =
        wgpu::InstanceDescriptor { backends, flags, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = instance.enumerate_adapters(backends).await;
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        // GL reports software adapters as `Other` on some drivers, so the backend weighs more than the kind there.
        (info.backend == wgpu::Backend::Gl, kind, info.name)
    });
    adapters
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = describe(index, &adapter);
            (adapter, info)
        })
        .collect()
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterInfo {
    let mut info = AdapterInfo::new(Some(index), adapter.get_info(), &adapter.limits(), adapter.features());
    if !adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        info.unfit = Some(format!("{}: it has no compute shaders", info.name));
    }
    info
}

impl AdapterInfo {
    /// What wgpu says of an adapter, or of a device and what was asked of its adapter.
    pub(super) fn new(
        index: Option<usize>,
        info: wgpu::AdapterInfo,
        limits: &wgpu::Limits,
        features: wgpu::Features,
    ) -> Self {
        let has = |feature| features.contains(feature);
        Self {
            index,
            unfit: check_limits(&info.name, limits).err().map(|e| e.to_string()),
            driver: [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_string(),
            name: info.name,
            backend: info.backend.to_string(),
            kind: format!("{:?}", info.device_type),
            limits: REQUIRED.iter().map(|&(name, _)| (name.into(), limit(limits, name))).collect(),
            features: vec![
                ("MAPPABLE_PRIMARY_BUFFERS".into(), has(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)),
                ("SUBGROUP".into(), has(wgpu::Features::SUBGROUP)),
                ("TIMESTAMP_QUERY".into(), has(wgpu::Features::TIMESTAMP_QUERY)),
            ],
        }
    }
}
