//! weights ─ bracket ─► window: where the histogram should look, from a sample. Twin: [`crate::reference::bracket`].

use super::view::Variant;
use super::{Kernels, MatrixView};
use crate::gpu::{Binding, KernelSpec};
use crate::{Dtype, Result};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/window.wgsl"),
    include_str!("../../shaders/bracket.wgsl")
);

pub(super) const SAMPLE: KernelSpec = KernelSpec {
    label: "bracket sample",
    source: SOURCE,
    entry: "sample",
    bindings: &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::Uniform), (4, Binding::ReadWrite)],
};

const PLACE: KernelSpec = KernelSpec {
    label: "bracket place",
    source: SOURCE,
    entry: "place",
    bindings: &[(3, Binding::Uniform), (4, Binding::ReadWrite), (5, Binding::ReadWrite)],
};

/// Bytes of the buffer that holds a window.
pub const WINDOW_BYTES: u64 = size_of::<WindowWords>() as u64;

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct WindowWords {
    pub low: u32,
    pub shift: u32,
    pub bins: u32,
    pub done: u32,
}
super::shared_layout!(WindowWords, "Window", [low, shift, bins, done]);

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct SampleWords {
    taken: u32,
    at: u32,
    all: u32,
    low_rank: u32,
    high_rank: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
}
super::shared_layout!(SampleWords, "Sample", [taken, at, all, low_rank, high_rank, spare0, spare1, spare2]);

/// How many weights to sample, and between which ranks of the sample the cut is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplePlan {
    /// Sampled weights.
    pub taken: u32,
    /// Rank of the window's low end; 0 stands for key 0.
    pub low_rank: u32,
    /// Rank of its high end; `taken` or more stands for the largest key.
    pub high_rank: u32,
}

impl SamplePlan {
    /// One weight in 256, between 1,024 and `most`; ranks three standard errors to both sides of the share `k / n`.
    pub fn new(n: u64, k: u64, most: u32) -> Self {
        let taken = (n / 256).clamp(1024, most.max(1024).into()) as u32;
        let share = k as f64 / n.max(1) as f64;
        let margin = 3.0 * (share * (1.0 - share) / f64::from(taken)).sqrt();
        let rank = |share: f64| share * f64::from(taken);
        Self {
            taken,
            low_rank: (rank(share - margin) - 1.0).max(0.0) as u32,
            high_rank: (rank(share + margin) + 1.0).min(f64::from(taken)) as u32,
        }
    }
}

impl Kernels {
    /// Records: samples `taken` weights of a view into `samples` from word `at` on.
    ///
    /// # Errors
    /// [`crate::Error::View`] where the view is out of bounds.
    pub fn sample(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        view: &MatrixView<'_>,
        taken: u32,
        at: u32,
        samples: &wgpu::Buffer,
    ) -> Result<()> {
        view.check()?;
        let workgroup = self.tuning.workgroup;
        let kernel = self.kernel(SAMPLE, view.variant(), &view.variant().constants([("WORKGROUP", workgroup.into())]));
        let plan = SampleWords { taken, at, ..bytemuck::Zeroable::zeroed() };
        let (uniform, plan) = (self.uniform(&view.words(0)), self.uniform(&plan));
        let bindings = [
            uniform.as_entire_buffer_binding(),
            view.binding(),
            plan.as_entire_buffer_binding(),
            samples.as_entire_buffer_binding(),
        ];
        kernel.dispatch(&self.device, pass, &bindings, taken.div_ceil(workgroup));
        Ok(())
    }

    /// Records: the window between the plan's ranks of the samples, into `window` ([`WINDOW_BYTES`]).
    pub fn place(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        dtype: Dtype,
        plan: SamplePlan,
        samples: &wgpu::Buffer,
        window: &wgpu::Buffer,
    ) {
        let variant = Variant { size: dtype.size() as u32, ..Variant::NONE };
        let constants = [
            ("SIZE", f64::from(variant.size)),
            ("WORKGROUP", self.tuning.workgroup.into()),
            ("CAPACITY", self.tuning.capacity.into()),
            ("LIMIT", f64::from(dtype.max_key()) + 1.0),
        ];
        let kernel = self.kernel(PLACE, variant, &constants);
        let words = SampleWords {
            all: plan.taken,
            low_rank: plan.low_rank,
            high_rank: plan.high_rank,
            ..bytemuck::Zeroable::zeroed()
        };
        let plan = self.uniform(&words);
        let bindings =
            [plan.as_entire_buffer_binding(), samples.as_entire_buffer_binding(), window.as_entire_buffer_binding()];
        kernel.dispatch(&self.device, pass, &bindings, 1);
    }
}
