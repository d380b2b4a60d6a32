// Weights and a mask become compressed sparse rows (see `csr_parts.wgsl`), in three kernels: `count` weights of each row, the
// sums of `scan.wgsl`, `fill`: one thread per word of the mask, which counts the bits of its row before it (from cache).
//
// Packing is done once, so it is simple rather than fast. Columns, and weights of 16 bits, may share a word: all of `index`
// and `values` is zero before.

override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>;  // [rows + 1], [kept] u16

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    var length = 0u;
    for (var w = 0u; w < view.groups_per_row; w++) { length += countOneBits(mask_word(row, w)); }
    atomicStore(&index[row], length);
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let group = linear(id, ids) * WORKGROUP + local;
    if group >= view.groups { return; }
    let row = group / view.groups_per_row;
    let word = group % view.groups_per_row;
    var n = atomicLoad(&index[row]);
    for (var w = 0u; w < word; w++) { n += countOneBits(mask_word(row, w)); }
    var bits = mask_word(row, word);
    while bits != 0u {
        let col = 32u * word + firstTrailingBit(bits);
        bits &= bits - 1u;
        let at = view.rows + 1u + (n >> 1u);
        if at < arrayLength(&index) { atomicOr(&index[at], col << (16u * (n & 1u))); }
        put(n, bits_at(start_in_row(row, 0u) + col));
        n += 1u;
    }
}
