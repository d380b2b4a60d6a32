// Blocks of HEIGHT by WIDTH weights, of which only those are stored, whole, that keep any. Blocks at the edges are filled up
// with zeros, and so are places within a block whose weight is not kept.

override HEIGHT: u32 = 4u;
override WIDTH: u32 = 4u;

// The bits of one weight, zero if it is not kept.
fn find(row: u32, col: u32) -> u32 {
    let n = entry_of(row / HEIGHT, col / WIDTH);
    if n == NOWHERE { return 0u; }
    return bits_of((n * HEIGHT + row % HEIGHT) * WIDTH + col % WIDTH);
}
