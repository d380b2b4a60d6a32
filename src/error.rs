//! One typed error for the whole library; the command line turns it into text.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::checkpoint::quoted;

/// Everything that can go wrong in lopper.
///
/// Messages name the file, the tensor and both numbers (what was needed and what there was) wherever there are any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read, write, create, rename or sync something.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done, as a verb: `read`, `write`, `create`, `rename`, `sync`.
        action: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A `.safetensors` file breaks the format.
    #[error("{}: {problem}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Which rule of the format it breaks.
        problem: crate::checkpoint::HeaderProblem,
    },

    /// An index or a folder of shards does not add up to a checkpoint.
    #[error("{}: {problem}", .path.display())]
    Checkpoint {
        /// The index file or the folder.
        path: PathBuf,
        /// What does not add up.
        problem: crate::checkpoint::CheckpointProblem,
    },

    /// A file of another program breaks its format, or has what lopper does not take.
    #[cfg(feature = "containers")]
    #[error("{}: {problem}", .path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: crate::container::ContainerProblem,
    },

    /// The output may not be written where it was asked for.
    #[error("will not write to {}: {reason}", .path.display())]
    Output {
        /// Where the output was to go.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },

    /// A tensor that a caller described cannot be one.
    #[error("{problem}")]
    Tensor {
        /// Which tensor, and which rule it breaks.
        problem: crate::checkpoint::HeaderProblem,
    },

    /// A caller's [`Source`](crate::pruner::Source) did not give what was asked for.
    #[error("cannot read bytes {}..{} of tensor {}: {source}", .range.start, .range.end, quoted(.tensor))]
    Source {
        /// The tensor's name.
        tensor: String,
        /// Which of its bytes.
        range: Range<u64>,
        /// The caller's own error.
        source: BoxError,
    },

    /// A caller's [`Sink`](crate::pruner::Sink) did not take what it was given.
    #[error("cannot write bytes {}..{} of tensor {}: {source}", .range.start, .range.end, quoted(.tensor))]
    Sink {
        /// The tensor's name.
        tensor: String,
        /// Which of its bytes.
        range: Range<u64>,
        /// The caller's own error.
        source: BoxError,
    },

    /// A caller's [`Sink`](crate::pruner::Sink) took everything, but did not commit it.
    #[error("cannot commit what was written: {source}")]
    Commit {
        /// The caller's own error.
        source: BoxError,
    },

    /// A pruning rule that cannot be carried out, or contradicts itself.
    #[error("{0}")]
    Rule(String),

    /// A recipe cannot be read, or a rule in it contradicts itself.
    #[error("{}{problem}", place(.path.as_deref(), *.line))]
    Recipe {
        /// The recipe's file, if it is in one.
        path: Option<PathBuf>,
        /// Its line, counted from 1, where one can be named.
        line: Option<usize>,
        /// Which rule, and what is wrong with it.
        problem: String,
    },

    /// A checkpoint that cannot be made smaller as asked.
    #[error(transparent)]
    Shrink(#[from] crate::shrink::Problem),

    /// A file's tensors are not what they should be: data for a network, masks, packed weights.
    #[error("{}: {}{problem}", .path.display(), in_tensor(.tensor.as_deref()))]
    Data {
        /// The file.
        path: PathBuf,
        /// The tensor, where it is about one.
        tensor: Option<String>,
        /// What is wrong with it.
        problem: String,
    },

    /// No adapter at all, or none that was asked for.
    #[error("{0}")]
    Adapter(String),

    /// A device lacks a limit or a feature that lopper needs.
    #[error("{adapter}: {what} is {have}, lopper needs at least {need}")]
    Limit {
        /// The adapter's or the device's name.
        adapter: String,
        /// The limit, by wgpu's name.
        what: &'static str,
        /// What the device has.
        have: u64,
        /// What is needed.
        need: u64,
    },

    /// A buffer or view handed to a kernel does not fit what the kernel was asked to do.
    #[error("{what}: {problem}")]
    View {
        /// The binding or the argument.
        what: &'static str,
        /// Both numbers.
        problem: String,
    },

    /// The GPU or its driver failed.
    #[error("the GPU failed while {doing}: {message}")]
    Gpu {
        /// What was being done.
        doing: &'static str,
        /// What wgpu said.
        message: String,
    },

    /// The GPU ran out of memory. A run from file to file has tried with less by then.
    #[error("the GPU ran out of memory while {doing}: {message}")]
    GpuMemory {
        /// What was being done.
        doing: &'static str,
        /// What wgpu said.
        message: String,
    },

    /// The memory budget is too small for even one chunk per slot.
    #[error("a memory budget of {have} bytes is too small: at least {need} bytes are needed")]
    Memory {
        /// The budget that was given.
        have: u64,
        /// The smallest that works.
        need: u64,
    },

    /// The caller asked the run to stop.
    #[error("stopped before it was done; nothing was written under a final name")]
    Cancelled,
}

/// Where in a recipe something is, in front of what is wrong with it.
fn place(path: Option<&Path>, line: Option<usize>) -> String {
    let line = line.map_or(String::new(), |line| format!("line {line}: "));
    path.map_or(line.clone(), |path| format!("{}: {line}", path.display()))
}

/// The tensor that something is about, in front of it.
fn in_tensor(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!("tensor {}: ", quoted(name)))
}

/// An error of the caller's own. `?` turns any error into one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on file operations: what was being done, and to which path.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}
