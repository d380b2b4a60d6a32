//! A part of a buffer, as arguments of kernels.

use wgpu::BufferUsages as Usage;

use crate::{Error, Result};

/// A part of a buffer: `(&buffer).into()` is all of it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The buffer; usage `STORAGE`.
    pub buffer: &'a wgpu::Buffer,
    /// Where the part starts, in bytes; a multiple of 256.
    pub offset: u64,
    /// Its length in bytes, a multiple of 4.
    pub size: u64,
}

impl<'a> From<&'a wgpu::Buffer> for Part<'a> {
    fn from(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, size: buffer.size() }
    }
}

impl<'a> Part<'a> {
    pub(crate) fn binding(self) -> wgpu::BufferBinding<'a> {
        wgpu::BufferBinding { buffer: self.buffer, offset: self.offset, size: std::num::NonZero::new(self.size) }
    }

    /// Checks place, length and usage.
    pub(crate) fn check(self, what: &'static str, need: u64) -> Result<()> {
        let bad = |problem: String| Err(Error::View { what, problem });
        let (offset, size, all) = (self.offset, self.size, self.buffer.size());
        if !offset.is_multiple_of(256) || !size.is_multiple_of(4) {
            return bad(format!("it starts at byte {offset} and has {size}: multiples of 256 and 4 are needed"));
        }
        if offset.checked_add(size).is_none_or(|end| end > all) {
            return bad(format!("{size} bytes from byte {offset} on, of a buffer of {all}"));
        }
        if size < need {
            return bad(format!("{size} bytes, {need} are needed"));
        }
        if !self.buffer.usage().contains(Usage::STORAGE) {
            return bad(format!("its buffer's usage is {:?}, it needs STORAGE", self.buffer.usage()));
        }
        Ok(())
    }
}
