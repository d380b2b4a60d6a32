// Part of kernels for GPUs, behind `weights.wgsl`: 32 weights for each thread where these take 128 bytes. Threads that each read
// their own would read from as many lines of the cache as there are threads, eight times over; so a workgroup reads what is one
// behind the other, and its threads take their weights from workgroup memory.

// WORKGROUP is at most 64.
const APART: u32 = 9u; // quads from one thread's to the next's, so that they do not wait for the same bank

var<workgroup> staged: array<vec4u, 576>;

// Whether a workgroup's groups from `block` on, of those up to `end`, are whole and one behind the other.
fn is_whole(block: u32, end: u32) -> bool {
    return ALIGNED && FLAT && SIZE == 4u && block + WORKGROUP <= end && (!TAIL || block + WORKGROUP < view.groups);
}

fn stage(quad: vec4u, n: u32) { staged[n / 8u * APART + n % 8u] = quad & vec4u(key_lanes()); }

// Group `block + local`; by all threads of a workgroup together.
fn load_staged(block: u32, local: u32) -> Group {
    let at = (view.first + 32u * block) / 4u + local;
    let a = quads[at];
    let b = quads[at + WORKGROUP];
    let c = quads[at + 2u * WORKGROUP];
    let d = quads[at + 3u * WORKGROUP];
    let e = quads[at + 4u * WORKGROUP];
    let f = quads[at + 5u * WORKGROUP];
    let g = quads[at + 6u * WORKGROUP];
    let h = quads[at + 7u * WORKGROUP];
    stage(a, local);
    stage(b, local + WORKGROUP);
    stage(c, local + 2u * WORKGROUP);
    stage(d, local + 3u * WORKGROUP);
    stage(e, local + 4u * WORKGROUP);
    stage(f, local + 5u * WORKGROUP);
    stage(g, local + 6u * WORKGROUP);
    stage(h, local + 7u * WORKGROUP);
    workgroupBarrier();
    let own = local * APART;
    let group = Group(staged[own], staged[own + 1u], staged[own + 2u], staged[own + 3u], staged[own + 4u], staged[own + 5u],
        staged[own + 6u], staged[own + 7u]);
    workgroupBarrier();
    return group;
}

