// A sparse matrix becomes weights with +0.0 where nothing is kept, rows without gaps. Put behind what finds one weight.
//
// One thread per word of memory, so that threads share none; each of its one or two weights is looked up. Simple rather
// than fast.

override WORKGROUP: u32 = 64u;

@group(0) @binding(6) var<storage, read_write> weights: array<u32>; // [rows][cols], SIZE bytes each

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let word = linear(id, ids) * WORKGROUP + local;
    let all = sizes.rows * sizes.cols;
    if SIZE == 4u {
        if word < all { weights[word] = find(word / sizes.cols, word % sizes.cols); }
        return;
    }
    let first = 2u * word;
    if first >= all { return; }
    var bits = find(first / sizes.cols, first % sizes.cols);
    let second = first + 1u;
    if second < all { bits |= find(second / sizes.cols, second % sizes.cols) << 16u; }
    weights[word] = bits;
}
