// Writes the key of every weight as a u32: bits without the sign.
//
// The pipeline itself recomputes keys where it needs them, which is cheaper than writing them to memory; this kernel
// is for callers that rank weights themselves.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read_write> keys: array<u32>; // [rows][cols], without gaps

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let begin = linear(id, ids) * view.span * 32u;
    let end = min(begin + view.span * 32u, view.rows * view.cols);
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let row = i / view.cols;
        keys[i] = key_at(view.first + row * view.stride + (i - row * view.cols));
    }
}
