// Vectors where the caller has them.

@group(0) @binding(3) var<storage, read> x: array<f32>; // [columns][cols]

fn take_x(local: u32) -> u32 { return 0u; }

// Whether all numbers are known to be finite: nobody has looked.
fn is_finite(local: u32, most: u32) -> bool { return false; }

fn x_at(col: u32) -> f32 { return x[sizes.first * sizes.cols + col]; }

// The same number of four vectors; those past the last are the last.
fn x_four_at(col: u32) -> vec4f {
    let v = min(vec4u(sizes.first) + vec4u(0u, 1u, 2u, 3u), vec4u(sizes.columns - 1u)) * sizes.cols + col;
    return vec4f(x[v.x], x[v.y], x[v.z], x[v.w]);
}
