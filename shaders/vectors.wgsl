// The vectors that a matrix multiplies, bound twice, by 16 and by 4 bytes.

override ALIGNED: bool = true; // rows of weights and vectors start on 16 bytes

@group(0) @binding(3) var<storage, read> x_quads: array<vec4f>; // [columns][cols / 4]
@group(0) @binding(4) var<storage, read> x: array<f32>;         // [columns][cols]: the same buffer
