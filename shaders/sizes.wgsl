// A matrix, the vectors it multiplies, and where a dispatch is among them.

struct Sizes {
    first: u32,   // dense: element of the binding where row 0 starts; sparse: the first vector
    rows: u32,    // of this dispatch: a dense matrix larger than a binding is multiplied in several
    cols: u32,
    stride: u32,  // dense: elements from one row to the next; sparse: tiles or slots of a row
    above: u32,   // rows of the matrix above row 0
    height: u32,  // rows of the whole matrix: f32 from one column of y to the next
    columns: u32, // vectors
    units: u32,   // sparse: tiles or slices in all
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
