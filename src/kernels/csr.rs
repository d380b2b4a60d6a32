//! weights, bits ─ count, fill ─► CSR; CSR, x ─ csr ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::packed;
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "csr count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/csr_pack.wgsl")),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const FILL: KernelSpec = KernelSpec { label: "csr fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "csr",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/csr_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/csr.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "csr of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/csr_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/csr.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
    label: "csr by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/csr_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/csr.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
    label: "csr of lent vectors by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/csr_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/csr.wgsl"),
        include_str!("../../shaders/rows.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "csr unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/csr_parts.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};
