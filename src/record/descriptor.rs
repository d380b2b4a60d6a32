//! What to prune, as wgpu describes things: a descriptor.

use crate::kernels::{MatrixView, Part};
use crate::{Scope, Target};

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount<'a> {
    /// A number known now.
    Fixed(Target),
    /// A sparsity that lies in a buffer when the commands run: an `f32` from 0 to 1 at this byte offset, a multiple of
    /// 4; the buffer's usage includes `STORAGE`. What lies outside is taken for the nearer end, NaN for 0. As many go as
    /// with `Target::Sparsity` of the same number as `f64`: 0.1 as an `f32` is a little more than 0.1
    /// ([`crate::reference::quota`]). A training loop changes it from step to step, and records the same pruning.
    SparsityIn {
        /// The buffer.
        buffer: &'a wgpu::Buffer,
        /// The byte at which the `f32` starts.
        offset: u64,
    },
}

impl From<Target> for Amount<'_> {
    fn from(target: Target) -> Self {
        Self::Fixed(target)
    }
}

/// Where masks go: one bit per weight, 1 = kept, 32 to a word, lowest bit first, every row starting a new one
/// ([`crate::kernels::mask_bytes`]).
#[derive(Debug, Clone, Copy, Default)]
pub enum Masks<'a> {
    /// Nowhere: they are only passed on from kernel to kernel.
    #[default]
    Scratch,
    /// Into buffers that the pruning makes, usage `STORAGE | COPY_SRC | COPY_DST`: [`crate::record::Pruning::masks`].
    Own,
    /// Into these, one for each matrix and of its [`crate::kernels::mask_bytes`] at least; usage `STORAGE`. They may
    /// share a buffer that holds neither weights nor scratch.
    Given(&'a [Part<'a>]),
}

/// What to prune, by how much, and what of it to keep.
///
/// ```
/// # fn f(buffer: &lopper::wgpu::Buffer) {
/// use lopper::{Dtype, Scope, Target, kernels::MatrixView, record::PruneDescriptor};
///
/// let matrices = [MatrixView::dense(buffer, 0, Dtype::BF16, 4096, 4096)];
/// let half_of_each_row =
///     PruneDescriptor { scope: Scope::Row, ..PruneDescriptor::new(&matrices, Target::Sparsity(0.5)) };
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PruneDescriptor<'a> {
    /// A name for the buffers that the pruning makes, as debuggers show it.
    pub label: Option<&'a str>,
    /// The matrices, in the order in which ties go. None is no error: then nothing is recorded.
    pub matrices: &'a [MatrixView<'a>],
    /// How much goes.
    pub amount: Amount<'a>,
    /// Which weights compete: those of a matrix, of a row, or of all matrices (which have one element type then).
    pub scope: Scope,
    /// Whether zeros are written over the weights that go. If not, masks and stats are all that comes out.
    pub apply: bool,
    /// Where masks go.
    pub masks: Masks<'a>,
    /// Memory for what passes between the kernels: at least [`crate::record::Lopper::scratch_size`] bytes, usage
    /// `STORAGE`, all zero before its first use, and used by lopper alone from then on; any number of prunings recorded
    /// for the same queue can share it. If none is given, the pruning makes its own.
    pub scratch: Option<&'a wgpu::Buffer>,
}

impl<'a> PruneDescriptor<'a> {
    /// Each matrix by itself, in place.
    pub fn new(matrices: &'a [MatrixView<'a>], amount: impl Into<Amount<'a>>) -> Self {
        Self {
            label: None,
            matrices,
            amount: amount.into(),
            scope: Scope::Tensor,
            apply: true,
            masks: Masks::Scratch,
            scratch: None,
        }
    }
}
