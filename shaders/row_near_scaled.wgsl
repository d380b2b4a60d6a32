// Rows whose keys are scores, a workgroup for each; those with keys in doubt are noted, to be done once more, exactly.

@group(0) @binding(6) var<storage, read_write> doubts: array<u32>; // [rows] as in `row_scaled.wgsl`

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
    if done.doubt { atomicOr(&sum, 1u); }
    workgroupBarrier();
    if local == 0u { doubts[row] = atomicLoad(&sum); }
}
