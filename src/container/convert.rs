//! Tensors of one file in a file of another kind, with their names, shapes, types and bits.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Kind;
use super::open::Container;
use super::write::NewContainer;
use crate::checkpoint::{Committed, Unfinished};
use crate::{Error, Result};

/// What was converted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Converted {
    /// How many tensors.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was written.
    pub committed: Committed,
}

/// Writes all tensors of `input` to a new file at `output`, which is of this kind. Nothing but tensors is converted: metadata
/// and graphs stay behind, but for the `__metadata__` of safetensors that become safetensors. What was torch's says
/// `format: pt` there. `progress` is told the bytes done and all bytes, and ends it with `Break`.
///
/// Takes a few MiB of memory. Notes in `unfinished` what it makes, until it is committed.
///
/// # Errors
/// [`Error::Container`] if the input has something that is no tensor of a known type, or the kind does not hold one of its
/// tensors; as [`NewContainer::create`]; [`Error::Cancelled`] if it was ended. Nothing is left under a final name then.
pub fn convert(
    input: &Container,
    output: &Path,
    kind: Kind,
    force: bool,
    unfinished: &Unfinished,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<Converted> {
    let to = NewContainer::with_metadata(kind, &[], input, output, force, unfinished)?;
    let all = input.tensors().iter().map(|info| info.bytes()).sum();
    let done = AtomicU64::new(0);
    let on_bytes = |bytes| match progress(done.fetch_add(bytes, Relaxed) + bytes, all) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    };
    for tensor in 0..input.tensors().len() {
        to.copy(tensor, input, &on_bytes)?;
    }
    input.unchanged()?;
    let tensors = input.tensors().len();
    Ok(Converted { tensors, bytes: all, committed: to.commit()? })
}
