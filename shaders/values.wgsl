// Weights one behind the other: how many, and in which order, is the format's.

@group(0) @binding(2) var<storage, read> values: array<u32>; // SIZE bytes for each

// Weight number `n`: its bits, and its number.
fn bits_of(n: u32) -> u32 {
    if SIZE == 4u { return values[n]; }
    return (values[n >> 1u] >> (16u * (n & 1u))) & 0xffffu;
}

fn value_of(n: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(values[n]); }
    let both = pair(values[n >> 1u]);
    return select(both.x, both.y, (n & 1u) == 1u);
}
