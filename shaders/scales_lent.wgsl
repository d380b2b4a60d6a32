// Scales as `lend.wgsl` leaves vectors.

@group(0) @binding(7) var<uniform> lent: array<vec4u, 4096>; // bits of f32

fn scale_at(col: u32) -> u32 { return lent[col >> 2u][col & 3u]; }

// Scales 4 j to 4 j + 3, of which there is the first.
fn scale_quad(j: u32) -> vec4u { return lent[j]; }
