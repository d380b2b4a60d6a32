// Rows whose keys are the weights' own, a thread for each.

@compute @workgroup_size(WORKGROUP)
fn apart(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    let full = prune(row, local).full;
    // Zeros go first.
    atomicAdd(&nonzero[2u * (row % 64u)], full);
    atomicAdd(&nonzero[2u * (row % 64u) + 1u], min(full, view.cols - rule.k));
}
