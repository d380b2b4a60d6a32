// Rows whose keys are scores, a workgroup for each: all of them, or, exactly, those whose keys are in doubt.

@group(0) @binding(6) var<storage, read_write> doubts: array<u32>; // [rows] 1: to be done once more, exactly

@compute @workgroup_size(WORKGROUP)
fn scaled_rows(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear(id, ids);
    if row >= view.rows { return; }
    if EXACT {
        if local == 0u { interval.below = doubts[row]; }
        if workgroupUniformLoad(&interval).below == 0u { return; }
        prune(row, local);
        return;
    }
    let done = prune(row, local);
    workgroupBarrier();
    ties[local] = select(0u, 1u, done.doubt);
    workgroupBarrier();
    if local > 0u { return; }
    var doubt = 0u;
    for (var t = 0u; t < WORKGROUP; t++) { doubt |= ties[t]; }
    doubts[row] = doubt;
}
