// Where packed weights go, in formats that have them one behind the other; behind `packing.wgsl`.

@group(0) @binding(5) var<storage, read_write> values: array<atomic<u32>>; // SIZE bytes for each; zero before if SIZE is 2

// One weight of 4 bytes. What does not fit goes nowhere.
fn put_word(n: u32, weight: u32) {
    if n < arrayLength(&values) { atomicStore(&values[n], weight); }
}

// One or two weights of 2 bytes in a word that others may share, and so must be zero before.
fn put_pair(n: u32, weights: u32) {
    if n < arrayLength(&values) { atomicOr(&values[n], weights); }
}

fn put(n: u32, weight: u32) {
    if SIZE == 4u { put_word(n, weight); } else { put_pair(n >> 1u, weight << (16u * (n & 1u))); }
}
