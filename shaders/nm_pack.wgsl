// Weights and a mask become N:M (see `nm_parts.wgsl`): `fill`, one thread per word of the mask, which copies the word and moves
// its weights. A group that keeps more than KEEP is counted in the first word, and its last ones go nowhere.
//
// Packing is done once, so it is simple rather than fast. All of `index` and `values` is zero before.

override KEEP: u32 = 2u;
override OF: u32 = 4u;
override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>;  // [1], [groups]

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let number = linear(id, ids) * WORKGROUP + local;
    if number >= view.groups { return; }
    let row = number / view.groups_per_row;
    let word = number % view.groups_per_row;
    let before = mask_word(row, max(word, 1u) - 1u);
    let bits = mask_word(row, word);
    atomicStore(&index[1u + number], bits);
    let whole = view.cols / OF * OF;
    let first = row * (view.cols / OF * KEEP + view.cols % OF);
    for (var b = 0u; b < count_in_row(word); b++) {
        if (bits >> b & 1u) == 0u { continue; }
        let col = 32u * word + b;
        let begin = col / OF * OF;
        // Of the group: those in this word before the bit, and those in the word before.
        var n = countOneBits(bits & ((1u << b) - 1u) & (0xffffffffu << (max(begin, 32u * word) & 31u)));
        if begin < 32u * word { n += countOneBits(before & (0xffffffffu << (begin & 31u))); }
        if n >= KEEP && col < whole {
            // Once for each group.
            if n == KEEP { atomicAdd(&index[0], 1u); }
            continue;
        }
        put(first + col / OF * KEEP + n, bits_at(start_in_row(row, 0u) + col));
    }
}
