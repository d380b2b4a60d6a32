//! The uniform that all products share.

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct SizesWords {
    pub first: u32,
    pub rows: u32,
    pub cols: u32,
    pub stride: u32,
    pub above: u32,
    pub height: u32,
    pub columns: u32,
    pub units: u32,
}
super::shared_layout!(SizesWords, "Sizes", [first, rows, cols, stride, above, height, columns, units]);
