// A matrix in tiled bitmask times one vector, then bias and activation, for GPUs: four rows per workgroup, 32 threads per tile,
// thread c of them for column c of every word of the mask. `bitmask.wgsl` is for SIMD lanes.
//
// So neighbours read neighbours: x at once, and the kept weights of a word one behind the other, each at its rank among the
// word's bits: threads that walk along words of their own (32 weights apart, in x 128 bytes) would touch as many cache lines as
// there are threads with each read. No thread waits for another, and none has more to do than its neighbours, however uneven the mask. Four words of
// each row are taken at a time, so that 16 reads of weights are under way together, and the next 16 words.
// Bytes per weight: 1/8, SIZE for each kept one, 4 for each tile, and x from cache, once for four rows. Sums are f32: one per
// thread and row. What is not kept is not multiplied.

// WORKGROUP is a multiple of 32.

// Four words of each of four rows.
struct Words { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

// Words `w` to `w` + 3 of rows whose first words are number `first` of the index.
fn words_at(first: vec4u, w: u32) -> Words {
    let at = first + w;
    return Words(
        vec4u(index[at.x], index[at.x + 1u], index[at.x + 2u], index[at.x + 3u]),
        vec4u(index[at.y], index[at.y + 1u], index[at.y + 2u], index[at.y + 3u]),
        vec4u(index[at.z], index[at.z + 1u], index[at.z + 2u], index[at.z + 3u]),
        vec4u(index[at.w], index[at.w + 1u], index[at.w + 2u], index[at.w + 3u]));
}

// The first `left` of them, and nothing kept in the others.
fn cut(words: Words, left: u32) -> Words {
    let there = vec4u(0u, 1u, 2u, 3u) < vec4u(left);
    return Words(select(vec4u(), words.a, there), select(vec4u(), words.b, there), select(vec4u(), words.c, there),
        select(vec4u(), words.d, there));
}

// The product of four columns, bit `bit` of four words whose first kept weight is number `n`, with these numbers of x. What is not kept
// reads the next that is, as a neighbour does.
fn times(words: vec4u, n: u32, bit: u32, x: vec4f) -> f32 {
    let counts = countOneBits(words);
    let two = n + counts.x + counts.y;
    let rank = vec4u(n, n + counts.x, two, two + counts.z) + countOneBits(words & vec4u(bit - 1u));
    let weights = vec4f(value_of(rank.x), value_of(rank.y), value_of(rank.z), value_of(rank.w));
    let products = select(vec4f(), weights * x, (words & vec4u(bit)) != vec4u());
    return products.x + products.y + products.z + products.w;
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
    let masks = sizes.units + 1u + rows * words_per_row();
    let c = local % 32u;
    let bit = 1u << c;
    let last = vec4u(sizes.cols - 1u);
    var sums = vec4f();
    for (var tile = local / 32u; tile < sizes.stride; tile += WORKGROUP / 32u) {
        let first = rows * sizes.stride + tile;
        var n = vec4u(index[first.x], index[first.y], index[first.z], index[first.w]);
        let end = min(32u * tile + 32u, words_per_row());
        var next = words_at(masks, 32u * tile);
        for (var w = 32u * tile; w < end; w += 4u) {
            let col = min(vec4u(32u * w + c) + vec4u(0u, 32u, 64u, 96u), last);
            let x = vec4f(x_at(col.x), x_at(col.y), x_at(col.z), x_at(col.w));
            var words = next;
            // Past the end they are read, and go nowhere.
            next = words_at(masks, w + 4u);
            if w + 4u > end { words = cut(words, end - w); }
            sums += vec4f(times(words.a, n.x, bit, x), times(words.b, n.y, bit, x), times(words.c, n.z, bit, x),
                times(words.d, n.w, bit, x));
            n += vec4u(total_of(words.a), total_of(words.b), total_of(words.c), total_of(words.d));
        }
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
