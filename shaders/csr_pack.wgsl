// Weights and a mask become compressed sparse rows (see `csr_parts.wgsl`), in three kernels: `count` weights of each row, the
// sums of `scan.wgsl`, `fill`: one thread per word of the mask, which counts the bits of its row before it (from cache).
//
// Packing is done once, so it is simple rather than fast. Columns, and weights of 16 bits, may share a word: all of `index`
// and `values` is zero before.

override WORKGROUP: u32 = 64u;

@group(0) @binding(3) var<storage, read> mask: array<u32>;                 // [groups]
@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>;  // [rows + 1], [kept] u16
@group(0) @binding(5) var<storage, read_write> values: array<atomic<u32>>; // [kept]

// Bits past the end of a row mean nothing.
fn mask_word(row: u32, word: u32) -> u32 {
    let bits = mask[row * view.groups_per_row + word];
    if TAIL { return bits & (0xffffffffu >> (32u - count_in_row(word))); }
    return bits;
}

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    var length = 0u;
    for (var w = 0u; w < view.groups_per_row; w++) { length += countOneBits(mask_word(row, w)); }
    atomicStore(&index[row], length);
}

// Bits of one weight.
fn bits_at(element: u32) -> u32 {
    if SIZE == 4u { return words[element]; }
    return (words[element >> 1u] >> (16u * (element & 1u))) & 0xffffu;
}

// Weights of 16 bits may share a word, and so must be zero before. What does not fit goes nowhere.
fn put(n: u32, weight: u32) {
    if n / (4u / SIZE) >= arrayLength(&values) { return; }
    if SIZE == 4u { atomicStore(&values[n], weight); } else { atomicOr(&values[n >> 1u], weight << (16u * (n & 1u))); }
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
