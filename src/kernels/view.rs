//! A matrix in a buffer, as kernels see it.

use crate::gpu::dispatch::{Share, share};
use crate::{Dtype, Error, Result};

/// A matrix of weights in a storage buffer: `rows` rows of `cols` weights, `stride` elements from one row's start to
/// the next.
#[derive(Debug, Clone, Copy)]
pub struct MatrixView<'a> {
    /// The buffer; usage `STORAGE`, its size a multiple of 4.
    pub buffer: &'a wgpu::Buffer,
    /// Where row 0 starts, in bytes; a multiple of the element's size.
    pub offset: u64,
    /// Element type.
    pub dtype: Dtype,
    /// Number of rows; at least 1.
    pub rows: u32,
    /// Weights per row; at least 1.
    pub cols: u32,
    /// Elements from the start of one row to the start of the next; at least `cols`.
    pub stride: u32,
}

/// What a pipeline is specialised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub size: u32,
    pub aligned: bool,
    pub tail: bool,
    pub flat: bool,
    /// What else a kernel is specialised for.
    pub mode: u64,
}

impl Variant {
    /// For kernels that read no weights.
    pub const NONE: Variant = Variant { size: 0, aligned: false, tail: false, flat: false, mode: 0 };

    /// The constants of `weights.wgsl`, and one or two more.
    pub fn constants<const N: usize>(self, more: [(&str, f64); N]) -> Vec<(&str, f64)> {
        let flag = |f: bool| f64::from(u8::from(f));
        let mut all = vec![
            ("SIZE", self.size.into()),
            ("ALIGNED", flag(self.aligned)),
            ("TAIL", flag(self.tail)),
            ("FLAT", flag(self.flat)),
        ];
        all.extend(more);
        all
    }
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct ViewWords {
    pub first: u32,
    pub rows: u32,
    pub cols: u32,
    pub stride: u32,
    pub groups_per_row: u32,
    pub groups: u32,
    pub span: u32,
    pub spare: u32,
}
super::shared_layout!(ViewWords, "View", [first, rows, cols, stride, groups_per_row, groups, span, spare]);

impl<'a> MatrixView<'a> {
    /// A matrix without gaps between its rows.
    pub fn dense(buffer: &'a wgpu::Buffer, offset: u64, dtype: Dtype, rows: u32, cols: u32) -> Self {
        Self { buffer, offset, dtype, rows, cols, stride: cols }
    }

    /// Weights in all.
    pub fn weights(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    /// Words of the mask: 32 weights each, every row starting a new one.
    pub fn mask_words(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols.div_ceil(32))
    }

    /// Checks bounds, alignment and usage. What the device binds is not asked: see [`crate::kernels`].
    ///
    /// # Errors
    /// [`Error::View`] with both numbers.
    pub fn check(&self) -> Result<()> {
        let bad = |problem: String| Err(Error::View { what: "matrix view", problem });
        let size = self.dtype.size() as u64;
        if self.rows == 0 || self.cols == 0 {
            return bad(format!("it is {} by {}: no weights", self.rows, self.cols));
        }
        if self.stride < self.cols {
            return bad(format!("its row stride is {}, less than its {} columns", self.stride, self.cols));
        }
        if !self.offset.is_multiple_of(size) {
            return bad(format!("its offset {} is no multiple of {size}, the size of {}", self.offset, self.dtype));
        }
        let elements = u64::from(self.rows - 1) * u64::from(self.stride) + u64::from(self.cols);
        let end = u128::from(self.offset) + u128::from(elements) * u128::from(size);
        if end > self.buffer.size().into() {
            return bad(format!("it ends at byte {end} of a buffer of {} bytes", self.buffer.size()));
        }
        if elements > u64::from(u32::MAX) - 64 {
            return bad(format!("it spans {elements} elements, one view holds fewer than 2^32"));
        }
        if !self.buffer.size().is_multiple_of(4) {
            return bad(format!("its buffer has {} bytes, no multiple of 4", self.buffer.size()));
        }
        if !self.buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return bad(format!("its buffer's usage is {:?}, it needs STORAGE", self.buffer.usage()));
        }
        Ok(())
    }

    /// Bytes that a binding of it spans.
    pub(crate) fn binding_bytes(&self) -> u64 {
        self.binding().size.map_or(0, |bytes| bytes.get())
    }

    /// The byte after its last weight.
    pub(crate) fn end(&self) -> u64 {
        let elements = u64::from(self.rows - 1) * u64::from(self.stride) + u64::from(self.cols);
        self.offset + elements * self.dtype.size() as u64
    }

    /// Bytes into the binding at which row 0 starts: bindings start at multiples of 256 bytes.
    fn inset(&self) -> u64 {
        self.offset % 256
    }

    pub(super) fn variant(&self) -> Variant {
        let size = self.dtype.size() as u64;
        let sixteen = |bytes: u64| bytes.is_multiple_of(16);
        let tail = !self.cols.is_multiple_of(32);
        Variant {
            size: size as u32,
            // What is bound may be shorter than what is read at a time: see `Kernels::quads`.
            aligned: self.binding_bytes() >= 16
                && sixteen(self.inset())
                && (self.rows == 1 || sixteen(u64::from(self.stride) * size)),
            tail,
            flat: self.rows == 1 || self.stride == self.cols && !tail,
            mode: 0,
        }
    }

    pub(super) fn groups(&self) -> u32 {
        self.mask_words() as u32
    }

    /// The uniform that goes with a kernel that shares groups among workgroups in spans.
    pub(super) fn words(&self, span: u32) -> ViewWords {
        ViewWords {
            first: (self.inset() / self.dtype.size() as u64) as u32,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
            groups_per_row: self.cols.div_ceil(32),
            groups: self.groups(),
            span,
            spare: 0,
        }
    }

    pub(super) fn share(&self, tuning: crate::gpu::Tuning) -> Share {
        share(self.groups(), tuning.workgroup, tuning.workgroups)
    }

    /// The binding: from the last multiple of 256 bytes before row 0 to the end of the buffer's last word.
    pub(super) fn binding(&self) -> wgpu::BufferBinding<'a> {
        let start = self.offset - self.inset();
        // Whole quads: kernels read 16 bytes at a time, and the buffer usually goes on past the view.
        let elements = u64::from(self.rows - 1) * u64::from(self.stride) + u64::from(self.cols);
        let end = (self.offset + elements * self.dtype.size() as u64).next_multiple_of(128);
        let size = std::num::NonZero::new(end.min(self.buffer.size()) - start);
        wgpu::BufferBinding { buffer: self.buffer, offset: start, size }
    }
}
