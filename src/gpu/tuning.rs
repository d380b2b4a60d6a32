//! The kernels' knobs, per class of adapter, as measured (see `benches/README.md`).

/// Knobs. Results do not depend on them, only the time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads per workgroup of kernels that stream over weights; at most 256.
    pub workgroup: u32,
    /// Threads per row of the row kernel: a power of two, at most 128.
    pub row_workgroup: u32,
    /// Workgroups among which a matrix is shared out, in contiguous spans.
    pub workgroups: u32,
    /// Bins of a histogram in all copies: a power of two.
    pub capacity: u32,
    /// Largest number of weights sampled to place a histogram's window.
    pub sample: u32,
}

impl Tuning {
    /// For GPUs: wide workgroups, few bins.
    pub const GPU: Tuning =
        Tuning { workgroup: 256, row_workgroup: 64, workgroups: 2048, capacity: 1 << 14, sample: 1 << 14 };

    /// For software adapters. There, one workgroup runs on one core, subgroup after subgroup, each through its whole
    /// loop: a workgroup of one subgroup reads memory in order, which is 2 to 4 times as fast. A sample costs little
    /// against a pass, and every weight outside the window saves an atomic.
    pub const CPU: Tuning =
        Tuning { workgroup: 8, row_workgroup: 8, workgroups: 1024, capacity: 1 << 20, sample: 1 << 15 };

    /// The knobs for a class of adapter.
    pub fn for_kind(kind: wgpu::DeviceType) -> Self {
        if kind == wgpu::DeviceType::Cpu { Self::CPU } else { Self::GPU }
    }
}
