// The bits of one weight of a matrix in sliced ELL, zero if it is not kept: columns of a row rise.

fn column_of(row: u32, n: u32) -> u32 {
    return (data[slot_of(row, n / 8u)][n % 8u / 2u] >> (16u * (n & 1u))) & 0xffffu;
}

fn find(row: u32, col: u32) -> u32 {
    var low = 0u;
    var high = length_of(row);
    while low < high {
        let middle = (low + high) / 2u;
        if column_of(row, middle) < col { low = middle + 1u; } else { high = middle; }
    }
    if low == length_of(row) || column_of(row, low) != col { return 0u; }
    let at = slot_of(row, low / 8u) + SLICE;
    let n = low % 8u;
    if SIZE == 4u { return data[at + n / 4u * SLICE][n % 4u]; }
    return (data[at][n / 2u] >> (16u * (n & 1u))) & 0xffffu;
}
