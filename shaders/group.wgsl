// N:M: of each group of OF consecutive weights in a row, from column 0 on, the KEEP largest stay; ties go lowest index
// first, and a shorter rest at the end of a row stays. Reads every weight once, writes 1/8 byte for each.
//
// One thread takes one word of the mask. Where groups do not straddle words, a weight's rank is found among 32 keys in
// registers; otherwise each weight looks at its own group.

override WORKGROUP: u32 = 256u;
override OF: u32 = 4u; // 1 to 32
override KEEP: u32 = 2u;

@group(0) @binding(3) var<storage, read_write> mask: array<u32>;             // [rows][groups_per_row]
@group(0) @binding(4) var<storage, read_write> nonzero: array<atomic<u32>>; // [64][2] weights that are not zero: before, after

var<private> keys: array<u32, 32>;

// The 32 weights of a group, or fewer, into `keys`.
fn spell(first: u32, count: u32) {
    let g = load(first, count);
    var quads = array<vec4u, 8>(g.a, g.b, g.c, g.d, g.e, g.f, g.g, g.h);
    for (var q = 0u; q < 2u * SIZE; q++) {
        for (var w = 0u; w < 4u; w++) {
            let word = quads[q][w];
            let at = (q * 4u + w) * (4u / SIZE);
            if SIZE == 4u {
                keys[at] = word;
            } else if SIZE == 2u {
                keys[at] = word & 0xffffu;
                keys[at + 1u] = word >> 16u;
            } else {
                keys[at] = word & 0xffu;
                keys[at + 1u] = (word >> 8u) & 0xffu;
                keys[at + 2u] = (word >> 16u) & 0xffu;
                keys[at + 3u] = word >> 24u;
            }
        }
    }
}

// Bits of the weights that stay, of a word whose groups end with it.
fn stay_within(count: u32) -> u32 {
    var bits = 0u;
    for (var start = 0u; start < 32u; start += OF) {
        for (var i = start; i < start + OF; i++) {
            var smaller = 0u;
            for (var j = start; j < i; j++) { smaller += select(0u, 1u, keys[j] <= keys[i]); }
            for (var j = i + 1u; j < start + OF; j++) { smaller += select(0u, 1u, keys[j] < keys[i]); }
            let stays = smaller >= OF - KEEP || start + OF > count;
            bits |= select(0u, 1u << i, stays);
        }
    }
    return bits;
}

// The same, group by group through memory.
fn stay_across(row: u32, word: u32, count: u32) -> u32 {
    var bits = 0u;
    let row_start = view.first + row * view.stride;
    for (var i = 0u; i < count; i++) {
        let column = 32u * word + i;
        let start = column / OF * OF;
        let key = key_at(row_start + column);
        var smaller = 0u;
        if start + OF <= view.cols {
            for (var j = start; j < start + OF; j++) {
                let other = key_at(row_start + j);
                smaller += select(0u, 1u, other < key || (other == key && j < column));
            }
        } else {
            smaller = OF;
        }
        bits |= select(0u, 1u << i, smaller >= OF - KEEP);
    }
    return bits;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    var before = 0u;
    var after = 0u;
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let row = i / view.groups_per_row;
        let word = i - row * view.groups_per_row;
        let count = count_in_row(word);
        let first = start_in_row(row, word);
        let real = 0xffffffffu >> (32u - count);
        var bits = 0u;
        if 32u % OF == 0u {
            spell(first, count);
            bits = stay_within(count) & real;
        } else {
            bits = stay_across(row, word, count);
        }
        let group = load(first, count);
        let full = in_order(at_least(group, 1u));
        before += countOneBits(full);
        after += countOneBits(full & bits);
        mask[i] = bits;
    }
    atomicAdd(&nonzero[2u * (workgroup % 64u)], before);
    atomicAdd(&nonzero[2u * (workgroup % 64u) + 1u], after);
}
