// One vector, brought into workgroup memory first: on a GPU threads that look in different places there wait for each other far less
// than they do in a cache.

override STAGED: u32 = 1024u; // numbers that fit: more than a row has, by what a format reads past it

@group(0) @binding(3) var<storage, read> x: array<f32>; // [columns][cols]

var<workgroup> staged: array<f32, STAGED>;

// In uniform control flow, by all threads, before they look at x.
fn take_x(local: u32) {
    for (var col = local; col < sizes.cols; col += WORKGROUP) { staged[col] = x[sizes.first * sizes.cols + col]; }
    workgroupBarrier();
}

fn x_at(col: u32) -> f32 { return staged[col]; }
fn x_four_at(col: u32) -> vec4f { return vec4f(staged[col], 0.0, 0.0, 0.0); }
