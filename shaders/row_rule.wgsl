// What the two ways to prune each row by itself share: `row.wgsl` and `row_apart.wgsl`.

struct Rows {
    k: u32,      // how many go in each row, at most cols
    spread: u32, // keys by which rows may differ in scale: one binade
    spare0: u32,
    spare1: u32,
}

@group(0) @binding(3) var<uniform> rule: Rows;
@group(0) @binding(4) var<storage, read_write> window: Window; // about the k-th smallest of the whole matrix
@group(0) @binding(5) var<storage, read_write> mask: array<u32>;
@group(0) @binding(6) var<storage, read_write> nonzero: array<atomic<u32>>; // [64][2] weights that are not zero: before, after

// Keys below `low` go (there are `below` < k of them), at least k lie below `high`: `until`. Found when high = low + 1.
struct Interval { low: u32, high: u32, below: u32, until: u32 }
