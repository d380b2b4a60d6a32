// Four rows per workgroup, all its threads along each: what the formats share whose weights any thread finds by itself. Put
// behind a format that defines `walk(row, local)`, a thread's part of a row's sum.

// Rows past the end are the last one: they are read, and go nowhere.
fn clamped(row: u32) -> u32 { return min(row, sizes.rows - 1u); }

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    let sums = vec4f(walk(row, local), walk(clamped(row + 1u), local), walk(clamped(row + 2u), local),
        walk(clamped(row + 3u), local));
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
