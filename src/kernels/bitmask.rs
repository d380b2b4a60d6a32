//! weights, bits ─ count, fill ─► tiled bitmask; tiled bitmask, x ─ bitmask ─► y. Twin: [`crate::reference::Packed`].
//! Recorded by `packed.rs`.

use super::specs::{products, source};
use super::{gemv, packed};
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "bitmask count",
    source: source!("weights", "packing", "packing_values", "packing_part", "bitmask_pack"),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const FILL: KernelSpec =
    KernelSpec { label: "bitmask fill", entry: "fill", bindings: packed::FILL, ..COUNT };

products!("bitmask", ["values", "bitmask_parts"], ["bitmask"], lanes ["team", "lanes"], subgroups ["team_subgroup", "subgroups"]);

/// The same with a thread for each column of a word, as GPUs read memory best.
pub(super) mod columns {
    use super::{KernelSpec, packed, products, source};

    products!(
        "bitmask by columns",
        ["values", "bitmask_parts"],
        ["bitmask_columns"],
        lanes["lanes"],
        subgroups["subgroups"]
    );
}

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "bitmask unpack",
    source: source!("stored", "sizes", "values", "bitmask_parts", "bitmask_find", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};

pub(super) const GEMM: KernelSpec = KernelSpec {
    label: "bitmask gemm",
    source: source!("stored", "sizes", "values", "bitmask_parts", "vectors", "bitmask_tile", "epilogue", "gemm"),
    entry: "main",
    bindings: gemv::BINDINGS,
};
