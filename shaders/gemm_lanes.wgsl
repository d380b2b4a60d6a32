// A dense matrix times several vectors on an adapter whose threads are SIMD lanes: 64 rows by 32 vectors, or 16 where there are
// no more, per workgroup of one subgroup of 8. No barrier, no workgroup memory: both cost there as much as memory itself.
//
// A thread takes 8 rows and sums for all vectors. It reads 4 columns of its rows, and of four of the vectors, which the
// subgroup then passes around: 12 reads for 1,024 multiply-adds (10 for 512), since each lane's read is one by itself there.
// Multiply-adds are fma(), which drivers do not make of a product and a sum. `gemm.wgsl` is for everything else, and for rows and
// vectors that do not start on 16 bytes.

override WIDE: bool = true; // 32 vectors

struct Sums { a: vec4f, b: vec4f, c: vec4f, d: vec4f }         // of one row and 16 vectors
struct Vectors { a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f } // 4 columns of 16 vectors: 4 by 4, one column after the other

fn mad(sum: vec4f, w: vec4f, m: mat4x4f) -> vec4f {
    return fma(vec4f(w.w), m[3], fma(vec4f(w.z), m[2], fma(vec4f(w.y), m[1], fma(vec4f(w.x), m[0], sum))));
}

fn add(sums: Sums, w: vec4f, x: Vectors) -> Sums {
    return Sums(mad(sums.a, w, x.a), mad(sums.b, w, x.b), mad(sums.c, w, x.c), mad(sums.d, w, x.d));
}

// What each lane has of two vectors.
fn pass_around(u: vec4f, v: vec4f) -> Vectors {
    return Vectors(
        transpose(mat4x4f(subgroupBroadcast(u, 0u), subgroupBroadcast(u, 1u), subgroupBroadcast(u, 2u), subgroupBroadcast(u, 3u))),
        transpose(mat4x4f(subgroupBroadcast(u, 4u), subgroupBroadcast(u, 5u), subgroupBroadcast(u, 6u), subgroupBroadcast(u, 7u))),
        transpose(mat4x4f(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u))),
        transpose(mat4x4f(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u))));
}

fn four_weights(start: u32, k: u32) -> vec4f {
    if SIZE == 4u { return bitcast<vec4f>(quads[start / 4u + k]); }
    let quad = quads[start / 8u + k / 2u];
    return four(select(quad.xy, quad.zw, (k & 1u) == 1u));
}

fn store_one(sum: f32, row: u32, column: u32) {
    if column >= sizes.columns { return; }
    y[column * sizes.height + sizes.above + row] = epilogue(sum, sizes.above + row);
}

fn store_four(v: vec4f, row: u32, column: u32) {
    store_one(v.x, row, column);
    store_one(v.y, row, column + 1u);
    store_one(v.z, row, column + 2u);
    store_one(v.w, row, column + 3u);
}

fn store(sums: Sums, row: u32, column: u32) {
    if row >= sizes.rows { return; }
    store_four(sums.a, row, column);
    store_four(sums.b, row, column + 4u);
    store_four(sums.c, row, column + 8u);
    store_four(sums.d, row, column + 12u);
}

// Where a vector starts, in 16 bytes. Vectors past the last are the last.
fn start_of_x(column: u32) -> u32 { return min(column, sizes.columns - 1u) * sizes.cols / 4u; }

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let wide = select(16u, 32u, WIDE);
    let across = (sizes.columns + wide - 1u) / wide;
    let tile = linear(id, ids);
    let row = 64u * (tile / across) + local;
    let column = wide * (tile % across);
    if row - local >= sizes.rows { return; }
    let w0 = start_of(row + 0u);
    let w1 = start_of(row + 8u);
    let w2 = start_of(row + 16u);
    let w3 = start_of(row + 24u);
    let w4 = start_of(row + 32u);
    let w5 = start_of(row + 40u);
    let w6 = start_of(row + 48u);
    let w7 = start_of(row + 56u);
    let x0 = start_of_x(column + 0u + local);
    let x1 = start_of_x(column + 8u + local);
    let x2 = start_of_x(column + 16u + local);
    let x3 = start_of_x(column + 24u + local);
    var s0 = Sums();
    var t0 = Sums();
    var s1 = Sums();
    var t1 = Sums();
    var s2 = Sums();
    var t2 = Sums();
    var s3 = Sums();
    var t3 = Sums();
    var s4 = Sums();
    var t4 = Sums();
    var s5 = Sums();
    var t5 = Sums();
    var s6 = Sums();
    var t6 = Sums();
    var s7 = Sums();
    var t7 = Sums();
    for (var k = 0u; k < sizes.cols / 4u; k++) {
        let x = pass_around(x_quads[x0 + k], x_quads[x1 + k]);
        let v0 = four_weights(w0, k);
        let v1 = four_weights(w1, k);
        let v2 = four_weights(w2, k);
        let v3 = four_weights(w3, k);
        let v4 = four_weights(w4, k);
        let v5 = four_weights(w5, k);
        let v6 = four_weights(w6, k);
        let v7 = four_weights(w7, k);
        s0 = add(s0, v0, x);
        s1 = add(s1, v1, x);
        s2 = add(s2, v2, x);
        s3 = add(s3, v3, x);
        s4 = add(s4, v4, x);
        s5 = add(s5, v5, x);
        s6 = add(s6, v6, x);
        s7 = add(s7, v7, x);
        if WIDE {
            let z = pass_around(x_quads[x2 + k], x_quads[x3 + k]);
            t0 = add(t0, v0, z);
            t1 = add(t1, v1, z);
            t2 = add(t2, v2, z);
            t3 = add(t3, v3, z);
            t4 = add(t4, v4, z);
            t5 = add(t5, v5, z);
            t6 = add(t6, v6, z);
            t7 = add(t7, v7, z);
        }
    }
    store(s0, row + 0u, column);
    store(s1, row + 8u, column);
    store(s2, row + 16u, column);
    store(s3, row + 24u, column);
    store(s4, row + 32u, column);
    store(s5, row + 40u, column);
    store(s6, row + 48u, column);
    store(s7, row + 56u, column);
    if !WIDE { return; }
    store(t0, row + 0u, column + 16u);
    store(t1, row + 8u, column + 16u);
    store(t2, row + 16u, column + 16u);
    store(t3, row + 24u, column + 16u);
    store(t4, row + 32u, column + 16u);
    store(t5, row + 40u, column + 16u);
    store(t6, row + 48u, column + 16u);
    store(t7, row + 56u, column + 16u);
}
