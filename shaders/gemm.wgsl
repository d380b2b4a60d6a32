// A matrix times several vectors, then bias and activation: 64 rows by 64 vectors per workgroup, 4 by 4 per thread. Put
// behind what says how weights are stored: `four_weights(row, col)`, which each thread asks for one row, from left to right.
//
// Each step brings 16 columns of both into workgroup memory (10 KiB), every fourth of a row as one vec4f, and a thread
// multiplies 4 + 4 of them: 8 reads for 64 multiply-adds. A row there is 5 vec4f long, so that the 8 threads that read at
// once meet in no bank. Bytes per multiply-add: SIZE / 64 + 4 / 64 from memory. Sums are f32.

const PITCH: u32 = 5u;

var<workgroup> w_tile: array<vec4f, 320>; // [64 rows][PITCH]
var<workgroup> x_tile: array<vec4f, 320>; // [64 vectors][PITCH]

fn store(sums: vec4f, row: u32, column: u32) {
    if row >= sizes.rows { return; }
    let to = sizes.above + row;
    for (var j = 0u; j < 4u; j++) {
        let at = column + 16u * j;
        if at < sizes.columns { y[at * sizes.height + to] = epilogue(sums[j], to); }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (sizes.columns + 63u) / 64u;
    let tile = linear(id, ids);
    let row = 64u * (tile / across);
    let column = 64u * (tile % across);
    if row >= sizes.rows { return; }
    let i = local / 16u;
    let j = local % 16u;
    var a = vec4f();
    var b = vec4f();
    var c = vec4f();
    var d = vec4f();
    for (var col = 0u; col < sizes.cols; col += 16u) {
        w_tile[local / 4u * PITCH + local % 4u] = four_weights(row + local / 4u, col + 4u * (local % 4u));
        x_tile[local / 4u * PITCH + local % 4u] = four_of_x(column + local / 4u, col + 4u * (local % 4u));
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
            let m = mat4x4f(x_tile[j * PITCH + k], x_tile[(j + 16u) * PITCH + k],
                x_tile[(j + 32u) * PITCH + k], x_tile[(j + 48u) * PITCH + k]);
            a += w_tile[i * PITCH + k] * m;
            b += w_tile[(i + 16u) * PITCH + k] * m;
            c += w_tile[(i + 32u) * PITCH + k] * m;
            d += w_tile[(i + 48u) * PITCH + k] * m;
        }
        workgroupBarrier();
    }
    store(a, row + i, column + j);
    store(b, row + i + 16u, column + j);
    store(c, row + i + 32u, column + j);
    store(d, row + i + 48u, column + j);
}
