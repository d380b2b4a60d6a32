// A matrix of N:4 times one vector, then bias and activation, for GPUs: four rows per workgroup, neighbouring threads take
// neighbouring groups of four columns, so that x and weights are read side by side and x once for four rows. `nm.wgsl` is for other
// groups, and for SIMD lanes.
//
// Bytes per weight: 1/8, KEEP / 4 of SIZE, and x from cache. Two groups of each row are under way at a time. Sums are f32: one per
// thread and row. What is not kept is not multiplied.

override PAIRED: bool = false; // two weights of 16 bits for each group, in a word of their own

// The weights of a group, in their order.
fn values_at(row: u32, group: u32) -> vec4f {
    let n = row * sizes.stride + group * KEEP;
    if PAIRED { return vec4f(pair(values[n >> 1u]), 0.0, 0.0); }
    var v = vec4f(value_of(n), 0.0, 0.0, 0.0);
    if KEEP > 1u { v.y = value_of(n + 1u); }
    if KEEP > 2u { v.z = value_of(n + 2u); }
    if KEEP > 3u { v.w = value_of(n + 3u); }
    return v;
}

// A group of each of four rows, as it is in memory: their words of the mask, and weights.
struct Fours { masks: vec4u, x: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn fours_at(rows: vec4u, group: u32) -> Fours {
    let word = group / 8u;
    let masks = vec4u(mask_word(rows.x, word), mask_word(rows.y, word), mask_word(rows.z, word), mask_word(rows.w, word));
    let x = vec4f(x_at(4u * group), x_at(4u * group + 1u), x_at(4u * group + 2u), x_at(4u * group + 3u));
    return Fours(masks >> vec4u(4u * (group % 8u)), x, values_at(rows.x, group), values_at(rows.y, group),
        values_at(rows.z, group), values_at(rows.w, group));
}

// The product of one group whose mask is the lower four bits: each kept column has the weight of its rank among them.
fn kept(mask: u32, v: vec4f, x: vec4f) -> f32 {
    // Before column c: any kept, two, three.
    let below = vec4u(mask) & vec4u(0u, 1u, 3u, 7u);
    var w = select(vec4f(v.x), vec4f(v.y), below != vec4u());
    if KEEP > 2u {
        let second = countOneBits(below) == vec4u(2u);
        w.z = select(w.z, v.z, second.z);
        w.w = select(w.w, v.z, second.w);
    }
    if KEEP > 3u { w.w = select(w.w, v.w, below.w == 7u); }
    let p = select(vec4f(), w * x, (vec4u(mask) & vec4u(1u, 2u, 4u, 8u)) != vec4u());
    return p.x + p.y + p.z + p.w;
}

// The same where two weights are kept, no more and no fewer.
fn kept_two(mask: u32, v: vec4f, x: vec4f) -> f32 {
    let first = select(select(x.z, x.y, (mask & 2u) != 0u), x.x, (mask & 1u) != 0u);
    let second = select(select(x.y, x.z, (mask & 4u) != 0u), x.w, (mask & 8u) != 0u);
    return fma(v.x, first, v.y * second);
}

fn times(f: Fours) -> vec4f {
    return vec4f(kept(f.masks.x, f.a, f.x), kept(f.masks.y, f.b, f.x), kept(f.masks.z, f.c, f.x), kept(f.masks.w, f.d, f.x));
}

// Whether two weights are kept of each group.
fn are_two(f: Fours) -> bool { return KEEP == 2u && all(countOneBits(f.masks & vec4u(15u)) == vec4u(2u)); }

fn times_two(f: Fours) -> vec4f {
    return vec4f(kept_two(f.masks.x, f.a, f.x), kept_two(f.masks.y, f.b, f.x), kept_two(f.masks.z, f.c, f.x),
        kept_two(f.masks.w, f.d, f.x));
}

// One weight behind the last whole group.
fn single(row: u32, col: u32) -> f32 {
    if (mask_word(row, col / 32u) >> (col & 31u) & 1u) == 0u { return 0.0; }
    return value_of(place_of(row, col)) * x_at(col);
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    // Rows past the end are the last one: they are read, and go nowhere.
    let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(sizes.rows - 1u));
    let groups = sizes.cols / 4u;
    var sums = vec4f();
    var group = local;
    for (; group + WORKGROUP < groups; group += 2u * WORKGROUP) {
        let f = fours_at(rows, group);
        let g = fours_at(rows, group + WORKGROUP);
        if are_two(f) && are_two(g) {
            sums += times_two(f) + times_two(g);
        } else {
            sums += times(f) + times(g);
        }
    }
    if group < groups { sums += times(fours_at(rows, group)); }
    for (var col = 4u * groups + local; col < sizes.cols; col += WORKGROUP) {
        sums += vec4f(single(rows.x, col), single(rows.y, col), single(rows.z, col), single(rows.w, col));
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
