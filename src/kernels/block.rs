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

/// Blocks whose rows are whole steps of 16 bytes, or halves of one.
pub(super) mod quads {
    use super::{KernelSpec, packed, products, source};
    use crate::Dtype;

    products!(
        "block by quads",
        ["listed", "block_parts", "block_quads_parts"],
        ["block_quads"],
        lanes["lanes"],
        subgroups["subgroups"]
    );

    /// Whether blocks of this shape can be read so.
    pub(in crate::kernels) fn fit(height: u32, width: u32, dtype: Dtype) -> bool {
        let bytes = width * dtype.size() as u32;
        height.is_multiple_of(4) && (bytes.is_multiple_of(16) || bytes == 8)
    }
}

/// The same times four vectors.
pub(super) mod batch {
    use super::{KernelSpec, packed, products, source};

    products!(
        "block by quads of four",
        ["listed", "block_parts", "block_quads_parts"],
        ["block_batch"],
        lanes["lanes"],
        subgroups["subgroups"]
    );
}

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "block unpack",
    source: source!("stored", "sizes", "values", "listed", "block_parts", "block_find", "unpack"),
    entry: "main",
    bindings: packed::UNPACK,
};
