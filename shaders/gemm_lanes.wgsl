// A dense matrix times several vectors on an adapter whose threads are SIMD lanes: 64 rows by 16 vectors per workgroup of
// one subgroup of 8. No barrier, no workgroup memory: both cost there as much as memory itself.
//
// A thread takes 8 rows and sums for all 16 vectors. It reads 4 columns of its rows, and of two of the vectors, which the
// subgroup then passes around: 10 reads for 512 multiply-adds. `gemm.wgsl` is for everything else, and for rows and
// vectors that do not start on 16 bytes.

struct Sums { a: vec4f, b: vec4f, c: vec4f, d: vec4f } // of one row and 16 vectors

fn add(sums: Sums, w: vec4f, a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f) -> Sums {
    return Sums(sums.a + w * a, sums.b + w * b, sums.c + w * c, sums.d + w * d);
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

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (sizes.columns + 15u) / 16u;
    let tile = linear(id, ids);
    let row = 64u * (tile / across) + local;
    let column = 16u * (tile % across);
    if row - local >= sizes.rows { return; }
    let w0 = start_of(row + 0u);
    let w1 = start_of(row + 8u);
    let w2 = start_of(row + 16u);
    let w3 = start_of(row + 24u);
    let w4 = start_of(row + 32u);
    let w5 = start_of(row + 40u);
    let w6 = start_of(row + 48u);
    let w7 = start_of(row + 56u);
    let x0 = min(column + local, sizes.columns - 1u) * sizes.cols / 4u;
    let x1 = min(column + 8u + local, sizes.columns - 1u) * sizes.cols / 4u;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();
    for (var k = 0u; k < sizes.cols / 4u; k++) {
        let u = x_quads[x0 + k];
        let v = x_quads[x1 + k];
        let a = mat4x4f(subgroupBroadcast(u, 0u), subgroupBroadcast(u, 1u), subgroupBroadcast(u, 2u), subgroupBroadcast(u, 3u));
        let b = mat4x4f(subgroupBroadcast(u, 4u), subgroupBroadcast(u, 5u), subgroupBroadcast(u, 6u), subgroupBroadcast(u, 7u));
        let c = mat4x4f(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u));
        let d = mat4x4f(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u));
        s0 = add(s0, four_weights(w0, k), a, b, c, d);
        s1 = add(s1, four_weights(w1, k), a, b, c, d);
        s2 = add(s2, four_weights(w2, k), a, b, c, d);
        s3 = add(s3, four_weights(w3, k), a, b, c, d);
        s4 = add(s4, four_weights(w4, k), a, b, c, d);
        s5 = add(s5, four_weights(w5, k), a, b, c, d);
        s6 = add(s6, four_weights(w6, k), a, b, c, d);
        s7 = add(s7, four_weights(w7, k), a, b, c, d);
    }
    store(s0, row + 0u, column);
    store(s1, row + 8u, column);
    store(s2, row + 16u, column);
    store(s3, row + 24u, column);
    store(s4, row + 32u, column);
    store(s5, row + 40u, column);
    store(s6, row + 48u, column);
    store(s7, row + 56u, column);
}
