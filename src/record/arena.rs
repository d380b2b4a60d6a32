//! [`Arena`]: prunings and scratch from frame to frame.

use std::collections::HashMap;
use std::sync::Arc;

use super::check::check;
use super::descriptor::{Amount, Masks, PruneDescriptor};
use super::lopper::Lopper;
use super::pruning::Pruning;
use crate::{Dtype, Result, Scope, Target};

/// Keeps what prunings need, and finds it again when the same ones come in the next frame: then nothing is made. All of
/// them share one scratch buffer, so they must be recorded for one queue.
#[derive(Debug)]
pub struct Arena {
    lopper: Lopper,
    scratch: Option<wgpu::Buffer>,
    kept: HashMap<Key, Kept>,
}

#[derive(Debug)]
struct Kept {
    pruning: Arc<Pruning>,
    used: bool,
}

type Place = (wgpu::Buffer, u64);

/// All of a descriptor that a pruning depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    matrices: Vec<(Place, Dtype, [u32; 3])>,
    amount: (u8, u64, Option<Place>),
    scope: Scope,
    apply: bool,
    own_masks: bool,
    masks: Vec<(Place, u64)>,
    scratch: Option<wgpu::Buffer>,
}

impl Key {
    fn new(descriptor: &PruneDescriptor<'_>) -> Self {
        let place = |buffer: &wgpu::Buffer, offset| (buffer.clone(), offset);
        Self {
            matrices: descriptor
                .matrices
                .iter()
                .map(|view| (place(view.buffer, view.offset), view.dtype, [view.rows, view.cols, view.stride]))
                .collect(),
            amount: match descriptor.amount {
                Amount::Fixed(Target::Sparsity(s)) => (0, s.to_bits(), None),
                Amount::Fixed(Target::Threshold(t)) => (1, t.to_bits(), None),
                Amount::Fixed(Target::Keep(keep)) => (2, keep, None),
                Amount::SparsityIn { buffer, offset } => (3, 0, Some(place(buffer, offset))),
            },
            scope: descriptor.scope,
            apply: descriptor.apply,
            own_masks: matches!(descriptor.masks, Masks::Own),
            masks: match descriptor.masks {
                Masks::Given(masks) => masks.iter().map(|part| (place(part.buffer, part.offset), part.size)).collect(),
                Masks::Own | Masks::Scratch => Vec::new(),
            },
            scratch: descriptor.scratch.cloned(),
        }
    }
}

impl Arena {
    /// An empty one.
    pub fn new(lopper: &Lopper) -> Self {
        Self { lopper: lopper.clone(), scratch: None, kept: HashMap::new() }
    }

    /// Records a pruning, prepared now or in an earlier frame.
    ///
    /// # Errors
    /// As [`Lopper::prepare`].
    pub fn prune(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        descriptor: &PruneDescriptor<'_>,
    ) -> Result<Arc<Pruning>> {
        let pruning = self.prepare(descriptor)?;
        pruning.record(encoder);
        Ok(pruning)
    }

    /// The same, for the caller to record.
    ///
    /// # Errors
    /// As [`Lopper::prepare`].
    pub fn prepare(&mut self, descriptor: &PruneDescriptor<'_>) -> Result<Arc<Pruning>> {
        let key = Key::new(descriptor);
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.used = true;
            return Ok(kept.pruning.clone());
        }
        check(descriptor, &self.lopper)?;
        let need = self.lopper.scratch_size(descriptor);
        if descriptor.scratch.is_none() && self.scratch.as_ref().is_none_or(|scratch| scratch.size() < need) {
            // Prunings prepared before keep the smaller one.
            self.scratch = Some(self.lopper.scratch(need)?);
        }
        let scratch = descriptor.scratch.or(self.scratch.as_ref());
        let pruning = Arc::new(self.lopper.prepare(&PruneDescriptor { scratch, ..*descriptor })?);
        self.kept.insert(key, Kept { pruning: pruning.clone(), used: true });
        Ok(pruning)
    }

    /// Forgets the prunings that were not asked for since the last call: once per frame, or whenever layers come and go.
    pub fn end_frame(&mut self) {
        self.kept.retain(|_, kept| std::mem::take(&mut kept.used));
    }

    /// How many prunings it keeps.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
