// The bits of one weight of a matrix of blocks, zero if it is not kept.
fn find(row: u32, col: u32) -> u32 {
    let n = entry_of(row / HEIGHT, col / WIDTH);
    if n == NOWHERE { return 0u; }
    return bits_of((n * HEIGHT + row % HEIGHT) * WIDTH + col % WIDTH);
}
