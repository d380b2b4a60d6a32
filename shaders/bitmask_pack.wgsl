// Weights and a mask become tiled bitmask (see `bitmask_parts.wgsl`), in three kernels: `count`, the sums of `scan.wgsl`, `fill`.
//
// `count`: one thread per tile counts its bits and copies its words. `fill`: one thread per word of the mask, which counts
// the bits of the tile before it (from cache), then moves its weights. Two weights of 16 bits may meet in a word: such words
// are put together by atomicOr, and so must be zero before. Read: SIZE + 1/4 bytes per weight; written: 1/8, and SIZE per
// kept weight.

override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<u32>;          // [tiles + 1], [groups]

fn tiles_per_row() -> u32 { return (view.cols + 1023u) / 1024u; }

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let tile = linear(id, ids) * WORKGROUP + local;
    let tiles = view.rows * tiles_per_row();
    if tile >= tiles { return; }
    let row = tile / tiles_per_row();
    let begin = tile % tiles_per_row() * 32u;
    var sum = 0u;
    for (var w = begin; w < min(begin + 32u, view.groups_per_row); w++) {
        let word = mask_word(row, w);
        index[tiles + 1u + row * view.groups_per_row + w] = word;
        sum += countOneBits(word);
    }
    index[tile] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let group = linear(id, ids) * WORKGROUP + local;
    if group >= view.groups { return; }
    let row = group / view.groups_per_row;
    let word = group % view.groups_per_row;
    let tiles = view.rows * tiles_per_row();
    let masks = tiles + 1u + row * view.groups_per_row;
    var n = index[row * tiles_per_row() + word / 32u];
    for (var w = word & ~31u; w < word; w++) { n += countOneBits(index[masks + w]); }
    var bits = index[masks + word];
    let start = start_in_row(row, word);
    while bits != 0u {
        let element = start + firstTrailingBit(bits);
        bits &= bits - 1u;
        put(n, bits_at(element));
        n += 1u;
    }
}
