// `histogram.wgsl` for GPUs: neighbouring threads read neighbouring quads, and a workgroup counts in its own memory.
//
// For counting, 32 weights may come from anywhere, so a thread takes quads that lie a workgroup apart. What is inside the window is
// found by two comparisons per weight, and put into bins one by one: a percent or two, by what placed the window. A window of
// at most 3 bins, which may hold most of the weights where there are few distinct ones, is counted by comparing.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read_write> window: Window;
// As for `histogram.wgsl`; from COARSE on, where it is not 0, sums of stretches of 1,024 bins, which windows of more than OWN have.
@group(0) @binding(4) var<storage, read_write> counts: array<atomic<u32>>;

override COARSE: u32 = 0u;

const OWN: u32 = 2048u; // bins that a workgroup counts in its own memory

var<workgroup> own: array<atomic<u32>, OWN>;
var<workgroup> heads: array<atomic<u32>, 2>; // reached, not zero
var<workgroup> here: Window;

// 32 weights, WORKGROUP quads between each and the next.
fn load_near(at: u32) -> Group {
    let k = vec4u(key_lanes());
    var group: Group;
    group.a = quads[at] & k;
    group.b = quads[at + WORKGROUP] & k;
    if SIZE > 1u {
        group.c = quads[at + 2u * WORKGROUP] & k;
        group.d = quads[at + 3u * WORKGROUP] & k;
    }
    if SIZE > 2u {
        group.e = quads[at + 4u * WORKGROUP] & k;
        group.f = quads[at + 5u * WORKGROUP] & k;
        group.g = quads[at + 6u * WORKGROUP] & k;
        group.h = quads[at + 7u * WORKGROUP] & k;
    }
    return group;
}

// Element `w` of a group that starts at `first`, `far` elements between its quads.
fn element_of(first: u32, w: u32, far: u32) -> u32 {
    let quad = w * SIZE / 16u;
    return first + quad * far + (w & (16u / SIZE - 1u));
}

fn bin_of(element: u32, now: Window) -> u32 { return (key_at(element) - now.low) >> now.shift; }

@compute @workgroup_size(WORKGROUP)
fn near(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    if local == 0u {
        here = window;
        atomicStore(&heads[0], 0u);
        atomicStore(&heads[1], 0u);
    }
    let now = workgroupUniformLoad(&here);
    if now.done != 0u { return; }
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    let base = 2u * HEADS + (workgroup % copies(now.bins)) * pitch(now.bins);
    // Zeros are in no bin.
    let low = max(now.low, 1u);
    let high = min(now.low + (now.bins << now.shift), key_limit());
    let few = now.shift == 0u && now.bins <= 3u;
    let mine = !few && now.bins <= OWN;
    for (var b = local; b < min(now.bins, OWN); b += WORKGROUP) { atomicStore(&own[b], 0u); }
    workgroupBarrier();

    var nonzero = 0u;
    var reached = 0u;
    var c = vec3u(0u); // by comparing
    for (var block = begin; block < end; block += WORKGROUP) {
        let i = block + local;
        var group: Group;
        var first: u32;
        var far = 16u / SIZE;
        // Blocks of whole groups, one behind the other.
        if ALIGNED && FLAT && block + WORKGROUP <= end && (!TAIL || block + WORKGROUP < view.groups) {
            let at = (view.first + 32u * block) * SIZE / 16u + local;
            group = load_near(at);
            first = at * 16u / SIZE;
            far *= WORKGROUP;
        } else if i < end {
            first = start_of(i);
            group = load(first, count_of(i));
        }
        nonzero += nonzero_in(group);
        let from_low = reach(group, low);
        reached += countOneBits(from_low);
        if few {
            c.x += countOneBits(reach(group, max(low, min(now.low + 1u, key_limit()))));
            if now.bins > 1u {
                c.y += countOneBits(reach(group, min(now.low + 2u, key_limit())));
                c.z += countOneBits(reach(group, min(now.low + 3u, key_limit())));
            }
            continue;
        }
        var left = from_low & ~reach(group, max(low, high));
        while left != 0u {
            let bit = firstTrailingBit(left);
            left &= left - 1u;
            let bin = bin_of(element_of(first, weight_of_bit(bit), far), now);
            if mine {
                atomicAdd(&own[bin], 1u);
            } else {
                atomicAdd(&counts[base + bin], 1u);
                if COARSE > 0u { atomicAdd(&own[bin / 1024u], 1u); }
            }
        }
    }
    atomicAdd(&heads[0], reached);
    atomicAdd(&heads[1], nonzero);
    if few {
        atomicAdd(&own[0], reached - c.x);
        if now.bins > 1u { atomicAdd(&own[1], c.x - c.y); }
        if now.bins > 2u { atomicAdd(&own[2], c.y - c.z); }
    }
    workgroupBarrier();
    if local < 2u { atomicAdd(&counts[2u * (workgroup % HEADS) + local], atomicLoad(&heads[local])); }
    var to = base;
    var used = now.bins;
    if !few && !mine {
        to = COARSE;
        used = select(0u, (now.bins + 1023u) / 1024u, COARSE > 0u);
    }
    for (var b = local; b < used; b += WORKGROUP) {
        let count = atomicLoad(&own[b]);
        if count != 0u { atomicAdd(&counts[to + b], count); }
    }
}
