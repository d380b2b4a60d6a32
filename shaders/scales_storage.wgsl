// Scales where the caller has them.

override FOURS: bool = true; // there are so many that they may be read by fours

@group(0) @binding(7) var<storage, read> scales: array<u32>; // [cols] bits of f32, finite, not negative
@group(0) @binding(8) var<storage, read> scale_quads: array<vec4u>; // the same buffer, 16 bytes at a time

fn scale_at(col: u32) -> u32 { return scales[col]; }

// Scales 4 j to 4 j + 3, of which there is the first.
fn scale_quad(j: u32) -> vec4u {
    if FOURS { return scale_quads[j]; }
    let at = min(vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u), vec4u(view.cols - 1u));
    return vec4u(scales[at.x], scales[at.y], scales[at.z], scales[at.w]);
}
