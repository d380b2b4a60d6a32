// Weights and a mask become tiled bitmask (see `bitmask_parts.wgsl`), in three kernels: `count`, the sums of `scan.wgsl`, `fill`.
//
// `count`: one thread per tile counts its bits and copies its words. `fill`: one thread per part of a tile (see
// `packing_part.wgsl`), which counts the bits of the tile before it (from cache). Weights of 16 bits are put together by atomicOr,
// so all of `values` is zero before. Read: SIZE + 1/4 bytes per weight; written: 1/8, and SIZE per kept weight.

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

// Columns are where bits are.
fn put_columns(word: u32, pair: u32) {}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let part = linear(id, ids) * WORKGROUP + local;
    let row = part / parts_per_row();
    if row >= view.rows { return; }
    let first = part % parts_per_row() * view.span;
    let before = index[row * tiles_per_row() + first / 32u];
    move_part(row, first, before + kept_in(row, first & ~31u, first));
}
