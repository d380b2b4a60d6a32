// Four weights of a row of an N:M matrix from column `col` on, for `gemm.wgsl`: zeros where nothing is kept.

fn weight_at(row: u32, col: u32) -> f32 {
    if col >= sizes.cols || (mask_word(row, col / 32u) >> (col & 31u) & 1u) == 0u { return 0.0; }
    return value_of(place_of(row, col));
}

fn four_weights(row: u32, col: u32) -> vec4f {
    if row >= sizes.rows || col >= sizes.cols { return vec4f(); }
    return vec4f(weight_at(row, col), weight_at(row, col + 1u), weight_at(row, col + 2u), weight_at(row, col + 3u));
}
