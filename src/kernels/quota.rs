//! sparsity in a buffer ─ quota ─► how many go, for the kernels that need it. Twin: [`crate::reference::quota`].

use super::view::Variant;
use super::{Kernels, Part, SamplePlan};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::reference::Quota;
use crate::{Dtype, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "quota",
    source: include_str!("../../shaders/quota.wgsl"),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)],
};

/// Bytes of the buffer that [`Kernels::quota`] writes; word 65 is how many weights go (word 128: in each row). Prunings
/// that are prepared with a sparsity in a buffer take their parameters from one; single stages take theirs from the host.
pub const ASKED_BYTES: u64 = 1024;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct AskWords {
    n: u32,
    weights: u32,
    taken: u32,
    at: u32,
    spread: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
}
super::shared_layout!(AskWords, "Ask", [n, weights, taken, at, spread, spare0, spare1, spare2]);

/// What a sparsity is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRule {
    /// Element type.
    pub dtype: Dtype,
    /// Weights that compete: of a matrix, a row, or a set; at most 2³² − 1.
    pub n: u32,
    /// Weights in all: those of the matrix, where its rows compete each by itself.
    pub weights: u32,
    /// Weights sampled to find the cut, if they are.
    pub taken: u32,
    /// The word of the caller's buffer that holds the sparsity, an `f32`.
    pub at: u32,
}

/// How many go and between which ranks to look, as uniforms: known on the host ([`Kernels::numbers`]), or found by
/// [`Kernels::quota`] on the GPU.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    sample: (wgpu::Buffer, u64),
    quota: (wgpu::Buffer, u64),
    rows: (wgpu::Buffer, u64),
}

fn uniform((buffer, offset): &(wgpu::Buffer, u64), size: u64) -> wgpu::BufferBinding<'_> {
    Part { buffer, offset: *offset, size }.binding()
}

impl Numbers {
    /// Those that `quota` writes into this buffer.
    pub fn asked(buffer: &wgpu::Buffer) -> Self {
        let at = |offset| (buffer.clone(), offset);
        Self { sample: at(0), quota: at(256), rows: at(512) }
    }

    pub(super) fn sample(&self) -> wgpu::BufferBinding<'_> {
        uniform(&self.sample, 32)
    }

    pub(super) fn quota(&self) -> wgpu::BufferBinding<'_> {
        uniform(&self.quota, 16)
    }

    pub(crate) fn rows(&self) -> wgpu::BufferBinding<'_> {
        uniform(&self.rows, 16)
    }
}

impl Kernels {
    /// What is known on the host: that `k` of `weights` weights go, or of each row, as the plan's sample suggests.
    pub(crate) fn numbers(&self, dtype: Dtype, weights: u32, k: Quota, plan: SamplePlan) -> Numbers {
        Numbers {
            sample: (self.sample_words(plan), 0),
            quota: (self.quota_words(weights, k), 0),
            rows: (self.row_words(dtype, if let Quota::Count(k) = k { k as u32 } else { 0 }), 0),
        }
    }

    /// Records: reads a sparsity from `sparsities` (`f32`s) and writes what it means for `n` weights into `asked`
    /// ([`ASKED_BYTES`]).
    ///
    /// # Errors
    /// [`crate::Error::View`] where a buffer is too small.
    pub fn quota<'a>(
        &self,
        to: &mut impl Record,
        rule: QuotaRule,
        sparsities: impl Into<Part<'a>>,
        asked: &wgpu::Buffer,
    ) -> Result<()> {
        let (sparsities, QuotaRule { dtype, n, weights, taken, at }) = (sparsities.into(), rule);
        sparsities.check("sparsity", 4 * (u64::from(at) + 1))?;
        Part::from(asked).check("asked", ASKED_BYTES)?;
        let kernel = self.kernel(SPEC, Variant::NONE, &[]);
        let spread = super::row::binade(dtype);
        let words = AskWords { n, weights, taken, at, spread, spare0: 0, spare1: 0, spare2: 0 };
        let uniform = self.uniform(&words);
        let bindings = [uniform.as_entire_buffer_binding(), sparsities.binding(), asked.as_entire_buffer_binding()];
        kernel.dispatch(&self.device, to, &bindings, 1);
        Ok(())
    }
}
