// An N:M matrix times one vector, then bias and activation; see `rows.wgsl`. A thread takes every so many words of the mask.
//
// Bytes per weight: 1/8, KEEP / OF of SIZE, and x from cache. Sums are f32: one per thread and row. What is not kept is not
// multiplied.

fn walk(row: u32, local: u32) -> f32 {
    var sum = 0.0;
    for (var w = local; w < words_per_row(); w += WORKGROUP) {
        var bits = mask_word(row, w);
        while bits != 0u {
            let col = 32u * w + firstTrailingBit(bits);
            bits &= bits - 1u;
            sum += value_of(place_of(row, col)) * x_at(col);
        }
    }
    return sum;
}
