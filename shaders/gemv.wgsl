// A dense matrix times one vector, then bias and activation: four rows per workgroup, its threads side by side along
// them, so that x is read once for four rows.
//
// Bytes per weight: SIZE from memory, and 1 from cache for x. Two steps are in flight, 16 bytes per row each. Sums are
// f32: four per thread and row with SIZE 4, then over threads. Rows that do not start on 16 bytes, and what is left of a
// row, go weight by weight.


// 16 bytes of each of four rows; `starts` are in 16 bytes.
fn step(starts: vec4u, k: u32) -> vec4f {
    let a = quads[starts.x + k];
    let b = quads[starts.y + k];
    let c = quads[starts.z + k];
    let d = quads[starts.w + k];
    if SIZE == 4u {
        let v = x_quads[k];
        return vec4f(
            dot(bitcast<vec4f>(a), v), dot(bitcast<vec4f>(b), v), dot(bitcast<vec4f>(c), v), dot(bitcast<vec4f>(d), v));
    }
    let v = x_quads[2u * k];
    let w = x_quads[2u * k + 1u];
    return vec4f(
        dot(four(a.xy), v) + dot(four(a.zw), w), dot(four(b.xy), v) + dot(four(b.zw), w),
        dot(four(c.xy), v) + dot(four(c.zw), w), dot(four(d.xy), v) + dot(four(d.zw), w));
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    let starts = vec4u(start_of(row), start_of(row + 1u), start_of(row + 2u), start_of(row + 3u));
    var sums = vec4f();
    var done = 0u;
    if ALIGNED {
        let steps = sizes.cols / PER;
        let at = starts / vec4u(PER);
        var k = local;
        for (; k + WORKGROUP < steps; k += 2u * WORKGROUP) {
            sums += step(at, k);
            sums += step(at, k + WORKGROUP);
        }
        if k < steps { sums += step(at, k); }
        done = steps * PER;
    }
    for (var c = done + local; c < sizes.cols; c += WORKGROUP) {
        let v = vec4f(weight(starts.x + c), weight(starts.y + c), weight(starts.z + c), weight(starts.w + c));
        sums += v * x[c];
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.above + row + i] = epilogue(total[i], sizes.above + row + i); }
    }
}
