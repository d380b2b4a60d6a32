// Rows whose keys are the weights' own, a workgroup for each.

@compute @workgroup_size(WORKGROUP)
fn near(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear(id, ids);
    if row >= view.rows { return; }
    let done = prune(row, local);
    workgroupBarrier();
    if local == 0u { atomicStore(&sum, 0u); }
    workgroupBarrier();
    atomicAdd(&sum, done.nonzero);
    workgroupBarrier();
    if local > 0u { return; }
    // Zeros go first.
    let all = atomicLoad(&sum);
    atomicAdd(&nonzero[2u * (row % 64u)], all);
    atomicAdd(&nonzero[2u * (row % 64u) + 1u], min(all, view.cols - rule.k));
}
