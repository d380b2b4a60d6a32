// Vectors as `lend.wgsl` leaves them.

@group(0) @binding(3) var<uniform> x: array<vec4f, 4096>; // [cols / 4], or [cols] of four vectors

fn take_x(local: u32) -> u32 { return 0u; }

// Whether all numbers are known to be finite: nobody has looked.
fn is_finite(local: u32, most: u32) -> bool { return false; }

fn x_at(col: u32) -> f32 { return x[col >> 2u][col & 3u]; }
fn x_four_at(col: u32) -> vec4f { return x[col]; }
