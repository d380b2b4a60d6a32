// A dense matrix and the vectors it multiplies. Weights and vectors are bound twice, by 16 and by 4 bytes.

override ALIGNED: bool = true; // rows and vectors start on 16 bytes

struct Dense {
    first: u32,   // element of the binding where row 0 starts
    rows: u32,    // of this dispatch: a matrix larger than a binding is multiplied in several
    cols: u32,
    stride: u32,  // elements from one row to the next
    above: u32,   // rows of the matrix above row 0
    height: u32,  // rows of the whole matrix: f32 from one column of y to the next
    columns: u32, // vectors
    spare: u32,
}

@group(0) @binding(0) var<uniform> dense: Dense;
@group(0) @binding(1) var<storage, read> quads: array<vec4u>;   // weights, 16 bytes at a time
@group(0) @binding(2) var<storage, read> words: array<u32>;     // the same buffer, 4 bytes at a time
@group(0) @binding(3) var<storage, read> x_quads: array<vec4f>; // [columns][cols / 4]
@group(0) @binding(4) var<storage, read> x: array<f32>;         // [columns][cols]: the same buffer

fn weight(element: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(words[element]); }
    let both = pair(words[element >> 1u]);
    return select(both.x, both.y, (element & 1u) == 1u);
}

// Element of the binding where a row starts. Rows past the end are the last one: they are read, and go nowhere.
fn start_of(row: u32) -> u32 { return dense.first + min(row, dense.rows - 1u) * dense.stride; }
