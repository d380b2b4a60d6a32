#![doc = include_str!("../README.md")]

pub mod checkpoint;
mod error;
pub mod gpu;
pub mod kernels;
pub mod pruner;
pub mod record;
pub mod reference;
pub mod scheduler;
mod target;
mod tensor;

pub use error::{Error, Result};
pub use record::Lopper;
pub use target::{Scope, Target, quota};
pub use tensor::{Dtype, Shape};
pub use wgpu;
