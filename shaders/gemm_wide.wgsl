// A matrix times many vectors, then bias and activation: 128 rows by 128 vectors per workgroup, 8 by 8 per thread. Put behind
// what `gemm.wgsl` is put behind.
//
// Each step brings 16 columns of both into workgroup memory (16 KiB, which every device has), turned around: of one column,
// four rows or vectors are one vec4f. Half of the threads load weights, half x; what comes next is on its way while they multiply.
// 4 reads of 16 bytes for 64 multiply-adds. Bytes per multiply-add: SIZE / 128 + 4 / 128 from memory. Sums are f32.
//
// Places in `tile` are constants, or the same in all turns, so that checks of bounds cost nothing. 32 neighbours read 4 and 8
// vec4f of a column, and 8 of them store to 8 that are neighbours: they meet in no bank.

override WHOLE: bool = false; // rows of weights and vectors are whole steps, and start on 16 bytes

var<workgroup> tile: array<array<vec4f, 32>, 32>; // [16 columns of weights, then 16 of x][128 rows or vectors / 4]

struct Sums { a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f } // four vectors each, a column of four rows for each

fn outer(sums: mat4x4f, w: vec4f, v: vec4f) -> mat4x4f {
    return mat4x4f(fma(w, vec4f(v.x), sums[0]), fma(w, vec4f(v.y), sums[1]), fma(w, vec4f(v.z), sums[2]), fma(w, vec4f(v.w), sums[3]));
}

// Column `k` of the step, times 8 rows and 8 vectors.
fn add(sums: Sums, k: u32, i: u32, j: u32) -> Sums {
    let w = tile[k][i];
    let v = tile[k + 16u][j];
    let w_far = tile[k][i + 16u];
    let v_far = tile[k + 16u][j + 16u];
    return Sums(outer(sums.a, w, v), outer(sums.b, w, v_far), outer(sums.c, w_far, v), outer(sums.d, w_far, v_far));
}

// Four columns of four rows or vectors: as they are in memory where WHOLE, so that nothing waits for them until they are stored; else
// as f32.
struct Fetched { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

fn fetch(weights: bool, starts: vec4u, first: u32, col: u32) -> Fetched {
    if WHOLE {
        let at = starts + vec4u(col);
        if weights {
            let quad = at / vec4u(PER);
            return Fetched(quads[quad.x], quads[quad.y], quads[quad.z], quads[quad.w]);
        }
        let quad = at / vec4u(4u);
        return Fetched(bitcast<vec4u>(x_quads[quad.x]), bitcast<vec4u>(x_quads[quad.y]), bitcast<vec4u>(x_quads[quad.z]),
            bitcast<vec4u>(x_quads[quad.w]));
    }
    if weights {
        return Fetched(bitcast<vec4u>(four_weights(first, col)), bitcast<vec4u>(four_weights(first + 1u, col)),
            bitcast<vec4u>(four_weights(first + 2u, col)), bitcast<vec4u>(four_weights(first + 3u, col)));
    }
    return Fetched(bitcast<vec4u>(four_of_x(first, col)), bitcast<vec4u>(four_of_x(first + 1u, col)),
        bitcast<vec4u>(four_of_x(first + 2u, col)), bitcast<vec4u>(four_of_x(first + 3u, col)));
}

// Which half of 16 bytes four weights of 16 bits are.
fn half_of(quad: vec4u, upper: bool) -> vec4f { return four(select(quad.xy, quad.zw, upper)); }

// Turned around, as f32.
fn turned(f: Fetched, weights: bool, upper: bool) -> mat4x4f {
    if WHOLE && SIZE == 2u && weights {
        return transpose(mat4x4f(half_of(f.a, upper), half_of(f.b, upper), half_of(f.c, upper), half_of(f.d, upper)));
    }
    return transpose(mat4x4f(bitcast<vec4f>(f.a), bitcast<vec4f>(f.b), bitcast<vec4f>(f.c), bitcast<vec4f>(f.d)));
}

fn store_one(sum: f32, row: u32, vector: u32) {
    if row >= sizes.rows { return; }
    let to = sizes.above + row;
    y[vector * sizes.height + to] = epilogue(sum, to);
}

fn store_four(sums: vec4f, row: u32, vector: u32) {
    if vector >= sizes.columns { return; }
    store_one(sums.x, row, vector);
    store_one(sums.y, row + 1u, vector);
    store_one(sums.z, row + 2u, vector);
    store_one(sums.w, row + 3u, vector);
}

fn store(sums: mat4x4f, row: u32, vector: u32) {
    store_four(sums[0], row, vector);
    store_four(sums[1], row, vector + 1u);
    store_four(sums[2], row, vector + 2u);
    store_four(sums[3], row, vector + 3u);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (sizes.columns + 127u) / 128u;
    let number = linear(id, ids);
    let row = 128u * (number / across);
    let vector = 128u * (number % across);
    if row >= sizes.rows { return; }
    // What it brings: columns 4 * turn.. of four rows or vectors.
    let weights = local < 128u;
    let quad = 8u * (local % 128u / 32u) + local % 8u;
    let turn = local / 8u % 4u;
    let start = 4u * quad + select(vector, row, weights);
    let to = 4u * turn + select(16u, 0u, weights);
    // What it multiplies: rows 4 * i.. and 64 + 4 * i.., vectors likewise.
    let i = 4u * (local / 64u) + local / 8u % 4u;
    let j = 8u * (local / 32u % 2u) + local % 8u;
    let four = vec4u(start) + vec4u(0u, 1u, 2u, 3u);
    let starts = select(
        min(four, vec4u(sizes.columns - 1u)) * sizes.cols,
        vec4u(sizes.first) + min(four, vec4u(sizes.rows - 1u)) * sizes.stride, weights);
    var s = Sums();
    var next = fetch(weights, starts, start, 4u * turn);
    for (var col = 0u; col < sizes.cols; col += 16u) {
        let now = turned(next, weights, turn % 2u == 1u);
        tile[to][quad] = now[0];
        tile[to + 1u][quad] = now[1];
        tile[to + 2u][quad] = now[2];
        tile[to + 3u][quad] = now[3];
        workgroupBarrier();
        // Past the end it is zeros, or the last step once more, and goes nowhere.
        let following = select(col + 16u, min(col + 16u, sizes.cols - 16u), WHOLE);
        next = fetch(weights, starts, start, following + 4u * turn);
        s = add(add(add(add(s, 0u, i, j), 1u, i, j), 2u, i, j), 3u, i, j);
        s = add(add(add(add(s, 4u, i, j), 5u, i, j), 6u, i, j), 7u, i, j);
        s = add(add(add(add(s, 8u, i, j), 9u, i, j), 10u, i, j), 11u, i, j);
        s = add(add(add(add(s, 12u, i, j), 13u, i, j), 14u, i, j), 15u, i, j);
        workgroupBarrier();
    }
    store(s.a, row + 4u * i, vector + 4u * j);
    store(s.b, row + 4u * i, vector + 4u * j + 64u);
    store(s.c, row + 4u * i + 64u, vector + 4u * j);
    store(s.d, row + 4u * i + 64u, vector + 4u * j + 64u);
}
