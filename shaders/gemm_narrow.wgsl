// A dense matrix times a few vectors, then bias and activation: four rows by 4, 8 or 16 vectors per workgroup, its threads side
// by side along the rows as in `gemv.wgsl`, so that weights are read and decoded once for all of these vectors.
//
// Bytes per weight: SIZE from memory, and VECTORS from cache for x. A thread has VECTORS / 4 by 16 sums, f32, in registers, and
// adds VECTORS multiply-adds per weight; then sums are added up over threads. Workgroups that are neighbours have the same rows,
// and find them in the cache, where there are more vectors. Rows and vectors that do not start on 16 bytes, and what is left of
// a row, go weight by weight.

override VECTORS: u32 = 16u;    // 4, 8 or 16

struct Sums { a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f } // of four vectors each, a column of four rows for each

// Where a vector starts. Those past the last are the last: they are read, and go nowhere.
fn start_of_x(vector: u32) -> u32 { return min(vector, sizes.columns - 1u) * sizes.cols; }

// Four columns `w` of four rows, times four numbers of a vector.
fn add_one(sum: vec4f, w: mat4x4f, v: vec4f) -> vec4f {
    return fma(w[3], vec4f(v.w), fma(w[2], vec4f(v.z), fma(w[1], vec4f(v.y), fma(w[0], vec4f(v.x), sum))));
}

fn add_four(sums: mat4x4f, w: mat4x4f, k: u32, vector: u32) -> mat4x4f {
    return mat4x4f(
        add_one(sums[0], w, x_quads[start_of_x(vector) / 4u + k]),
        add_one(sums[1], w, x_quads[start_of_x(vector + 1u) / 4u + k]),
        add_one(sums[2], w, x_quads[start_of_x(vector + 2u) / 4u + k]),
        add_one(sums[3], w, x_quads[start_of_x(vector + 3u) / 4u + k]));
}

// `k` in 16 bytes of x.
fn add(sums: Sums, w: mat4x4f, k: u32, vector: u32) -> Sums {
    var s = sums;
    s.a = add_four(s.a, w, k, vector);
    if VECTORS > 4u { s.b = add_four(s.b, w, k, vector + 4u); }
    if VECTORS > 8u {
        s.c = add_four(s.c, w, k, vector + 8u);
        s.d = add_four(s.d, w, k, vector + 12u);
    }
    return s;
}

// One column `w` of four rows, times four vectors.
fn add_column(sums: mat4x4f, w: vec4f, col: u32, vector: u32) -> mat4x4f {
    return mat4x4f(
        fma(w, vec4f(x[start_of_x(vector) + col]), sums[0]),
        fma(w, vec4f(x[start_of_x(vector + 1u) + col]), sums[1]),
        fma(w, vec4f(x[start_of_x(vector + 2u) + col]), sums[2]),
        fma(w, vec4f(x[start_of_x(vector + 3u) + col]), sums[3]));
}

fn finish_one(sum: vec4f, row: u32, vector: u32, local: u32, lane: Lane) {
    before_sum();
    let total = sum_lanes(sum, local, lane);
    if local < 4u && row + local < sizes.rows && vector < sizes.columns {
        let to = sizes.above + row + local;
        y[vector * sizes.height + to] = epilogue(total[local], to);
    }
}

fn finish(sums: mat4x4f, row: u32, vector: u32, local: u32, lane: Lane) {
    finish_one(sums[0], row, vector, local, lane);
    finish_one(sums[1], row, vector + 1u, local, lane);
    finish_one(sums[2], row, vector + 2u, local, lane);
    finish_one(sums[3], row, vector + 3u, local, lane);
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let across = (sizes.columns + VECTORS - 1u) / VECTORS;
    let row = 4u * (workgroup / across);
    let vector = VECTORS * (workgroup % across);
    if row >= sizes.rows { return; }
    let starts = vec4u(start_of(row), start_of(row + 1u), start_of(row + 2u), start_of(row + 3u));
    var s = Sums();
    var done = 0u;
    if ALIGNED {
        let steps = sizes.cols / PER;
        let at = starts / vec4u(PER);
        for (var k = local; k < steps; k += WORKGROUP) {
            let a = quads[at.x + k];
            let b = quads[at.y + k];
            let c = quads[at.z + k];
            let d = quads[at.w + k];
            if SIZE == 4u {
                s = add(s, transpose(mat4x4f(bitcast<vec4f>(a), bitcast<vec4f>(b), bitcast<vec4f>(c), bitcast<vec4f>(d))), k, vector);
            } else {
                s = add(s, transpose(mat4x4f(four(a.xy), four(b.xy), four(c.xy), four(d.xy))), 2u * k, vector);
                s = add(s, transpose(mat4x4f(four(a.zw), four(b.zw), four(c.zw), four(d.zw))), 2u * k + 1u, vector);
            }
        }
        done = steps * PER;
    }
    for (var col = done + local; col < sizes.cols; col += WORKGROUP) {
        let w = vec4f(weight(starts.x + col), weight(starts.y + col), weight(starts.z + col), weight(starts.w + col));
        s.a = add_column(s.a, w, col, vector);
        if VECTORS > 4u { s.b = add_column(s.b, w, col, vector + 4u); }
        if VECTORS > 8u {
            s.c = add_column(s.c, w, col, vector + 8u);
            s.d = add_column(s.d, w, col, vector + 12u);
        }
    }
    finish(s.a, row, vector, local, lane);
    if VECTORS > 4u { finish(s.b, row, vector + 4u, local, lane); }
    if VECTORS > 8u {
        finish(s.c, row, vector + 8u, local, lane);
        finish(s.d, row, vector + 12u, local, lane);
    }
}
