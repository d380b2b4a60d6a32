// Four weights of a row of a tiled bitmask from column `col` on, for `gemm.wgsl`: zeros where nothing is kept. A thread
// asks from left to right, 16 columns further each time, and so keeps count of the weights before the word it is at.

var<private> before: u32;

fn four_weights(row: u32, col: u32) -> vec4f {
    if row >= sizes.rows { return vec4f(); }
    if col < 16u {
        before = index[row * sizes.stride];
    } else if (col & 31u) < 16u && col / 32u <= words_per_row() {
        before += countOneBits(mask_word(row, col / 32u - 1u));
    }
    if col >= sizes.cols { return vec4f(); }
    let word = mask_word(row, col / 32u);
    let bits = word >> (col & 31u);
    var n = before + countOneBits(word & ((1u << (col & 31u)) - 1u));
    var v = vec4f();
    if (bits & 1u) != 0u { v.x = value_of(n); n += 1u; }
    if (bits & 2u) != 0u { v.y = value_of(n); n += 1u; }
    if (bits & 4u) != 0u { v.z = value_of(n); n += 1u; }
    if (bits & 8u) != 0u { v.w = value_of(n); }
    return v;
}
