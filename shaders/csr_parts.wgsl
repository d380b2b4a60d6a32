// Compressed sparse rows: the kept weights of a row one behind the other, and the column of each, 16 bits.

// The bits of one weight, zero if it is not kept.
fn find(row: u32, col: u32) -> u32 {
    let n = entry_of(row, col);
    if n == NOWHERE { return 0u; }
    return bits_of(n);
}
