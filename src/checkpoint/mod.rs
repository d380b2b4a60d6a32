//! Tensors in safetensors files: read ranges of them, and write a copy of the same layout all at once or not at all.
//!
//! Guarantees:
//!
//! - Everything in a file is hostile until checked. [`Checkpoint::open`] reads headers and the index only; what it
//!   returns has been checked in full, so no later arithmetic on shapes and ranges can overflow or leave a file.
//! - Memory is a small multiple of the sizes of headers and index (measured: below eight, on those made to be costly),
//!   whatever the tensors' sizes. No file is mapped: one that shrinks underneath gives an error, not a signal. At most
//!   48 files are held open for reading and 48 for writing.
//! - The output has the input's shard names and tensor order; its index and every tensor that is not written are the
//!   input's, byte for byte. So are its headers, but for an entry of their `__metadata__` that a run may add.
//! - An input of which a shard is written to while it is read is noticed before anything gets its name: by its length
//!   and its time of change. (One that is written to within the grain of that clock, and keeps its length, is not.)
//! - Nothing exists under a final name before [`Output::commit`] has everything synced. Until then all that is written
//!   is in one folder, `.lopper-…`, beside the final names. Dropping an [`Output`] removes it, and so does
//!   [`Unfinished::abandon`] from another thread, unless it holds work of a run that another one can go on from.
//!
//! # What is stricter than the `safetensors` crate
//!
//! Whatever that crate (0.8) refuses is refused here. These, which it lets through, are refused too:
//!
//! - The same tensor name twice, or the same key twice in `__metadata__` or among an entry's unknown keys: there the last
//!   one wins, elsewhere it may be the first, and two programs would see two different models in one file.
//! - White space before the opening `{`: the format's text forbids it.
//! - An entry written as an array, or a dtype as an object: accidents of its parser, and in no writer's output.
//! - Dimensions whose product overflows but for a zero among them, such as `[0, 2⁴⁰, 2⁴⁰]`: a row would overflow.
//!
//! Like that crate, keys of an entry other than `dtype`, `shape` and `data_offsets` are ignored if they are valid JSON,
//! and so is a `__metadata__` that is `null`.

mod begin;
mod changed;
mod file;
mod files;
mod folder;
mod fresh;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod header;
mod index;
mod journal;
mod json;
mod lay_out;
mod metadata;
mod open;
mod output;
mod pending;
mod place;
mod problem;
mod read;
mod scaffold;
mod settle;
mod tensor;
mod unfinished;
mod verbatim;
mod zeros;

pub use begin::Earlier;
pub(crate) use begin::{Past, Resumable};
pub use files::{NewFiles, Sources};
pub(crate) use fresh::is_folder;
pub use fresh::{Fresh, FreshDescriptor, NewShard};
pub(crate) use head::digest;
pub use header::MAX_HEADER_BYTES;
pub(crate) use metadata::value_of;
pub(crate) use output::Entry;
pub use output::{Committed, Output};
pub(crate) use problem::quoted;
pub use problem::{CheckpointProblem, HeaderProblem};
pub use read::{Checkpoint, Shard};
pub(crate) use scaffold::Scaffold;
pub(crate) use settle::counts;
pub use tensor::TensorInfo;
pub(crate) use tensor::check_list;
pub use unfinished::{Abandoned, Unfinished};
pub(crate) use verbatim::{MOST_DIMENSIONS, Verbatim};
#[cfg(feature = "containers")]
pub(crate) use {
    file::{Handles, read_exact_at},
    lay_out::lay_out,
    problem::cut,
};
