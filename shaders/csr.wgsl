// A matrix in compressed sparse rows times one vector, then bias and activation; see `rows.wgsl`.
//
// Bytes per kept weight: SIZE + 2, 4 per row, and x from cache. Neighbouring threads take neighbouring weights. Sums are
// f32: one per thread and row.

fn walk(row: u32, local: u32) -> f32 {
    var sum = 0.0;
    let end = index[row + 1u];
    for (var n = index[row] + local; n < end; n += WORKGROUP) { sum += value_of(n) * x_at(column_of(n)); }
    return sum;
}
