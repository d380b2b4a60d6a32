// The bits of one weight of a matrix in tiled bitmask, zero if it is not kept.

fn find(row: u32, col: u32) -> u32 {
    let word = mask_word(row, col / 32u);
    if (word >> (col % 32u) & 1u) == 0u { return 0u; }
    var n = index[row * sizes.stride + col / 1024u] + countOneBits(word & ((1u << (col % 32u)) - 1u));
    for (var w = col / 1024u * 32u; w < col / 32u; w++) { n += countOneBits(mask_word(row, w)); }
    return bits_of(n);
}
