// Weights one behind the other: how many, and in which order, is the format's.

@group(0) @binding(2) var<storage, read> values: array<u32>; // SIZE bytes for each

// Weight number `n` in the lower half, where it has 16 bits; in the upper half is the next one or nothing.
fn lowered(n: u32) -> u32 { return values[n >> 1u] >> ((n << 4u) & 31u); }

// Weight number `n`: its bits, and its number.
fn bits_of(n: u32) -> u32 {
    if SIZE == 4u { return values[n]; }
    return lowered(n) & 0xffffu;
}

fn value_of(n: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(values[n]); }
    return pair(lowered(n)).x;
}
