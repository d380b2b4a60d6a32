// A matrix in compressed sparse rows times one vector, then bias and activation, for GPUs: four rows per workgroup, neighbouring
// threads take neighbouring pairs of weights, so that the columns of both are one read, and with 16 bits the weights. `csr.wgsl` is
// for SIMD lanes.
//
// Bytes per kept weight: SIZE + 2, 4 per row, and x from cache. Two pairs of each row are under way at a time. Sums are f32: one per
// thread and row.

// Pairs number `p` of four rows whose entries are those from `begin` up to before `end`; what a row does not have counts nothing.
struct Pairs { columns: vec4u, low: vec4f, high: vec4f, has_low: vec4<bool>, has_high: vec4<bool> }

fn weights_at(p: u32, end: u32) -> vec2f {
    if SIZE == 4u { return vec2f(bitcast<f32>(values[2u * p]), bitcast<f32>(values[min(2u * p + 1u, max(end, 1u) - 1u)])); }
    return pair(values[p]);
}

fn pairs_at(p: vec4u, begin: vec4u, end: vec4u) -> Pairs {
    // Pairs past a row's end are its last: they are read, and go nowhere.
    let at = min(p, (max(end, vec4u(1u)) - 1u) / 2u);
    let first = sizes.units + 1u;
    let columns = vec4u(index[first + at.x], index[first + at.y], index[first + at.z], index[first + at.w]);
    let a = weights_at(at.x, end.x);
    let b = weights_at(at.y, end.y);
    let c = weights_at(at.z, end.z);
    let d = weights_at(at.w, end.w);
    let n = 2u * p;
    return Pairs(columns, vec4f(a.x, b.x, c.x, d.x), vec4f(a.y, b.y, c.y, d.y), (n >= begin) & (n < end), n + 1u < end);
}

fn x_for(c: vec4u) -> vec4f { return vec4f(x_at(c.x), x_at(c.y), x_at(c.z), x_at(c.w)); }

fn times(p: Pairs) -> vec4f {
    let low = p.low * x_for(p.columns & vec4u(0xffffu));
    let high = p.high * x_for(p.columns >> vec4u(16u));
    return select(vec4f(), low, p.has_low) + select(vec4f(), high, p.has_high);
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    // Rows past the end are the last one: they are read, and go nowhere.
    let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(sizes.rows - 1u));
    let begin = vec4u(index[rows.x], index[rows.y], index[rows.z], index[rows.w]);
    let end = vec4u(index[rows.x + 1u], index[rows.y + 1u], index[rows.z + 1u], index[rows.w + 1u]);
    let first = begin / 2u;
    let pairs = (end + 1u) / 2u - first;
    let most = max(max(pairs.x, pairs.y), max(pairs.z, pairs.w));
    var sums = vec4f();
    for (var k = local; k < most; k += 2u * WORKGROUP) {
        let p = pairs_at(first + k, begin, end);
        let q = pairs_at(first + k + WORKGROUP, begin, end);
        sums += times(p) + times(q);
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
