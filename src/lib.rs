//! Prunes neural-network weights on any GPU that wgpu reaches: exactly, in bounded memory, in a program's own commands
//! or from file to file.
//!
//! # The pipeline
//!
//! ```text
//! weights ─ bracket ─► window ─ histogram ─► counts ─ threshold ─► cut ─ mask, settle ─► bits ─ apply ─► weights with zeros
//!              │                    ▲                    │
//!           a sample                └── a finer window ──┘  at most a few rounds, decided on the GPU
//! ```
//!
//! Weights are compared as integers: without the sign, a weight's bits are its place in the order (its *key*), so no
//! float support is needed, and one code serves all [element types](Dtype). A sample says where the cut should be; the
//! counts prove it, or move the window. So exactly as many weights go as were asked for, and of those at the cut the ones
//! of lowest index: the result is a function of weights and rule alone, the same on every adapter.
//!
//! # Where to begin
//!
//! | you have | begin with |
//! |---|---|
//! | a `wgpu::Device`, and weights in its buffers | [`Lopper`] and [`record`] |
//! | a safetensors checkpoint | [`pruner::Pruner`] |
//! | tensors that come from and go to anywhere, larger than the GPU | [`Pruner::prune_tensors`](pruner::Pruner::prune_tensors), a [`pruner::Source`] and a [`pruner::Sink`] |
//! | a pruned matrix or model, and inputs for it | [`sparse`] and [`network`] |
//! | a GPU, and the question whether sparse products pay on it | [`bench`](mod@bench) |
//! | a ranking or a mask of your own | the single stages: [`kernels::Kernels`] |
//! | a network, and data to run it on | [`infer`] |
//! | neurons, heads or layers that are to go, rows and columns and all | [`shrink`] |
//! | a file of NumPy, PyTorch, GGUF, ONNX or Keras | `container` (feature `containers`), and `Pruner::prune_container` |
//! | a question about weights, before or after | [`inspect`], which needs no GPU |
//! | a mask to keep, to combine or to apply to something else | [`masks`] |
//! | pruned files that should be smaller | [`packed`], and [`sparse::SparseMatrix::load`] |
//! | doubts | [`reference`](mod@reference): the CPU twin of every kernel, in plain loops; [`pruner::verify`] |
//!
//! The layers use those below them, never one above:
//!
//! ```text
//! pruner ─┬────► container         a rule becomes a plan, a plan is run; tensors in other programs' files
//!    │    └────► checkpoint        tensors in files
//!    ▼  inspect                    what weights are like, on the CPU
//! scheduler      record, sparse    chunks through a ring of slots; whole prunings and products in a caller's commands
//!    │             network, bench    above sparse: chains of layers; what products are worth here
//!    └─────┬───────┘
//!       kernels ──► gpu            one module per shader; what is needed of a device
//!          ▼
//!      reference                   what the kernels must compute
//! ```
//!
//! # In your commands
//!
//! ```no_run
//! use lopper::{Dtype, Lopper, Target, kernels::MatrixView, record::PruneDescriptor};
//!
//! # fn f(device: &lopper::wgpu::Device, weights: &lopper::wgpu::Buffer, encoder: &mut lopper::wgpu::CommandEncoder)
//! # -> lopper::Result<()> {
//! let lopper = Lopper::new(device)?;
//! let matrices = [MatrixView::dense(weights, 0, Dtype::BF16, 4096, 11008)];
//! let pruning = lopper.prepare(&PruneDescriptor::new(&matrices, Target::Sparsity(0.5)))?; // once
//! pruning.record(encoder); // as often as you like
//! # Ok(())
//! # }
//! ```
//!
//! # Versions
//!
//! wgpu is 30, re-exported as [`lopper::wgpu`](wgpu); another major version of it is a breaking change of lopper, since
//! its types are in lopper's signatures. So is another safetensors than 0.8, a new required limit or feature of a
//! device, and a rise of the oldest Rust that will do, 1.95. New fields of structs that callers build, such as
//! [`record::PruneDescriptor`], are breaking too; build them from their `new` with `..`. What is pruned, for the same
//! weights and rule, never changes.
//!
//! # Features
//!
//! `cli` (default) is the command-line tool's and brings its crates; `containers`, a part of it, reads and writes files of other
//! programs. The library alone is `default-features = false`.

#![forbid(unsafe_code)]

mod activation;
pub mod bench;
pub mod checkpoint;
#[cfg(feature = "containers")]
pub mod container;
mod error;
#[doc(hidden)]
pub mod fault;
mod format;
#[doc(hidden)]
pub mod fuzzing;
pub mod gpu;
pub mod infer;
pub mod inspect;
mod json_file;
pub mod kernels;
pub mod masks;
pub mod network;
pub mod packed;
pub mod pruner;
pub mod record;
pub mod reference;
mod schedule;
pub mod scheduler;
mod shared;
pub mod shrink;
pub mod sparse;
mod target;
mod tensor;
mod toml_file;
pub mod tune;
mod unit;

pub use activation::Activation;
pub use error::{BoxError, Error, Result};
pub use format::Format;
pub use record::Lopper;
pub use safetensors;
pub use schedule::Schedule;
pub use shared::OnBytes;
pub use target::{Scope, Target, Ties, quota};
pub use tensor::{Dtype, Shape};
pub use unit::{Norm, Unit};
pub use wgpu;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
