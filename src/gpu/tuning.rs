//! The kernels' knobs, per class of adapter, as measured (see `benches/README.md`).

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Weights of a sample for each of the threads that look for the window, whose loops software adapters end after 65,535 turns.
pub(crate) const SAMPLED_PER_THREAD: u32 = 8_192;

/// Knobs. Results do not depend on them, only the time does. Numbers outside of what is said here are refused by
/// [`Lopper::prepare`](crate::Lopper::prepare); single stages do not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuning {
    /// Threads per workgroup of kernels that stream over weights: 1 to 256.
    pub workgroup: u32,
    /// Threads per row of the row kernel and of pool: a power of two, at most 128. With up to 8, which is for SIMD lanes of
    /// a CPU, each lane takes a row of its own.
    pub row_workgroup: u32,
    /// Workgroups among which a matrix is shared out, in contiguous spans.
    pub workgroups: u32,
    /// Bins of a histogram in all copies: a power of two from 2 to 2²².
    pub capacity: u32,
    /// Largest number of weights sampled to place a histogram's window: at most 8,192 for each thread of `workgroup`.
    pub sample: u32,
    /// Threads that share the rows of a product: a power of two from 8 to 256.
    pub lanes: u32,
    /// Whether the threads of a workgroup are the lanes of one core, which barriers and workgroup memory slow down.
    pub simd: bool,
}

impl Tuning {
    /// For GPUs: wide workgroups, and so many bins that weights of 32 bits are read once.
    pub const GPU: Tuning = Tuning {
        workgroup: 256,
        row_workgroup: 64,
        workgroups: 2048,
        capacity: 1 << 20,
        sample: 1 << 14,
        lanes: 128,
        simd: false,
    };

    /// For software adapters. There, one workgroup runs on one core, subgroup after subgroup, each through its whole
    /// loop: a workgroup of one subgroup reads memory in order, which is 2 to 4 times as fast. A sample costs little
    /// against a pass, and every weight outside the window saves an atomic.
    pub const CPU: Tuning = Tuning {
        workgroup: 8,
        row_workgroup: 8,
        workgroups: 1024,
        capacity: 1 << 20,
        sample: 1 << 15,
        lanes: 8,
        simd: true,
    };

    /// Whether kernels can do with them.
    ///
    /// # Errors
    /// [`Error::Rule`] with the knob and its value.
    pub(crate) fn check(self) -> Result<()> {
        let Self { workgroup, row_workgroup, capacity, sample, lanes, .. } = self;
        let bad = |problem: String| Err(Error::Rule(format!("tuning: {problem}")));
        if !(1..=256).contains(&workgroup) {
            return bad(format!("workgroup is {workgroup}, 1 to 256 threads will do"));
        }
        if !row_workgroup.is_power_of_two() || row_workgroup > 128 {
            return bad(format!("row_workgroup is {row_workgroup}, a power of two up to 128 is needed"));
        }
        if !capacity.is_power_of_two() || !(2..=1 << 22).contains(&capacity) {
            return bad(format!("capacity is {capacity}, a power of two from 2 to 4194304 is needed"));
        }
        if sample > workgroup * SAMPLED_PER_THREAD {
            return bad(format!(
                "sample is {sample}, {} weights for {workgroup} threads will do",
                workgroup * SAMPLED_PER_THREAD
            ));
        }
        if !lanes.is_power_of_two() || !(8..=256).contains(&lanes) {
            return bad(format!("lanes is {lanes}, a power of two from 8 to 256 is needed"));
        }
        Ok(())
    }

    /// The knobs for a class of adapter.
    pub fn for_kind(kind: wgpu::DeviceType) -> Self {
        if kind == wgpu::DeviceType::Cpu { Self::CPU } else { Self::GPU }
    }
}
