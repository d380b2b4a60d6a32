// A dense matrix, bound twice, by 16 and by 4 bytes.

@group(0) @binding(1) var<storage, read> quads: array<vec4u>; // weights, 16 bytes at a time
@group(0) @binding(2) var<storage, read> words: array<u32>;   // the same buffer, 4 bytes at a time

fn weight(element: u32) -> f32 {
    if SIZE == 4u { return bitcast<f32>(words[element]); }
    let both = pair(words[element >> 1u]);
    return select(both.x, both.y, (element & 1u) == 1u);
}

// Element of the binding where a row starts. Rows past the end are the last one: they are read, and go nowhere.
fn start_of(row: u32) -> u32 { return sizes.first + min(row, sizes.rows - 1u) * sizes.stride; }
