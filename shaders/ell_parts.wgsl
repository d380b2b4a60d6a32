// Sliced ELL: SLICE rows at a time, as many slots for each as the longest of them has weights, in steps of 8. Weights and
// columns of a step lie together, and the same 16 bytes of neighbouring rows side by side.

override SLICE: u32 = 32u; // rows per slice

@group(0) @binding(1) var<storage, read> index: array<u32>;  // [units + 1] quads before each slice, [rows] weights of each row
@group(0) @binding(2) var<storage, read> data: array<vec4u>; // [slice][step][columns, weights][row of the slice]

// Quads per step and row: one of 8 u16 columns, and one or two of weights.
fn quads_per_step() -> u32 { return 1u + SIZE / 2u; }

fn length_of(row: u32) -> u32 { return index[sizes.units + 1u + row]; }

fn slot_of(row: u32, step: u32) -> u32 { return index[row / SLICE] + step * SLICE * quads_per_step() + row % SLICE; }
