// A matrix of blocks times one vector, then bias and activation; see `rows.wgsl`. Neighbouring threads take neighbouring
// weights of a block's row.
//
// Bytes per weight of a kept block: SIZE, 2 for each block, and x from cache. Sums are f32: one per thread and row. All of a
// kept block is multiplied, zeros included.

fn walk(row: u32, local: u32) -> f32 {
    var sum = 0.0;
    let first = index[row / HEIGHT];
    let all = (index[row / HEIGHT + 1u] - first) * WIDTH;
    for (var i = local; i < all; i += WORKGROUP) {
        let n = first + i / WIDTH;
        let col = column_of(n) * WIDTH + i % WIDTH;
        if col < sizes.cols { sum += value_of((n * HEIGHT + row % HEIGHT) * WIDTH + i % WIDTH) * x_at(col); }
    }
    return sum;
}
