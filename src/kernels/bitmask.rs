//! weights, bits ─ count, fill ─► tiled bitmask; tiled bitmask, x ─ bitmask ─► y. Twin: [`crate::reference::Packed`].
//! Recorded by `packed.rs`.

use super::{gemv, packed};
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "bitmask count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/bitmask_pack.wgsl")),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const FILL: KernelSpec =
    KernelSpec { label: "bitmask fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "bitmask",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "bitmask of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
    label: "bitmask by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team_subgroup.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
    label: "bitmask of lent vectors by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team_subgroup.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const GEMM: KernelSpec = KernelSpec {
    label: "bitmask gemm",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/bitmask_tile.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemm.wgsl")
    ),
    entry: "main",
    bindings: gemv::BINDINGS,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "bitmask unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/bitmask_find.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};
