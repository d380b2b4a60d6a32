// One vector, brought into workgroup memory first: on a GPU threads that look in different places there wait for each other far less
// than they do in a cache.

override STAGED: u32 = 1024u; // numbers that fit: 8 more than a row has, or further, since formats read past it

@group(0) @binding(3) var<storage, read> x: array<f32>; // [columns][cols]

var<workgroup> staged: array<f32, STAGED>;

fn x_there(col: u32) -> f32 { return x[sizes.first * sizes.cols + min(col, sizes.cols - 1u)]; }

// In uniform control flow, by all threads, before they look at x. Eight numbers are under way at a time: drivers leave such loops as
// they are, and would wait for each. Past the end of x is its last number. The largest magnitude of those that this thread brought, as bits.
fn take_x(local: u32) -> u32 {
    var most = vec4u();
    for (var col = local; col < sizes.cols + 8u; col += 8u * WORKGROUP) {
        let at = vec4u(col) + vec4u(0u, 1u, 2u, 3u) * WORKGROUP;
        let next = at + 4u * WORKGROUP;
        let a = vec4f(x_there(at.x), x_there(at.y), x_there(at.z), x_there(at.w));
        let b = vec4f(x_there(next.x), x_there(next.y), x_there(next.z), x_there(next.w));
        most = max(most, max(bitcast<vec4u>(a) & vec4u(0x7fffffffu), bitcast<vec4u>(b) & vec4u(0x7fffffffu)));
        if next.w < STAGED {
            staged[at.x] = a.x; staged[at.y] = a.y; staged[at.z] = a.z; staged[at.w] = a.w;
            staged[next.x] = b.x; staged[next.y] = b.y; staged[next.z] = b.z; staged[next.w] = b.w;
        } else {
            if at.x < STAGED { staged[at.x] = a.x; }
            if at.y < STAGED { staged[at.y] = a.y; }
            if at.z < STAGED { staged[at.z] = a.z; }
            if at.w < STAGED { staged[at.w] = a.w; }
            if next.x < STAGED { staged[next.x] = b.x; }
            if next.y < STAGED { staged[next.y] = b.y; }
            if next.z < STAGED { staged[next.z] = b.z; }
        }
    }
    workgroupBarrier();
    return max(max(most.x, most.y), max(most.z, most.w));
}

var<workgroup> beyond: atomic<u32>;

// Whether all numbers are finite, by the largest magnitude of each thread. In uniform control flow, by all threads.
fn is_finite(local: u32, most: u32) -> bool {
    if local == 0u { atomicStore(&beyond, 0u); }
    workgroupBarrier();
    if most >= 0x7f800000u { atomicStore(&beyond, 1u); }
    workgroupBarrier();
    return atomicLoad(&beyond) == 0u;
}

fn x_at(col: u32) -> f32 { return staged[col]; }
fn x_four_at(col: u32) -> vec4f { return vec4f(staged[col], 0.0, 0.0, 0.0); }
