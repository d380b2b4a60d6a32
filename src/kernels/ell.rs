//! weights, bits ─ count, fill ─► sliced ELL; sliced ELL, x ─ ell ─► y. Twin: [`crate::reference::Packed`]. Recorded
//! by `packed.rs`.

use super::packed;
use super::specs::source;
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "ell count",
    source: source!("weights", "packing", "ell_pack"),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const MEASURE: KernelSpec =
    KernelSpec { label: "ell measure", entry: "measure", bindings: packed::MEASURE, ..COUNT };

pub(super) const FILL: KernelSpec = KernelSpec { label: "ell fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "ell",
    source: source!("stored", "sizes", "ell_parts", "x_storage", "epilogue", "ell"),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "ell of lent vectors",
    source: source!("stored", "sizes", "ell_parts", "x_lent", "epilogue", "ell"),
    entry: "main",
    bindings: packed::LENT,
};

/// The same with x in workgroup memory.
pub(super) const STAGED: KernelSpec = KernelSpec {
    label: "ell of staged vectors",
    source: source!("stored", "sizes", "ell_parts", "x_staged", "epilogue", "ell"),
    ..STORAGE
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "ell unpack",
    source: source!("stored", "sizes", "ell_parts", "ell_find", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};
