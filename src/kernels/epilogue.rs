//! What a product does to each sum before it is written.

use super::Part;
use crate::{Activation, Error, Result};

/// Bias and activation, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// An `f32` for each row.
    pub bias: Option<Part<'a>>,
    /// The activation.
    pub activation: Activation,
}

impl<'a> Epilogue<'a> {
    pub(super) fn check(&self, rows: u64) -> Result<()> {
        self.bias.map_or(Ok(()), |bias| bias.check("bias", 4 * rows))
    }

    /// Constants of `epilogue.wgsl`.
    pub(super) fn constants(&self) -> [(&'static str, f64); 2] {
        [("BIAS", f64::from(u8::from(self.bias.is_some()))), ("ACTIVATION", f64::from(self.activation as u8))]
    }

    /// A number for each set of constants, below 8.
    pub(super) fn mode(&self) -> u32 {
        self.activation as u32 * 2 + u32::from(self.bias.is_some())
    }

    /// What is bound for the bias: anything that is read, if there is none.
    pub(super) fn binding(&self, other: Part<'a>) -> wgpu::BufferBinding<'a> {
        self.bias.unwrap_or(other).binding()
    }
}

/// Checks that what a product writes is none of what it reads: wgpu tracks whole buffers.
pub(super) fn apart(y: Part<'_>, read: &[(&'static str, &wgpu::Buffer)]) -> Result<()> {
    match read.iter().find(|(_, buffer)| *buffer == y.buffer) {
        Some((name, _)) => {
            Err(Error::View { what: "y", problem: format!("it lies in the buffer of {name}: take another") })
        }
        None => Ok(()),
    }
}
