// Rows whose keys are scores, a thread for each.

@group(0) @binding(6) var<storage, read_write> doubts: array<u32>; // [rows] 1: to be done once more, exactly

@compute @workgroup_size(WORKGROUP)
fn apart(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    doubts[row] = select(0u, 1u, prune(row, local).doubt);
}
