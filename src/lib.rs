#![doc = include_str!("../README.md")]

pub mod checkpoint;
mod error;
pub mod gpu;
pub mod kernels;
pub mod pruner;
pub mod reference;
pub mod scheduler;
mod tensor;

pub use error::{Error, Result};
pub use tensor::{Dtype, Shape};
pub use wgpu;
