// Weights and a mask become sliced ELL (see `ell_parts.wgsl`), in four kernels: `count` weights of
// each row, `measure` slices, the sums of `scan.wgsl`, `fill`: one thread per row and part of it, which counts the bits of its row
// before it (from cache).
//
// No thread goes around loops more than 65,535 times in all, after which software adapters end it. All of `data` is zero before.

override SLICE: u32 = 32u;
override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<u32>; // [slices + 1] quads, [rows] weights
@group(0) @binding(5) var<storage, read_write> data: array<u32>; // of 16 bytes: see there

fn slices() -> u32 { return (view.rows + SLICE - 1u) / SLICE; }
fn quads_per_step() -> u32 { return 1u + SIZE / 2u; }

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    var length = 0u;
    for (var w = 0u; w < view.groups_per_row; w++) { length += countOneBits(mask_word(row, w)); }
    index[slices() + 1u + row] = length;
}

@compute @workgroup_size(WORKGROUP)
fn measure(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let slice = linear(id, ids) * WORKGROUP + local;
    if slice >= slices() { return; }
    var longest = 0u;
    for (var row = slice * SLICE; row < min((slice + 1u) * SLICE, view.rows); row++) {
        longest = max(longest, index[slices() + 1u + row]);
    }
    index[slice] = (longest + 7u) / 8u * SLICE * quads_per_step();
}

fn put(at: u32, word: u32) {
    // What was counted fits; a mask that has changed since must not write elsewhere.
    if at < arrayLength(&data) { data[at] = word; }
}

// One thread per row and part of it. A part that starts amid two columns leaves the second of them to the thread before it, and
// one that ends so takes the next one too: they share a word.
@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let thread = linear(id, ids) * WORKGROUP + local;
    let parts = (view.groups_per_row + view.span - 1u) / view.span;
    let slice = thread / SLICE / parts;
    let row = slice * SLICE + thread % SLICE;
    if row >= view.rows { return; }
    let first = thread / SLICE % parts * view.span;
    let end = first + view.span;
    let start = start_in_row(row, 0u);
    var n = 0u;
    for (var w = 0u; w < first; w++) { n += countOneBits(mask_word(row, w)); }
    let begin = index[slice] + thread % SLICE; // quad of the row's first columns
    var left = (n & 1u) == 1u;
    var columns = 0u;
    var weights = 0u;
    var at = 0u; // word of the row's columns in this step
    for (var w = first; w < view.groups_per_row && (w < end || (n & 1u) == 1u); w++) {
        var bits = mask_word(row, w);
        if left && bits != 0u {
            bits &= bits - 1u;
            left = false;
            n += 1u;
        }
        while bits != 0u && (w < end || (n & 1u) == 1u) {
            let col = 32u * w + firstTrailingBit(bits);
            bits &= bits - 1u;
            let weight = bits_at(start + col);
            at = 4u * (begin + (n >> 3u) * SLICE * quads_per_step());
            let slot = n & 7u;
            if SIZE == 4u { put(at + 4u * SLICE * (1u + (slot >> 2u)) + (slot & 3u), weight); }
            if (n & 1u) == 0u {
                columns = col;
                weights = weight;
            } else {
                put(at + (slot >> 1u), columns | (col << 16u));
                if SIZE == 2u { put(at + 4u * SLICE + (slot >> 1u), weights | (weight << 16u)); }
            }
            n += 1u;
        }
    }
    // The row's last one has no other beside it.
    if (n & 1u) == 1u && !left {
        let slot = n & 7u;
        put(at + (slot >> 1u), columns);
        if SIZE == 2u { put(at + 4u * SLICE + (slot >> 1u), weights); }
    }
}
