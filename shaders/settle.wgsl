// Puts the ties right that `mask.wgsl` guessed: exactly the quota's worth go, lowest index first.
//
// `find` (one workgroup) scans the ties per tile for the tile in which the quota runs out, and carries quota, ties and
// a new guess over to the next chunk. `settle` then rewrites the tiles between guess and truth, re-reading only those
// that hold ties: about the square root of the number of ties, where ties are spread evenly. `split` does the tile of the
// boundary itself, and leaves all tiles zero for the next mask.

override WORKGROUP: u32 = 64u; // of `settle`: one thread per word of a tile
override THREADS: u32 = 256u;  // of `find`, at most 256

struct Boundary {
    begin: u32, // first tile to rewrite
    end: u32,   // one after the last
    tile: u32,  // where the quota runs out
    go: u32,    // ties that still go in that tile
    parts: array<u32, 256>, // for `settle_parts.wgsl`
}

@group(0) @binding(3) var<storage, read_write> cut: Cut;
@group(0) @binding(4) var<storage, read_write> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> tiles: array<u32>;
@group(0) @binding(6) var<storage, read_write> boundary: Boundary;

const WORDS: u32 = 64u; // of mask in a tile

var<workgroup> sums: array<u32, 256>;

fn set_boundary(begin: u32, end: u32, tile: u32, go: u32) {
    boundary.begin = begin;
    boundary.end = end;
    boundary.tile = tile;
    boundary.go = go;
}

fn minus(a: vec2u, b: u32) -> vec2u { return vec2u(a.x - b, a.y - u32(a.x < b)); }
fn real(a: vec2u) -> f32 { return f32(a.y) * 4294967296.0 + f32(a.x); }

@compute @workgroup_size(THREADS)
fn find(@builtin(local_invocation_index) local: u32) {
    let count = (view.groups + WORDS - 1u) / WORDS;
    let per = (count + THREADS - 1u) / THREADS;
    let begin = min(local * per, count);
    let end = min(begin + per, count);
    var mine = 0u;
    for (var t = begin; t < end; t++) { mine += tiles[t]; }
    sums[local] = mine;
    let quota = select(cut.go_left.x, 0xffffffffu, cut.go_left.y > 0u);
    let guess = min(cut.guess, count);
    workgroupBarrier();

    var before = 0u;
    var total = 0u;
    for (var t = 0u; t < THREADS; t++) {
        if t < local { before += sums[t]; }
        total += sums[t];
    }
    if quota >= total {
        // All ties of this chunk go: the boundary is its end.
        if local == 0u { set_boundary(guess, count, count, 0u); }
    } else if quota >= before && quota < before + mine {
        // Exactly one thread holds the tile in which the quota runs out.
        var left = quota - before;
        var tile = begin;
        while left >= tiles[tile] {
            left -= tiles[tile];
            tile += 1u;
        }
        set_boundary(min(guess, tile), max(guess, tile + 1u), tile, left);
    }
    storageBarrier();
    workgroupBarrier();
    if local == 0u { carry_over(quota, total); }
}

// What is left for the next chunk, after one of `total` ties.
fn carry_over(quota: u32, total: u32) {
    let weights = view.rows * view.cols;
    let go_left = minus(cut.go_left, min(quota, total));
    let ties_left = minus(cut.ties_left, total);
    let weights_left = minus(cut.weights_left, weights);
    cut.go_left = go_left;
    cut.ties_left = ties_left;
    cut.weights_left = weights_left;
    // Never beyond the next chunk's end by so much that a float's rounding or range matters: it is only a guess.
    let share = real(go_left) / max(real(ties_left), 1.0);
    cut.guess = u32(min(share * real(weights_left), 4294965248.0)) / (32u * WORDS);
}

var<workgroup> ties_in: array<u32, 64>;

@compute @workgroup_size(WORKGROUP)
fn settle(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let end = boundary.end;
    let last = boundary.tile;
    let key = cut.key;
    for (var tile = boundary.begin + linear(id, ids); tile < end; tile += ids.x * ids.y) {
        if tiles[tile] == 0u { continue; }
        for (var w = local; w < WORDS; w += WORKGROUP) {
            let i = tile * WORDS + w;
            if i < view.groups {
                let bits = tie_bits(i, key);
                // Tiles before the boundary lose their ties, tiles after it keep them, its own is done below.
                mask[i] = bits.x | select(0u, bits.y, tile > last);
            }
        }
    }
}

// (weights above the cut, weights at it), in their order.
fn tie_bits(i: u32, key: u32) -> vec2u {
    let count = count_of(i);
    let group = load(start_of(i), count);
    let above = in_order(at_least(group, key + 1u));
    let real = 0xffffffffu >> (32u - count);
    return vec2u(above, in_order(at_least(group, key)) & ~above & real);
}

// What stays of a word's ties, where `quota` go of those in `ties_in`.
fn without(ties: u32, quota: u32, local: u32) -> u32 {
    var go = quota;
    for (var w = 0u; w < local; w++) { go -= min(go, ties_in[w]); }
    var stay = ties;
    while go > 0u && stay != 0u {
        stay &= stay - 1u;
        go -= 1u;
    }
    return stay;
}

// The boundary's own tile, by one workgroup of WORDS threads: each takes a word.
@compute @workgroup_size(64)
fn split(@builtin(local_invocation_index) local: u32) {
    let i = boundary.tile * WORDS + local;
    var bits = vec2u(0u);
    if i < view.groups { bits = tie_bits(i, cut.key); }
    ties_in[local] = countOneBits(bits.y);
    workgroupBarrier();
    let stay = without(bits.y, boundary.go, local);
    if i < view.groups { mask[i] = bits.x | stay; }
    for (var t = local; t < (view.groups + WORDS - 1u) / WORDS; t += WORDS) { tiles[t] = 0u; }
}
