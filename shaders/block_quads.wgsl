// A matrix of blocks times one vector, then bias and activation, where blocks are four rows high or a multiple, and a row of one is 16
// bytes or a multiple, or 8: four rows per workgroup, neighbouring threads take neighbouring 16 bytes of each. `block.wgsl` is for
// other blocks.
//
// Bytes per weight of a kept block: SIZE, 2 for each block and four rows, and x from cache, once for four rows. Two steps are under
// way at a time. Sums are f32: one per thread and row. All of a kept block is multiplied, zeros included.

override PER: u32 = 16u / SIZE;                             // weights in 16 bytes
override ACROSS: u32 = select(PER / 2u, PER, WIDTH >= PER); // of them side by side: where a row is 8 bytes, the next is in the same 16
override STEPS: u32 = max(1u, WIDTH / ACROSS);              // of a row of a block
override WHOLE: bool = false;                               // no block reaches past the last column

@group(0) @binding(2) var<storage, read> quads: array<vec4u>; // [blocks][HEIGHT][WIDTH] SIZE bytes each

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

// Step `i` of four rows, of which the first is number `within` of its block.
fn step(first: u32, within: u32, i: u32) -> vec4f {
    let n = first + i / STEPS;
    let at = (n * HEIGHT + within) * WIDTH / PER + i % STEPS;
    if ACROSS < PER {
        let a = quads[at];
        let b = quads[at + 1u];
        let v = x_from(column_of(n) * WIDTH).low;
        return vec4f(dot(four(a.xy), v), dot(four(a.zw), v), dot(four(b.xy), v), dot(four(b.zw), v));
    }
    let a = quads[at];
    let b = quads[at + STEPS];
    let c = quads[at + 2u * STEPS];
    let d = quads[at + 3u * STEPS];
    let v = x_from(column_of(n) * WIDTH + i % STEPS * PER);
    return vec4f(times(a, v), times(b, v), times(c, v), times(d, v));
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    let first = index[row / HEIGHT];
    let steps = (index[row / HEIGHT + 1u] - first) * STEPS;
    let within = row % HEIGHT;
    var sums = vec4f();
    var i = local;
    for (; i + WORKGROUP < steps; i += 2u * WORKGROUP) {
        sums += step(first, within, i);
        sums += step(first, within, i + WORKGROUP);
    }
    if i < steps { sums += step(first, within, i); }
    let total = sum_lanes(sums, local, lane);
    for (var r = local; r < 4u; r += WORKGROUP) {
        if row + r < sizes.rows { y[sizes.first * sizes.height + row + r] = epilogue(total[r], row + r); }
    }
}
