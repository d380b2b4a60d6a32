//! weights ─ bracket ─► window: where the histogram should look, from a sample. Twin: [`crate::reference::bracket`].

use super::view::Variant;
use super::{Kernels, MatrixView, Part};
use crate::gpu::{Binding, KernelSpec, Record, SAMPLED_PER_THREAD};
use crate::{Dtype, Error, Result};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/keys.wgsl"),
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

/// The same for GPUs: see `shaders/bracket_near.wgsl`.
pub(super) const PLACE_NEAR: KernelSpec = KernelSpec {
    label: "bracket place near",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/keys.wgsl"),
        include_str!("../../shaders/window.wgsl"),
        include_str!("../../shaders/bracket.wgsl"),
        include_str!("../../shaders/bracket_near.wgsl")
    ),
    entry: "place_near",
    ..PLACE
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

impl SampleWords {
    /// Of `taken` weights, whose keys go behind `at` others; what `place` is told besides is left out.
    pub fn of(taken: u32, at: u32) -> Self {
        Self { taken, at, ..bytemuck::Zeroable::zeroed() }
    }
}

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
    pub fn sample<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        taken: u32,
        at: u32,
        samples: impl Into<Part<'a>>,
    ) -> Result<()> {
        view.check()?;
        let samples = samples.into();
        samples.check("samples", 4 * (u64::from(at) + u64::from(taken)))?;
        let workgroup = self.tuning.workgroup;
        let kernel = self.kernel(SAMPLE, view.variant(), &view.variant().constants([("WORKGROUP", workgroup.into())]));
        let (uniform, plan) = (self.uniform(&view.words(0)), self.uniform(&SampleWords::of(taken, at)));
        let bindings =
            [uniform.as_entire_buffer_binding(), view.binding(), plan.as_entire_buffer_binding(), samples.binding()];
        kernel.dispatch(&self.device, to, &bindings, taken.div_ceil(workgroup));
        Ok(())
    }

    /// Records: the window between the plan's ranks of the samples, into `window` ([`WINDOW_BYTES`]).
    ///
    /// # Errors
    /// [`Error::View`] where a buffer is too small, or a software adapter is to look through more than 8,192 samples per thread.
    pub fn place<'a>(
        &self,
        to: &mut impl Record,
        dtype: Dtype,
        plan: SamplePlan,
        samples: impl Into<Part<'a>>,
        window: impl Into<Part<'a>>,
    ) -> Result<()> {
        let samples = samples.into();
        samples.check("samples", 4 * u64::from(plan.taken))?;
        // One workgroup goes through them up to three times.
        let most = SAMPLED_PER_THREAD * self.tuning.workgroup;
        if self.tuning.simd && plan.taken > most {
            let problem = format!("{} sampled weights, the loops of a software adapter hold {most}", plan.taken);
            return Err(Error::View { what: "sample plan", problem });
        }
        let plan = self.sample_words(plan);
        self.place_by(to, dtype, plan.as_entire_buffer_binding(), samples, window.into())
    }

    pub(super) fn sample_words(&self, plan: SamplePlan) -> wgpu::Buffer {
        let SamplePlan { taken, low_rank, high_rank } = plan;
        self.uniform(&SampleWords { all: taken, low_rank, high_rank, ..bytemuck::Zeroable::zeroed() })
    }

    /// Records: the same with a plan that may lie in a buffer.
    pub(super) fn place_by(
        &self,
        to: &mut impl Record,
        dtype: Dtype,
        plan: wgpu::BufferBinding<'_>,
        samples: Part<'_>,
        window: Part<'_>,
    ) -> Result<()> {
        window.check("window", WINDOW_BYTES)?;
        let variant = Variant { size: dtype.size() as u32, ..Variant::NONE };
        let constants = [
            ("SIZE", f64::from(variant.size)),
            ("WORKGROUP", self.tuning.workgroup.into()),
            ("CAPACITY", self.tuning.capacity.into()),
            ("LIMIT", f64::from(dtype.max_key()) + 1.0),
        ];
        let spec = if self.tuning.simd { PLACE } else { PLACE_NEAR };
        let kernel = self.kernel(spec, variant, &constants);
        kernel.dispatch(&self.device, to, &[plan, samples.binding(), window.binding()], 1);
        Ok(())
    }
}
