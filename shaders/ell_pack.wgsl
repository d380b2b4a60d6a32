// Weights and a mask become sliced ELL (see `ell_parts.wgsl`), in four kernels: `count` weights of
// each row, `measure` slices, the sums of `scan.wgsl`, `fill`: one thread per row and step, which looks for its weights from
// the row's beginning.
//
// Packing is done once, so it is simple rather than fast. No thread goes around loops more than 65,535 times in all, after
// which software adapters end it.

override SLICE: u32 = 32u;
override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<u32>; // [slices + 1] quads, [rows] weights
@group(0) @binding(5) var<storage, read_write> data: array<vec4u>;

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

fn put(at: u32, e: array<u32, 12>) {
    // What was counted fits; a mask that has changed since must not write elsewhere.
    if at + SLICE * (quads_per_step() - 1u) >= arrayLength(&data) { return; }
    data[at] = vec4u(e[0], e[1], e[2], e[3]);
    data[at + SLICE] = vec4u(e[4], e[5], e[6], e[7]);
    if SIZE == 4u { data[at + 2u * SLICE] = vec4u(e[8], e[9], e[10], e[11]); }
}

// The slice in which a quad lies.
fn slice_of(quad: u32) -> u32 {
    var low = 0u;
    var high = slices();
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if index[middle] <= quad { low = middle; } else { high = middle; }
    }
    return low;
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let thread = linear(id, ids) * WORKGROUP + local;
    let first = thread / SLICE * SLICE * quads_per_step(); // quad where the step of all rows starts
    if first >= index[slices()] { return; }
    let slice = slice_of(first);
    let row = slice * SLICE + thread % SLICE;
    var e = array<u32, 12>();
    if row < view.rows {
        // Weights of the row before this step, then those of the words passed.
        var skip = (first - index[slice]) / (SLICE * quads_per_step()) * 8u;
        var n = 0u;
        for (var w = 0u; w < view.groups_per_row && n < 8u; w++) {
            var bits = mask_word(row, w);
            let here = countOneBits(bits);
            if here <= skip { skip -= here; continue; }
            while bits != 0u && n < 8u {
                let col = 32u * w + firstTrailingBit(bits);
                bits &= bits - 1u;
                if skip > 0u { skip -= 1u; continue; }
                let weight = bits_at(start_in_row(row, 0u) + col);
                e[n / 2u] |= col << (16u * (n & 1u));
                if SIZE == 4u { e[4u + n] = weight; } else { e[4u + n / 2u] |= weight << (16u * (n & 1u)); }
                n += 1u;
            }
        }
    }
    put(first + thread % SLICE, e);
}
