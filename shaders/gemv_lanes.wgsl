// A dense matrix times one vector on an adapter whose threads are SIMD lanes, then bias and activation: eight rows per workgroup of one
// subgroup, x lent (see `lend.wgsl`). `gemv.wgsl` is for everything else.
//
// Bytes per weight: SIZE from memory, and 1/2 from cache for x. Each lane's read of weights is one by itself there, a read of x is
// not: so x costs little, and less for eight rows than for four. Sums are f32: one per thread and row.

override ALIGNED: bool = true;  // rows of weights start on 16 bytes

// 16 bytes of weights, times 8 numbers of x, or the first four.
fn times(at: u32, v: vec4f, w: vec4f) -> f32 {
    let quad = quads[at];
    if SIZE == 4u { return dot(bitcast<vec4f>(quad), v); }
    return dot(four(quad.xy), v) + dot(four(quad.zw), w);
}

fn finish(sums: vec4f, row: u32, local: u32, lane: Lane) {
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.above + row + i] = epilogue(total[i], sizes.above + row + i); }
    }
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 8u * workgroup;
    if row >= sizes.rows { return; }
    let a = vec4u(start_of(row), start_of(row + 1u), start_of(row + 2u), start_of(row + 3u));
    let b = vec4u(start_of(row + 4u), start_of(row + 5u), start_of(row + 6u), start_of(row + 7u));
    var above = vec4f();
    var below = vec4f();
    var done = 0u;
    if ALIGNED {
        let p = a / PER;
        let q = b / PER;
        let steps = sizes.cols / PER;
        for (var k = local; k < steps; k += WORKGROUP) {
            let v = x[k * PER / 4u];
            var w: vec4f;
            if SIZE == 2u { w = x[2u * k + 1u]; }
            above += vec4f(times(p.x + k, v, w), times(p.y + k, v, w), times(p.z + k, v, w), times(p.w + k, v, w));
            below += vec4f(times(q.x + k, v, w), times(q.y + k, v, w), times(q.z + k, v, w), times(q.w + k, v, w));
        }
        done = PER * steps;
    }
    for (var c = done + local; c < sizes.cols; c += WORKGROUP) {
        above += vec4f(weight(a.x + c), weight(a.y + c), weight(a.z + c), weight(a.w + c)) * x_at(c);
        below += vec4f(weight(b.x + c), weight(b.y + c), weight(b.z + c), weight(b.w + c)) * x_at(c);
    }
    finish(above, row, local, lane);
    finish(below, row + 4u, local, lane);
}
