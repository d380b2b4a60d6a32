// Entries with a column each, listed row by row: what CSR has of weights, and blocks of blocks.

@group(0) @binding(1) var<storage, read> index: array<u32>; // [units + 1] entries before each row, [entries] u16 columns

fn column_of(n: u32) -> u32 { return (index[sizes.units + 1u + (n >> 1u)] >> (16u * (n & 1u))) & 0xffffu; }

const NOWHERE: u32 = 0xffffffffu;

// Number of the entry of this column, if there is one: columns of a row rise.
fn entry_of(row: u32, col: u32) -> u32 {
    var low = index[row];
    var high = index[row + 1u];
    let end = high;
    while low < high {
        let middle = (low + high) / 2u;
        if column_of(middle) < col { low = middle + 1u; } else { high = middle; }
    }
    return select(NOWHERE, low, low < end && column_of(min(low, max(end, 1u) - 1u)) == col);
}
