// Compressed sparse rows: the kept weights of a row one behind the other, and the column of each, 16 bits.

@group(0) @binding(1) var<storage, read> index: array<u32>;  // [rows + 1] kept weights before each row, [kept] u16 columns
@group(0) @binding(2) var<storage, read> values: array<u32>; // [kept] weights, SIZE bytes each

fn column_of(n: u32) -> u32 { return (index[sizes.rows + 1u + (n >> 1u)] >> (16u * (n & 1u))) & 0xffffu; }

fn bits_of(n: u32) -> u32 {
    if SIZE == 4u { return values[n]; }
    return (values[n >> 1u] >> (16u * (n & 1u))) & 0xffffu;
}

fn value_of(n: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(values[n]); }
    let both = pair(values[n >> 1u]);
    return select(both.x, both.y, (n & 1u) == 1u);
}

// The bits of one weight, zero if it is not kept: columns of a row rise.
fn find(row: u32, col: u32) -> u32 {
    var low = index[row];
    var high = index[row + 1u];
    let end = high;
    while low < high {
        let middle = (low + high) / 2u;
        if column_of(middle) < col { low = middle + 1u; } else { high = middle; }
    }
    if low == end || column_of(low) != col { return 0u; }
    return bits_of(low);
}
