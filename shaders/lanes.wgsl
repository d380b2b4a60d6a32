// The threads of a workgroup add up what each has, in workgroup memory. Put behind a kernel that defines `product`.

override WORKGROUP: u32 = 128u; // a power of two, at most 256

var<workgroup> parts: array<vec4f, 256>;

struct Lane { subgroup: u32, subgroups: u32, member: u32 }

// Between one sum and the next: others may still read it.
fn before_sum() { workgroupBarrier(); }

fn sum_lanes(sum: vec4f, local: u32, lane: Lane) -> vec4f {
    parts[local] = sum;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half { parts[local] += parts[local + half]; }
        workgroupBarrier();
    }
    return parts[0];
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    product(linear(id, ids), local, Lane(0u, 0u, 0u));
}
