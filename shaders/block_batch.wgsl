// A matrix of blocks times four vectors, then bias and activation, where `block_quads.wgsl` multiplies one: each weight is read and
// decoded once for the four.
//
// Bytes per weight of a kept block: SIZE, 2 for each block and workgroup, and x from cache, once for four or eight rows. Sums are f32:
// one per thread, vector and row. All of a kept block is multiplied, zeros included.

struct Eight { low: mat4x4f, high: mat4x4f } // four vectors of each of eight columns

fn four_or_zero(col: u32) -> vec4f {
    if WHOLE || col < sizes.cols { return x_four_at(col); }
    return vec4f();
}

fn four_columns(col: u32) -> mat4x4f {
    return mat4x4f(four_or_zero(col), four_or_zero(col + 1u), four_or_zero(col + 2u), four_or_zero(col + 3u));
}

fn x_from(col: u32) -> Eight {
    if ACROSS == 8u { return Eight(four_columns(col), four_columns(col + 4u)); }
    return Eight(four_columns(col), mat4x4f());
}

// A sum of each vector, and four weights of a row times theirs.
fn plus_four(sum: vec4f, w: vec4f, x: mat4x4f) -> vec4f {
    return fma(vec4f(w.w), x[3], fma(vec4f(w.z), x[2], fma(vec4f(w.y), x[1], fma(vec4f(w.x), x[0], sum))));
}

fn plus(sum: vec4f, quad: vec4u, x: Eight) -> vec4f {
    if SIZE == 4u { return plus_four(sum, bitcast<vec4f>(quad), x.low); }
    return plus_four(plus_four(sum, four(quad.xy), x.low), four(quad.zw), x.high);
}

// The sums of four rows, a column for each, and their weights, of which the first 16 bytes are number `at`.
fn band(sums: mat4x4f, at: u32, x: Eight) -> mat4x4f {
    if ACROSS < PER {
        let a = quads[at];
        let b = quads[at + 1u];
        return mat4x4f(plus_four(sums[0], four(a.xy), x.low), plus_four(sums[1], four(a.zw), x.low),
            plus_four(sums[2], four(b.xy), x.low), plus_four(sums[3], four(b.zw), x.low));
    }
    return mat4x4f(plus(sums[0], quads[at], x), plus(sums[1], quads[at + STEPS], x), plus(sums[2], quads[at + 2u * STEPS], x),
        plus(sums[3], quads[at + 3u * STEPS], x));
}

fn finish_row(sum: vec4f, row: u32, local: u32, lane: Lane) {
    before_sum();
    let total = sum_lanes(sum, local, lane);
    if row >= sizes.rows { return; }
    for (var v = local; v < 4u; v += WORKGROUP) {
        if sizes.first + v < sizes.columns { y[(sizes.first + v) * sizes.height + row] = epilogue(total[v], row); }
    }
}

fn finish(sums: mat4x4f, row: u32, local: u32, lane: Lane) {
    finish_row(sums[0], row, local, lane);
    finish_row(sums[1], row + 1u, local, lane);
    finish_row(sums[2], row + 2u, local, lane);
    finish_row(sums[3], row + 3u, local, lane);
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * BANDS * workgroup;
    if row >= sizes.rows { return; }
    let blocks = blocks_of(row);
    var above = mat4x4f();
    var below = mat4x4f();
    for (var i = local; i < blocks.steps; i += WORKGROUP) {
        let s = step_of(blocks, i);
        let x = x_from(s.col);
        above = band(above, s.at, x);
        if BANDS == 2u { below = band(below, s.at + BAND, x); }
    }
    finish(above, row, local, lane);
    if BANDS == 2u { finish(below, row + 4u, local, lane); }
}
