//! seed, places ─ random ─► keys. Twin: [`crate::reference::random`].

use super::view::Variant;
use super::{Kernels, Part};
use crate::Result;
use crate::gpu::{Binding, KernelSpec, Record};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "random",
    source: include_str!("../../shaders/random.wgsl"),
    entry: "main",
    bindings: &[(0, Binding::Uniform), (1, Binding::ReadWrite)],
};

/// Which numbers to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomRule {
    /// The seed.
    pub seed: u64,
    /// The first place.
    pub first: u64,
    /// How many places.
    pub count: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct RandomWords {
    seed_low: u32,
    seed_high: u32,
    first_low: u32,
    first_high: u32,
    count: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
}
super::shared_layout!(
    RandomWords,
    "Random",
    [seed_low, seed_high, first_low, first_high, count, spare0, spare1, spare2]
);

impl Kernels {
    /// Records: a key for each place, a function of seed and place alone, as the bits of a finite `f32`.
    ///
    /// # Errors
    /// [`crate::Error::View`] where `keys` is shorter than 4 bytes per place.
    pub fn random<'a>(&self, to: &mut impl Record, rule: RandomRule, keys: impl Into<Part<'a>>) -> Result<()> {
        let keys = keys.into();
        keys.check("keys", 4 * u64::from(rule.count))?;
        let half = |word: u64| [word as u32, (word >> 32) as u32];
        let ([seed_low, seed_high], [first_low, first_high]) = (half(rule.seed), half(rule.first));
        let words = RandomWords {
            seed_low,
            seed_high,
            first_low,
            first_high,
            count: rule.count,
            ..bytemuck::Zeroable::zeroed()
        };
        let workgroup = self.tuning.workgroup;
        let kernel = self.kernel(SPEC, Variant::NONE, &[("WORKGROUP", workgroup.into())]);
        let uniform = self.uniform(&words);
        let bindings = [uniform.as_entire_buffer_binding(), keys.binding()];
        kernel.dispatch(&self.device, to, &bindings, rule.count.div_ceil(workgroup));
        Ok(())
    }
}
