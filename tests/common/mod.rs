//! What the GPU tests share: the adapter, poisoned buffers, weights that are hard to prune.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod case;
pub mod files;
pub mod product;
pub mod tool;

use std::sync::{Mutex, OnceLock};

use lopper::gpu::{Gpu, Tuning};
use lopper::kernels::Kernels;
use lopper::pruner::Pruner;
use lopper::{Dtype, wgpu};
use wgpu::BufferUsages as Usage;

/// The adapter under test: `LOPPER_ADAPTER`, or the best there is. Printed once. Fails where there is none: a GPU test
/// that is skipped without being told to looks like one that passed.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        if std::env::var_os("LOPPER_TEST_UNCHECKED").is_some() {
            eprintln!("shaders without wgpu's run-time checks");
            lopper::gpu::make_modules_with(unchecked);
        }
        let asked = std::env::var("LOPPER_ADAPTER").ok();
        let gpu = pollster::block_on(Gpu::open(asked.as_deref())).expect("the tests need an adapter");
        eprintln!("adapter: {} ({}, {})", gpu.info().name, gpu.info().backend, gpu.info().driver);
        gpu
    })
}

/// A pruner on this device: the same one each time, so that pipelines are built once.
pub fn pruner(gpu: &Gpu) -> Pruner {
    static PRUNERS: Mutex<Vec<(wgpu::Device, Pruner)>> = Mutex::new(Vec::new());
    let mut pruners = PRUNERS.lock().unwrap();
    let known = pruners.iter().position(|(device, _)| device == gpu.device());
    let known = known.unwrap_or_else(|| {
        pruners.push((gpu.device().clone(), Pruner::new(gpu.clone())));
        pruners.len() - 1
    });
    pruners[known].1.clone()
}

/// A module without wgpu's run-time checks (bounds, loops, division), where `LOPPER_TEST_UNCHECKED` asks for it: kernels
/// may not depend on them.
#[allow(unsafe_code, reason = "there is no safe way to leave the checks out")]
fn unchecked(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: the shaders are lopper's own, and keep within bounds; a test that finds otherwise has done its work.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// Kernels with the knobs of software adapters and with those of GPUs: results may not depend on them. With few bins,
/// so that 32-bit keys take several rounds.
pub fn both_tunings() -> [Kernels; 2] {
    [Tuning { capacity: 1 << 9, ..Tuning::CPU }, Tuning { capacity: 1 << 12, ..Tuning::GPU }]
        .map(|tuning| Kernels::new(gpu().device(), tuning))
}

/// A storage buffer filled with noise, so that a kernel which relies on zeros shows.
pub fn poisoned(bytes: u64) -> wgpu::Buffer {
    let noise: Vec<u8> = (0..bytes).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 7) as u8 | 1).collect();
    buffer(&noise)
}

/// A storage buffer with these contents, padded to whole words with noise.
pub fn buffer(contents: &[u8]) -> wgpu::Buffer {
    let mut contents = contents.to_vec();
    contents.resize(contents.len().next_multiple_of(4).max(4), 0xa5);
    let buffer = gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size: contents.len() as u64,
        usage: Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC,
        mapped_at_creation: false,
    });
    gpu().queue().write_buffer(&buffer, 0, &contents);
    buffer
}

/// Records with `record`, submits, waits.
pub fn run(record: impl FnOnce(&mut wgpu::CommandEncoder)) {
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    record(&mut encoder);
    gpu().queue().submit([encoder.finish()]);
    gpu().device().poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
}

/// Records one compute pass, submits, waits.
pub fn run_pass(record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    run(|encoder| record(&mut encoder.begin_compute_pass(&Default::default())));
}

/// The buffer's contents.
pub fn read(buffer: &wgpu::Buffer) -> Vec<u8> {
    let staging = gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("test readback"),
        size: buffer.size(),
        usage: Usage::MAP_READ | Usage::COPY_DST,
        mapped_at_creation: false,
    });
    run(|encoder| encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size()));
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("a fresh buffer maps"));
    gpu().device().poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
    staging.get_mapped_range(..).expect("it is mapped").to_vec()
}

/// The buffer's contents as words.
pub fn read_words(buffer: &wgpu::Buffer) -> Vec<u32> {
    read(buffer).chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// A small, seeded generator (xorshift): the same numbers everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal: the sum of 4 uniforms.
    pub fn normal(&mut self) -> f64 {
        (0..4).map(|_| self.unit()).sum::<f64>() - 2.0
    }
}

/// What the weights of a test matrix look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Like real weights: bell-shaped, rows of different scale.
    Normal,
    /// Any bit pattern: NaN, infinities, denormals, both zeros.
    Bits,
    /// All the same.
    Equal,
    /// 70 % zeros of both signs.
    Sparse,
    /// Few distinct values: ties everywhere.
    Coarse,
    /// All NaN.
    Nan,
}

impl Fill {
    pub const ALL: [Fill; 6] = [Fill::Normal, Fill::Bits, Fill::Equal, Fill::Sparse, Fill::Coarse, Fill::Nan];
}

/// `rows` rows of `stride` elements.
pub fn weights(dtype: Dtype, rows: usize, stride: usize, fill: Fill, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(rows * stride * dtype.size());
    for row in 0..rows {
        let scale = 0.02 * (1.0 + (row % 7) as f64 * 0.2);
        for _ in 0..stride {
            let bits = match fill {
                Fill::Normal => encode(dtype, random.normal() * scale),
                Fill::Bits => random.next() as u32 & (dtype.max_key() * 2 + 1),
                Fill::Equal => encode(dtype, 0.5),
                Fill::Sparse if random.unit() < 0.7 => (random.next() as u32 & 1) * (dtype.max_key() + 1),
                Fill::Sparse => encode(dtype, random.normal()),
                Fill::Coarse => encode(dtype, (random.normal() * 3.0).round() / 4.0),
                Fill::Nan => dtype.max_key(),
            };
            bytes.extend(&bits.to_le_bytes()[..dtype.size()]);
        }
    }
    bytes
}

/// The bits of the largest representable magnitude up to `value`'s, with its sign.
pub fn encode(dtype: Dtype, value: f64) -> u32 {
    dtype.key_at_most(value.abs()) | if value < 0.0 { dtype.max_key() + 1 } else { 0 }
}

/// The type that a file calls it.
pub fn file_dtype(dtype: Dtype) -> safetensors::Dtype {
    match dtype {
        Dtype::F32 => safetensors::Dtype::F32,
        Dtype::F16 => safetensors::Dtype::F16,
        Dtype::BF16 => safetensors::Dtype::BF16,
        Dtype::F8E4M3 => safetensors::Dtype::F8_E4M3,
        Dtype::F8E5M2 => safetensors::Dtype::F8_E5M2,
    }
}

/// Adapters as they are, and as if they could not map storage buffers.
pub fn gpus() -> Vec<(&'static str, Gpu)> {
    let asked = std::env::var("LOPPER_ADAPTER").ok();
    let staged = pollster::block_on(Gpu::open_staged(asked.as_deref())).unwrap();
    vec![("direct where it can", gpu().clone()), ("staged", staged)]
}
