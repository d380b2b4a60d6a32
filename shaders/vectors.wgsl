// The vectors that a matrix multiplies, bound twice, by 16 and by 4 bytes.

override ALIGNED: bool = true; // rows of weights and vectors start on 16 bytes

@group(0) @binding(3) var<storage, read> x_quads: array<vec4f>; // [columns][cols / 4]
@group(0) @binding(4) var<storage, read> x: array<f32>;         // [columns][cols]: the same buffer

// Four numbers of a vector from column `col` on; zeros past its end. Vectors past the last are the last: they are read, and go
// nowhere.
fn four_of_x(column: u32, col: u32) -> vec4f {
    let at = min(column, sizes.columns - 1u) * sizes.cols + col;
    if ALIGNED && col + 4u <= sizes.cols { return x_quads[at / 4u]; }
    var v = vec4f();
    if col < sizes.cols { v.x = x[at]; }
    if col + 1u < sizes.cols { v.y = x[at + 1u]; }
    if col + 2u < sizes.cols { v.z = x[at + 2u]; }
    if col + 3u < sizes.cols { v.w = x[at + 3u]; }
    return v;
}
