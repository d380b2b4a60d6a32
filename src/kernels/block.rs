//! weights, bits ─ count, fill ─► blocks; blocks, x ─ block ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::packed;
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "block count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/block_pack.wgsl")),
    entry: "count",
    bindings: packed::FLAG,
};

pub(super) const FILL: KernelSpec =
    KernelSpec { label: "block fill", entry: "fill", bindings: packed::FILL_FLAGGED, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "block",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/block_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/block.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "block of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/block_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/block.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
    label: "block by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/block_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/block.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
    label: "block of lent vectors by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/block_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/block.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "block unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/block_parts.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};
