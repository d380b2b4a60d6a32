// A matrix in tiled bitmask times one vector, then bias and activation, for GPUs: four rows per workgroup, 32 threads per tile,
// thread c of them for column c of every word of the mask. `bitmask.wgsl` is for SIMD lanes.
//
// So neighbours read neighbours: x at once, and the kept weights of a word one behind the other, each at its rank among the
// word's bits: threads that walk along words of their own (32 weights apart, in x 128 bytes) would touch as many cache lines as
// there are threads with each read. No thread waits for another, and none has more to do than its neighbours, however uneven the mask. Four words of
// each row are taken at a time, so that 16 reads of weights are under way together.
// Bytes per weight: 1/8, SIZE for each kept one, 4 for each tile, and x from cache, once for four rows. Sums are f32: one per
// thread and row. What is not kept is not multiplied.

// WORKGROUP is a multiple of 32.

// Words `w` to `w` + 3 of a row's mask; none of those from `end` on.
fn four_words(row: u32, w: u32, end: u32) -> vec4u {
    if w + 4u <= end {
        return vec4u(mask_word(row, w), mask_word(row, w + 1u), mask_word(row, w + 2u), mask_word(row, w + 3u));
    }
    let at = min(vec4u(w) + vec4u(0u, 1u, 2u, 3u), vec4u(end - 1u));
    let words = vec4u(mask_word(row, at.x), mask_word(row, at.y), mask_word(row, at.z), mask_word(row, at.w));
    return select(vec4u(0u), words, vec4u(w) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
}

fn kept(value: f32, x: f32, bit: u32) -> f32 { return select(0.0, value * x, bit == 1u); }

// Column `c` of four words, whose first kept weight is number `n`, times these numbers of x.
fn times(words: vec4u, n: u32, c: u32, x: vec4f) -> f32 {
    let counts = countOneBits(words);
    let before = vec4u(n) + vec4u(0u, counts.x, counts.x + counts.y, counts.x + counts.y + counts.z);
    let bits = (words >> vec4u(c)) & vec4u(1u);
    let rank = before + countOneBits(words & vec4u((1u << c) - 1u));
    let at = rank * bits; // what is not kept reads the first
    return kept(value_of(at.x), x.x, bits.x) + kept(value_of(at.y), x.y, bits.y)
        + kept(value_of(at.z), x.z, bits.z) + kept(value_of(at.w), x.w, bits.w);
}

fn total_of(words: vec4u) -> u32 {
    let counts = countOneBits(words);
    return counts.x + counts.y + counts.z + counts.w;
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    // Rows past the end are the last one: they are read, and go nowhere.
    let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(sizes.rows - 1u));
    let c = local % 32u;
    let last = vec4u(sizes.cols - 1u);
    var sums = vec4f();
    for (var tile = local / 32u; tile < sizes.stride; tile += WORKGROUP / 32u) {
        let first = rows * sizes.stride + tile;
        var n = vec4u(index[first.x], index[first.y], index[first.z], index[first.w]);
        let end = min(32u * tile + 32u, words_per_row());
        for (var w = 32u * tile; w < end; w += 4u) {
            let col = min(vec4u(32u * w + c) + vec4u(0u, 32u, 64u, 96u), last);
            let v = vec4f(x_at(col.x), x_at(col.y), x_at(col.z), x_at(col.w));
            let p = four_words(rows.x, w, end);
            let q = four_words(rows.y, w, end);
            let r = four_words(rows.z, w, end);
            let s = four_words(rows.w, w, end);
            sums += vec4f(times(p, n.x, c, v), times(q, n.y, c, v), times(r, n.z, c, v), times(s, n.w, c, v));
            n += vec4u(total_of(p), total_of(q), total_of(r), total_of(s));
        }
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
