//! weights, bits ─ count, fill ─► sliced ELL; sliced ELL, x ─ ell ─► y. Twin: [`crate::reference::Packed`]. Recorded
//! by `packed.rs`.

use super::packed;
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "ell count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/ell_pack.wgsl")),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const MEASURE: KernelSpec =
    KernelSpec { label: "ell measure", entry: "measure", bindings: packed::MEASURE, ..COUNT };

pub(super) const FILL: KernelSpec = KernelSpec { label: "ell fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "ell",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/ell.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "ell of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/ell.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "ell unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/ell_parts.wgsl"),
        include_str!("../../shaders/ell_find.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};
