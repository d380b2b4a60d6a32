// One vector, brought into workgroup memory first: on a GPU threads that look in different places there wait for each other far less
// than they do in a cache.

override STAGED: u32 = 1024u; // numbers that fit: more than a row has, by what a format reads past it

@group(0) @binding(3) var<storage, read> x: array<f32>; // [columns][cols]

var<workgroup> staged: array<f32, STAGED>;

fn x_there(col: u32) -> f32 { return x[sizes.first * sizes.cols + min(col, sizes.cols - 1u)]; }

// In uniform control flow, by all threads, before they look at x. Eight numbers are under way at a time: drivers leave such loops as
// they are, and would wait for each.
fn take_x(local: u32) {
    for (var col = local; col < sizes.cols; col += 8u * WORKGROUP) {
        let at = vec4u(col) + vec4u(0u, 1u, 2u, 3u) * WORKGROUP;
        let next = at + 4u * WORKGROUP;
        let a = vec4f(x_there(at.x), x_there(at.y), x_there(at.z), x_there(at.w));
        let b = vec4f(x_there(next.x), x_there(next.y), x_there(next.z), x_there(next.w));
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
}

fn x_at(col: u32) -> f32 { return staged[col]; }
fn x_four_at(col: u32) -> vec4f { return vec4f(staged[col], 0.0, 0.0, 0.0); }
