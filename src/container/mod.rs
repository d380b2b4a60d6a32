//! Tensors in the files of other programs: NumPy, PyTorch, GGUF, ONNX, Keras.
//!
//! ```text
//! a file ─ reader ─► tensors, and the places of their bytes ─┬─► read in row-major, little-endian order
//!                                                           ├─► a copy of the file, with other bytes at those places
//!                                                           └─► a file of another format
//! ```
//!
//! Guarantees:
//!
//! - Everything in a file is hostile until checked. [`Container::open`] reads what describes tensors, and never their bytes;
//!   what it returns has been checked in full. What a file asks for is bounded: counts, nesting, names, bytes of structure.
//! - No pickle is run. A small machine reads those that describe tensors and refuses any other, by its opcode or global.
//! - Memory does not grow with tensors. No file is mapped. One exception takes disk instead: a zip file with compressed
//!   members, or, unless it is torch's, with lengths behind its members, is unpacked once into a temporary file (in `TMPDIR`).
//! - A copy differs from its original in the bytes of tensors, and the checksums of the zip members that hold them. What is no
//!   tensor of a known type is copied byte for byte; a zip file with compressed members comes out stored.
//! - Nothing exists under a final name before all of it is written and synced; no input is written to
//!   ([`NewFiles`](crate::checkpoint::NewFiles)).
//!
//! | format | read | copied with other weights | made anew | |
//! |---|---|---|---|---|
//! | safetensors | yes | by [`checkpoint`](crate::checkpoint) | yes | |
//! | `.npy`, `.npz` | yes | yes | yes | C and Fortran order, either byte order |
//! | `.pt`, `.pth`, `.bin` | yes | no | no | views, strides and shared storages; zip files, as torch writes them since 1.6 |
//! | GGUF | yes | yes | yes | quantised tensors are copied, and not converted |
//! | ONNX | yes | yes | yes, without nodes | initializers as `raw_data`, packed floats, or in files beside the model |
//! | `.weights.h5`, `.keras` | yes | yes | no | contiguous datasets |

mod archive;
mod convert;
mod create;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod gguf;
mod keras;
mod kind;
mod list;
mod npy;
mod onnx;
mod open;
mod pickle;
mod place;
mod problem;
mod torch;
mod wire;
mod write;

pub use convert::{Converted, convert};
pub use kind::Kind;
pub use list::Other;
pub use open::Container;
pub use problem::ContainerProblem;
pub use write::NewContainer;
