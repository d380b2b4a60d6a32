// Blocks of HEIGHT by WIDTH weights, of which only those are stored, whole, that keep any. Blocks at the edges are filled up
// with zeros, and so are places within a block whose weight is not kept.

override HEIGHT: u32 = 4u;
override WIDTH: u32 = 4u;

@group(0) @binding(1) var<storage, read> index: array<u32>;  // [units + 1] blocks before each row of blocks, [blocks] u16 columns
@group(0) @binding(2) var<storage, read> values: array<u32>; // [blocks][HEIGHT][WIDTH] weights, SIZE bytes each

fn column_of(n: u32) -> u32 { return (index[sizes.units + 1u + (n >> 1u)] >> (16u * (n & 1u))) & 0xffffu; }

fn bits_of(n: u32) -> u32 {
    if SIZE == 4u { return values[n]; }
    return (values[n >> 1u] >> (16u * (n & 1u))) & 0xffffu;
}

fn value_of(n: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(values[n]); }
    let both = pair(values[n >> 1u]);
    return select(both.x, both.y, (n & 1u) == 1u);
}

// The bits of one weight, zero if it is not kept: columns of a row of blocks rise.
fn find(row: u32, col: u32) -> u32 {
    var low = index[row / HEIGHT];
    var high = index[row / HEIGHT + 1u];
    let end = high;
    while low < high {
        let middle = (low + high) / 2u;
        if column_of(middle) < col / WIDTH { low = middle + 1u; } else { high = middle; }
    }
    if low == end || column_of(low) != col / WIDTH { return 0u; }
    return bits_of((low * HEIGHT + row % HEIGHT) * WIDTH + col % WIDTH);
}
