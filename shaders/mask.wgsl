// One bit per weight, 1 = kept: `key > cut`, or `key == cut` from the boundary on. Pruned ties are those of lowest index.
//
// Reads every weight once and writes 1/8 byte for each. Where the boundary lies among the ties is not known yet, and
// looking for it first would cost another read. So ties are kept from a guessed tile on (a tile is 64 words of the
// mask), ties are counted per tile, and `settle.wgsl` then puts right the few tiles between the guess and the truth.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read_write> cut: Cut;
@group(0) @binding(4) var<storage, read_write> mask: array<u32>;          // [groups] bit i = weight i of the group
@group(0) @binding(5) var<storage, read_write> tiles: array<atomic<u32>>; // [ceil(groups / 64)] ties, zero before

// Word `i`, of a group of `count` weights.
fn mask_word(i: u32, group: Group, count: u32, key: u32, guess: u32) {
    var above = at_least(group, key + 1u);
    var from_cut = at_least(group, key);
    if TAIL {
        // Padding reads as zero, and must not look like a tie.
        above = in_order(above);
        from_cut = in_order(from_cut) & (0xffffffffu >> (32u - count));
    }
    let ties = from_cut ^ above;
    if ties != 0u { atomicAdd(&tiles[i / 64u], countOneBits(ties)); }
    let kept = select(above, from_cut, i >= guess);
    mask[i] = select(in_order(kept), kept, TAIL);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let begin = min(linear(id, ids) * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    let key = cut.key;
    let guess = cut.guess * 64u;
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let count = count_of(i);
        mask_word(i, load(start_of(i), count), count, key, guess);
    }
}
