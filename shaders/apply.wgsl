// Writes +0.0 over every weight whose mask bit is 0, in place; kept weights keep their bits.
//
// 2 x SIZE bytes per weight and 1/8. One thread per 16 bytes of weights where rows are aligned and full, else one per
// word of memory, which may hold weights of two rows.

override SIZE: u32 = 4u; // bytes per weight: 1, 2 or 4
override FLAT: bool = true;
override WORKGROUP: u32 = 256u;

struct View {
    first: u32,
    rows: u32,
    cols: u32,
    stride: u32,
    groups_per_row: u32,
    groups: u32,
    span: u32, // groups (`whole`) or words (`ragged`) per workgroup
    spare: u32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> mask: array<u32>; // [rows][groups_per_row]
@group(0) @binding(2) var<storage, read_write> quads: array<vec4u>; // weights, 16 bytes at a time
@group(0) @binding(3) var<storage, read_write> words: array<u32>;   // weights, 4 bytes at a time

// All ones for the bytes of the weights whose bits are set; the lowest bit is the first weight of a word.
fn bytes_of(bits: u32) -> u32 {
    if SIZE == 4u { return 0u - (bits & 1u); }
    if SIZE == 2u { return ((bits & 1u) | ((bits & 2u) << 15u)) * 0xffffu; }
    return ((bits & 1u) | ((bits & 2u) << 7u) | ((bits & 4u) << 14u) | ((bits & 8u) << 21u)) * 0xffu;
}

// Rows start on 16 bytes and hold a multiple of 32 weights.
@compute @workgroup_size(WORKGROUP)
fn whole(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = id.y * ids.x + id.x;
    let per_word = 4u / SIZE;
    let quads_per_group = 2u * SIZE;
    let end = min((workgroup + 1u) * view.span, view.groups) * quads_per_group;
    for (var q = workgroup * view.span * quads_per_group + local; q < end; q += WORKGROUP) {
        let group = q / quads_per_group;
        let within = q % quads_per_group;
        var start = view.first + 32u * group;
        if !FLAT {
            let row = group / view.groups_per_row;
            start = view.first + row * view.stride + 32u * (group - row * view.groups_per_row);
        }
        let bits = mask[group] >> (within * 4u * per_word);
        let keep = vec4u(bytes_of(bits), bytes_of(bits >> per_word), bytes_of(bits >> (2u * per_word)), bytes_of(bits >> (3u * per_word)));
        quads[start * SIZE / 16u + within] &= keep;
    }
}

@compute @workgroup_size(WORKGROUP)
fn ragged(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = id.y * ids.x + id.x;
    let per_word = 4u / SIZE;
    let last = view.first + (view.rows - 1u) * view.stride + view.cols; // one after the last element
    let end = min((workgroup + 1u) * view.span, (last + per_word - 1u) / per_word - view.first / per_word);
    for (var w = workgroup * view.span + local; w < end; w += WORKGROUP) {
        let at = view.first / per_word + w;
        var bits = 0u;
        for (var j = 0u; j < per_word; j++) {
            let element = at * per_word + j;
            let inside = element - view.first;
            let row = inside / view.stride;
            let col = inside % view.stride;
            // Elements between rows, before the first and after the last are not the view's: they stay.
            var keep = 1u;
            if element >= view.first && row < view.rows && col < view.cols {
                keep = (mask[row * view.groups_per_row + col / 32u] >> (col % 32u)) & 1u;
            }
            bits |= keep << j;
        }
        words[at] &= bytes_of(bits);
    }
}
