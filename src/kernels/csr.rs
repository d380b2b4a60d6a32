//! weights, bits ─ count, fill ─► CSR; CSR, x ─ csr ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::packed;
use super::specs::{products, source};
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "csr count",
    source: source!("weights", "packing", "packing_values", "packing_part", "csr_pack"),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const FILL: KernelSpec = KernelSpec { label: "csr fill", entry: "fill", bindings: packed::FILL, ..COUNT };

products!("csr", ["values", "listed", "csr_parts"], ["csr", "rows"], lanes["lanes"], subgroups["subgroups"]);

/// With a thread for each pair of weights, as GPUs read memory best.
pub(super) mod pairs {
    use super::{KernelSpec, packed, products, source};

    products!("csr by pairs", ["values", "listed"], ["csr_pairs"], lanes["lanes"], subgroups["subgroups"]);
}

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "csr unpack",
    source: source!("stored", "sizes", "values", "listed", "csr_parts", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};
