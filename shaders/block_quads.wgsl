// A matrix of blocks times one vector, then bias and activation, where blocks are four rows high or a multiple, and a row of one is 16
// bytes or a multiple, or 8: four or eight rows per workgroup, neighbouring threads take neighbouring 16 bytes of each. `block.wgsl` is
// for other blocks.
//
// Bytes per weight of a kept block: SIZE, 2 for each block and workgroup, and x from cache, once for four or eight rows. Two steps of
// four rows are under way at a time. Sums are f32: one per thread and row. All of a kept block is multiplied, zeros included.

struct Eight { low: vec4f, high: vec4f }

fn x_or_zero(col: u32) -> f32 {
    if col < sizes.cols { return x_at(col); }
    return 0.0;
}

// Eight numbers of x, or the four that there are for 16 bytes; zeros past its end.
fn x_from(col: u32) -> Eight {
    var v: Eight;
    if WHOLE || col + ACROSS <= sizes.cols {
        v.low = vec4f(x_at(col), x_at(col + 1u), x_at(col + 2u), x_at(col + 3u));
        if ACROSS == 8u { v.high = vec4f(x_at(col + 4u), x_at(col + 5u), x_at(col + 6u), x_at(col + 7u)); }
        return v;
    }
    v.low = vec4f(x_or_zero(col), x_or_zero(col + 1u), x_or_zero(col + 2u), x_or_zero(col + 3u));
    if ACROSS == 8u {
        v.high = vec4f(x_or_zero(col + 4u), x_or_zero(col + 5u), x_or_zero(col + 6u), x_or_zero(col + 7u));
    }
    return v;
}

fn times(quad: vec4u, v: Eight) -> f32 {
    if SIZE == 4u { return dot(bitcast<vec4f>(quad), v.low); }
    return dot(four(quad.xy), v.low) + dot(four(quad.zw), v.high);
}

// Four rows of a block whose first 16 bytes are number `at`.
fn band(at: u32, v: Eight) -> vec4f {
    if ACROSS < PER {
        let a = quads[at];
        let b = quads[at + 1u];
        return vec4f(dot(four(a.xy), v.low), dot(four(a.zw), v.low), dot(four(b.xy), v.low), dot(four(b.zw), v.low));
    }
    return vec4f(
        times(quads[at], v), times(quads[at + STEPS], v), times(quads[at + 2u * STEPS], v), times(quads[at + 3u * STEPS], v));
}

// Step `i` of both bands, or of the one there is.
fn step(blocks: Blocks, i: u32) -> mat2x4f {
    let s = step_of(blocks, i);
    let v = x_from(s.col);
    if BANDS == 1u { return mat2x4f(band(s.at, v), vec4f()); }
    return mat2x4f(band(s.at, v), band(s.at + BAND, v));
}

fn finish(sums: vec4f, row: u32, local: u32, lane: Lane) {
    let total = sum_lanes(sums, local, lane);
    for (var r = local; r < 4u; r += WORKGROUP) {
        if row + r < sizes.rows { y[sizes.first * sizes.height + row + r] = epilogue(total[r], row + r); }
    }
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * BANDS * workgroup;
    if row >= sizes.rows { return; }
    let blocks = blocks_of(row);
    var i = local;
    if BANDS == 1u {
        var sums = vec4f();
        for (; i + WORKGROUP < blocks.steps; i += 2u * WORKGROUP) {
            sums += step(blocks, i)[0];
            sums += step(blocks, i + WORKGROUP)[0];
        }
        if i < blocks.steps { sums += step(blocks, i)[0]; }
        finish(sums, row, local, lane);
        return;
    }
    var sums = mat2x4f();
    for (; i < blocks.steps; i += WORKGROUP) { sums += step(blocks, i); }
    finish(sums[0], row, local, lane);
    before_sum();
    finish(sums[1], row + 4u, local, lane);
}
