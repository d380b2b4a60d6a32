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

// The same up to before word `end`, and nothing kept from there on.
fn last_words(first: vec4u, w: u32, end: u32) -> Words {
    let number = vec4u(w) + vec4u(0u, 1u, 2u, 3u);
    let at = min(number, vec4u(end - 1u));
    let there = number < vec4u(end);
    return Words(
        select(vec4u(), vec4u(index[first.x + at.x], index[first.x + at.y], index[first.x + at.z], index[first.x + at.w]), there),
        select(vec4u(), vec4u(index[first.y + at.x], index[first.y + at.y], index[first.y + at.z], index[first.y + at.w]), there),
        select(vec4u(), vec4u(index[first.z + at.x], index[first.z + at.y], index[first.z + at.z], index[first.z + at.w]), there),
        select(vec4u(), vec4u(index[first.w + at.x], index[first.w + at.y], index[first.w + at.z], index[first.w + at.w]), there));
}

// The product of four columns, bit `bit` of four words whose first kept weight is number `n`, with these numbers of x.
fn times(words: vec4u, n: u32, bit: u32, x: vec4f) -> f32 {
    let counts = countOneBits(words);
    let two = n + counts.x + counts.y;
    let rank = vec4u(n, n + counts.x, two, two + counts.z) + countOneBits(words & vec4u(bit - 1u));
    let kept = (words & vec4u(bit)) != vec4u();
    let at = select(vec4u(), rank, kept); // what is not kept reads the first
    let products = select(vec4f(), vec4f(value_of(at.x), value_of(at.y), value_of(at.z), value_of(at.w)) * x, kept);
    return products.x + products.y + products.z + products.w;
}

// Column `c` of words `w` to `w` + 3 of four rows.
fn all_times(words: Words, n: vec4u, w: u32, c: u32) -> vec4f {
    let col = min(vec4u(32u * w + c) + vec4u(0u, 32u, 64u, 96u), vec4u(sizes.cols - 1u));
    let x = vec4f(x_at(col.x), x_at(col.y), x_at(col.z), x_at(col.w));
    let bit = 1u << c;
    return vec4f(times(words.a, n.x, bit, x), times(words.b, n.y, bit, x), times(words.c, n.z, bit, x), times(words.d, n.w, bit, x));
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
    var sums = vec4f();
    for (var tile = local / 32u; tile < sizes.stride; tile += WORKGROUP / 32u) {
        let first = rows * sizes.stride + tile;
        var n = vec4u(index[first.x], index[first.y], index[first.z], index[first.w]);
        let end = min(32u * tile + 32u, words_per_row());
        var w = 32u * tile;
        if w + 4u <= end {
            var next = words_at(masks, w);
            for (; w + 4u <= end; w += 4u) {
                let words = next;
                next = words_at(masks, min(w + 4u, end - 4u));
                sums += all_times(words, n, w, c);
                n += vec4u(total_of(words.a), total_of(words.b), total_of(words.c), total_of(words.d));
            }
        }
        if w < end { sums += all_times(last_words(masks, w, end), n, w, c); }
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
