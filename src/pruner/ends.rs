//! Both ends of a run that is not from file to file: where the tensors come from and where they go, by the caller.

use super::work::OnBytes;
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::{BoxError, Error, Result};

/// Where the tensors of a run come from. They are known by their number in the list that the run is given.
///
/// Reads come from two threads at once: one reads what is pruned, one what is passed through. Both go through the list
/// in order, and through a tensor from its first byte to its last; none is read by both.
///
/// - What is pruned comes in reads of at most 256 KiB. Where a tensor takes more than three quarters of the memory, and
///   in scope `global` unless a threshold is given, it comes twice: to be counted, and again to be masked. Before that,
///   up to 2,048 places are read as a sample, 64 weights each, by the thread that called the run. The bytes must be the
///   same each time. (A sample that misled, or weights of 32 bits, may take another count. In scope `row`, a row that is
///   longer than a chunk is taken like a tensor.)
/// - What is passed through comes once, in reads of at most 1 MiB.
///
/// A source with a long way to its data does well to read ahead.
///
/// ```
/// use lopper::BoxError;
/// use lopper::pruner::Source;
///
/// struct Memory(Vec<Vec<u8>>);
///
/// impl Source for Memory {
///     fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
///         let offset = usize::try_from(offset)?;
///         buf.copy_from_slice(&self.0[tensor][offset..offset + buf.len()]);
///         Ok(())
///     }
/// }
/// ```
pub trait Source: Sync {
    /// Fills all of `buf` with the bytes of tensor number `tensor`, from byte `offset` on. Never beyond the tensor's
    /// end; `buf` is never empty, and what it holds before is unspecified.
    ///
    /// # Errors
    /// Any error ends the run, which returns it as [`Error::Source`]; one that is a [`lopper::Error`](Error) it returns
    /// as it is.
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError>;
}

/// Where the tensors of a run go. They are known by their number in the list that the run is given.
///
/// Every byte of every tensor comes exactly once: pruned, or passed through as it was read. Writes come from three
/// threads at once: two write what is pruned, in pieces of at most 256 KiB, and pieces of one tensor may come from
/// both, in any order; one writes what is passed through, in pieces of at most 1 MiB, in the order of the list and of
/// the bytes. A tensor without bytes is not mentioned.
///
/// A sink that takes its time holds the run up, and no memory grows. What it has been given is only known to be right
/// once it is told to [`commit`](Sink::commit).
pub trait Sink: Sync {
    /// Takes the bytes of tensor number `tensor` from byte `offset` on; there is at least one.
    ///
    /// # Errors
    /// Any error ends the run, which returns it as [`Error::Sink`]; one that is a [`lopper::Error`](Error) it returns
    /// as it is.
    fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError>;

    /// All bytes have been written, and every mask has been checked: what was written may be published. Called once, as
    /// the last call of a run, on the thread that called it. Never after an error, and never after the run was stopped.
    ///
    /// # Errors
    /// Any error is what the run returns, as [`Error::Commit`]; one that is a [`lopper::Error`](Error) as it is.
    fn commit(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A checkpoint's tensors, in the order of [`Checkpoint::tensors`].
impl Source for Checkpoint {
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
        Ok(self.read_at(tensor, offset, buf)?)
    }
}

/// Tensors with both their ends, whose errors have names.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub tensors: &'a [TensorInfo],
    pub source: &'a dyn Source,
    pub sink: &'a dyn Sink,
}

/// Bytes passed through at a time.
const BLOCK: u64 = 1 << 20;

impl Ends<'_> {
    pub fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        let range = offset..offset + buf.len() as u64;
        let name = |source| Error::Source { tensor: self.tensors[tensor].name.clone(), range, source };
        self.source.read(tensor, offset, buf).map_err(|error| own_or(error, name))
    }

    pub fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let range = offset..offset + bytes.len() as u64;
        let name = |source| Error::Sink { tensor: self.tensors[tensor].name.clone(), range, source };
        self.sink.write(tensor, offset, bytes).map_err(|error| own_or(error, name))
    }

    pub fn commit(&self) -> Result<()> {
        self.sink.commit().map_err(|error| own_or(error, |source| Error::Commit { source }))
    }

    /// Passes every tensor through that is not `pruned`.
    pub fn pass_through(&self, pruned: &dyn Fn(usize) -> bool, on_bytes: &OnBytes<'_>) -> Result<()> {
        let mut block = Vec::new();
        for (tensor, info) in self.tensors.iter().enumerate().filter(|(tensor, _)| !pruned(*tensor)) {
            let mut offset = 0;
            while offset < info.bytes() {
                block.resize(BLOCK.min(info.bytes() - offset) as usize, 0);
                self.read(tensor, offset, &mut block)?;
                self.write(tensor, offset, &block)?;
                offset += block.len() as u64;
                on_bytes(info.shard, block.len() as u64)?;
            }
        }
        Ok(())
    }
}

/// lopper's own errors have names already; those of others get one.
fn own_or(error: BoxError, name: impl FnOnce(BoxError) -> Error) -> Error {
    error.downcast::<Error>().map_or_else(name, |own| *own)
}
