//! weights, bits ─ fill ─► N:M; N:M, x ─ nm ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::{gemv, packed};
use crate::gpu::KernelSpec;

pub(super) const FILL: KernelSpec = KernelSpec {
    label: "nm fill",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/nm_pack.wgsl")),
    entry: "fill",
    bindings: packed::FILL,
};

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "nm",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/nm.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "nm of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/nm.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
    label: "nm by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/nm.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
    label: "nm of lent vectors by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/nm.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "nm unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};

pub(super) const GEMM: KernelSpec = KernelSpec {
    label: "nm gemm",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/nm_parts.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/nm_tile.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemm.wgsl")
    ),
    entry: "main",
    bindings: gemv::BINDINGS,
};
