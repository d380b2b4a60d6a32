//! weights, bits ─ fill ─► N:M; N:M, x ─ nm ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::specs::{products, source};
use super::{gemv, packed};
use crate::gpu::KernelSpec;

pub(super) const FILL: KernelSpec = KernelSpec {
    label: "nm fill",
    source: source!("weights", "packing", "packing_values", "nm_pack"),
    entry: "fill",
    bindings: packed::FILL,
};

products!("nm", ["values", "nm_parts"], ["nm", "rows"], lanes["lanes"], subgroups["subgroups"]);

/// Groups of four with a thread for each, as GPUs read memory best.
pub(super) mod fours {
    use super::{KernelSpec, packed, products, source};

    products!("n of four", ["values", "nm_parts"], ["nm_fours"], lanes["lanes"], subgroups["subgroups"]);
}

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "nm unpack",
    source: source!("stored", "sizes", "values", "nm_parts", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};

pub(super) const GEMM: KernelSpec = KernelSpec {
    label: "nm gemm",
    source: source!("stored", "sizes", "values", "nm_parts", "vectors", "nm_tile", "epilogue", "gemm"),
    entry: "main",
    bindings: gemv::BINDINGS,
};
