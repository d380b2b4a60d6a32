// Where packed weights go, in formats that have them one behind the other; behind `packing.wgsl`.

@group(0) @binding(5) var<storage, read_write> values: array<atomic<u32>>; // SIZE bytes for each; zero before if SIZE is 2

// Weights of 16 bits may share a word, and so must be zero before. What does not fit goes nowhere.
fn put(n: u32, weight: u32) {
    if n / (4u / SIZE) >= arrayLength(&values) { return; }
    if SIZE == 4u { atomicStore(&values[n], weight); } else { atomicOr(&values[n >> 1u], weight << (16u * (n & 1u))); }
}
