// Weights and a mask become MACKO (see `macko_parts.wgsl`), in three kernels: `count` steps of each row, the sums of `scan.wgsl`,
// `fill`: one thread per part of a row, which counts what its row has before it (from cache). All of `index` and `values` is zero
// before.

override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>; // [rows + 1], [steps]

// How far a row has come: its next place, and the column behind the last one that has one.
struct Place { n: u32, next: u32 }

// Past a word of a row's mask. Weights that stand for none are counted, too: those before the word's first bit, and one where 16 bits
// between two others are not set, which happens at most once in a word.
fn past(at: Place, word: u32, bits: u32) -> Place {
    if bits == 0u { return at; }
    let skipped = 32u * word + firstTrailingBit(bits) - at.next;
    // The first of 16 zeros in a row, if there are.
    let two = ~bits & (~bits >> 1u);
    let four = two & (two >> 2u);
    let eight = four & (four >> 4u);
    // Above the first bit and below the last one.
    let last = firstLeadingBit(bits);
    let run = eight & (eight >> 8u) & ~((1u << firstTrailingBit(bits)) - 1u) & ((1u << last) - 1u);
    return Place(at.n + countOneBits(bits) + skipped / 16u + select(0u, 1u, run != 0u), 32u * word + last + 1u);
}

fn place_before(row: u32, end: u32) -> Place {
    var at = Place(0u, 0u);
    for (var w = 0u; w < end; w++) { at = past(at, w, mask_word(row, w)); }
    return at;
}

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    atomicStore(&index[row], (place_before(row, view.groups_per_row).n + 7u) / 8u);
}

// Adds a gap; other threads may have others of its word.
fn put_gaps(n: u32, gaps: u32) {
    let at = view.rows + 1u + n / 8u;
    if at < arrayLength(&index) { atomicOr(&index[at], gaps); }
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let part = linear(id, ids) * WORKGROUP + local;
    let parts = (view.groups_per_row + view.span - 1u) / view.span;
    let row = part / parts;
    if row >= view.rows { return; }
    let first = part % parts * view.span;
    let start = start_in_row(row, 0u);
    let before = place_before(row, first);
    var n = 8u * atomicLoad(&index[row]) + before.n;
    var next = before.next;
    for (var w = first; w < min(first + view.span, view.groups_per_row); w++) {
        for (var bits = mask_word(row, w); bits != 0u; bits &= bits - 1u) {
            let col = 32u * w + firstTrailingBit(bits);
            // Weights that stand for none are there already, but for their gaps.
            for (; col - next > 15u; next += 16u) {
                put_gaps(n, 15u << (4u * (n & 7u)));
                n += 1u;
            }
            put_gaps(n, (col - next) << (4u * (n & 7u)));
            put(n, bits_at(start + col));
            n += 1u;
            next = col + 1u;
        }
    }
}
