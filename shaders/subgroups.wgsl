// The threads of a workgroup add up what each has, by subgroups. Put behind a kernel that defines `product`.
//
// Where the workgroup is one subgroup, there is no barrier: on a software adapter a barrier splits the kernel in two.

override WORKGROUP: u32 = 128u; // at most 256
override SINGLE: bool = false;  // the workgroup is one subgroup

var<workgroup> parts: array<vec4f, 256>; // one per subgroup

struct Lane { subgroup: u32, subgroups: u32, member: u32 }

// Between one sum and the next: others may still read it.
fn before_sum() {
    if !SINGLE { workgroupBarrier(); }
}

fn sum_lanes(sum: vec4f, local: u32, lane: Lane) -> vec4f {
    let own = subgroupAdd(sum);
    if SINGLE { return own; }
    parts[lane.subgroup] = own;
    workgroupBarrier();
    var all = parts[0];
    for (var s = 1u; s < lane.subgroups; s++) { all += parts[s]; }
    return all;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    product(linear(id, ids), local, Lane(subgroup, subgroups, member));
}
