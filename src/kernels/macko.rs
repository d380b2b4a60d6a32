//! weights, bits ─ count, fill ─► MACKO; MACKO, x ─ macko ─► y. Twin: [`crate::reference::Packed`]. Recorded by `packed.rs`.

use super::packed;
use super::specs::{products, source};
use crate::gpu::KernelSpec;

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "macko count",
    source: source!("weights", "packing", "packing_values", "macko_pack"),
    entry: "count",
    bindings: packed::COUNT,
};

pub(super) const FILL: KernelSpec = KernelSpec { label: "macko fill", entry: "fill", bindings: packed::FILL, ..COUNT };

products!("macko", ["macko_parts"], ["macko"], lanes["team", "lanes"], subgroups["team_subgroup", "subgroups"]);

/// The same with x in workgroup memory.
pub(super) const STAGED: KernelSpec = KernelSpec {
    label: "macko of staged vectors",
    source: source!("stored", "sizes", "macko_parts", "x_staged", "epilogue", "macko", "team_subgroup", "subgroups"),
    ..STORAGE
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "macko unpack",
    source: source!("stored", "sizes", "macko_parts", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};
