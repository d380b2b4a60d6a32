// What kernels share that pack weights by a mask; behind `weights.wgsl`.

@group(0) @binding(3) var<storage, read> mask: array<u32>; // [groups]

// Bits past the end of a row mean nothing.
fn mask_word(row: u32, word: u32) -> u32 {
    let bits = mask[row * view.groups_per_row + word];
    if TAIL { return bits & (0xffffffffu >> (32u - count_in_row(word))); }
    return bits;
}

// Bits of one weight.
fn bits_at(element: u32) -> u32 {
    if SIZE == 4u { return words[element]; }
    return (words[element >> 1u] >> (16u * (element & 1u))) & 0xffffu;
}
