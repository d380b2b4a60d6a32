//! weights, bits ─ count, fill ─► blocks; blocks, x ─ block ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::packed;
use super::specs::{products, source};
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "block count",
    source: source!("weights", "packing", "packing_values", "block_pack"),
    entry: "count",
    bindings: packed::FLAG,
};

pub(super) const FILL: KernelSpec =
    KernelSpec { label: "block fill", entry: "fill", bindings: packed::FILL_FLAGGED, ..COUNT };

products!("block", ["values", "listed", "block_parts"], ["block", "rows"], lanes["lanes"], subgroups["subgroups"]);

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "block unpack",
    source: source!("stored", "sizes", "values", "listed", "block_parts", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};
