// The rows and columns of a matrix that are listed, in the order of the lists, one behind the other: bits of any element type.
//
// Writes each word of the result once: SIZE bytes per element, and reads as much of the matrix, besides lists that stay in
// caches. An index past the end stands for the last row or column, so that nothing outside is read.

override SIZE: u32 = 4u;        // bytes per element: 1, 2 or 4
override ROWS: bool = true;     // rows are listed; else all of them stay
override COLUMNS: bool = true;  // columns are listed
override WORKGROUP: u32 = 256u;

struct View {
    first: u32, // element of the binding where row 0 starts
    rows: u32,
    cols: u32,
    stride: u32, // elements from one row to the next
    groups_per_row: u32,
    groups: u32,
    span: u32, // words of the result per workgroup
    spare: u32,
}

struct Gather {
    rows: u32,  // of the result
    cols: u32,
    words: u32, // ceil(rows * cols * SIZE / 4)
    spare: u32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> elements: array<u32>;    // the matrix, 4 bytes at a time
@group(0) @binding(2) var<uniform> gather: Gather;
@group(0) @binding(3) var<storage, read> row_list: array<u32>;    // [gather.rows], where ROWS
@group(0) @binding(4) var<storage, read> column_list: array<u32>; // [gather.cols], where COLUMNS
@group(0) @binding(5) var<storage, read_write> result: array<u32>; // [words]; the rest of the last one is 0

fn element(row: u32, col: u32) -> u32 {
    var r = row;
    var c = col;
    if ROWS { r = row_list[row]; }
    if COLUMNS { c = column_list[col]; }
    let at = view.first + min(r, view.rows - 1u) * view.stride + min(c, view.cols - 1u);
    let per_word = 4u / SIZE;
    return (elements[at / per_word] >> (8u * SIZE * (at % per_word))) & (0xffffffffu >> (32u - 8u * SIZE));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = id.y * ids.x + id.x;
    let per_word = 4u / SIZE;
    let begin = min(workgroup * view.span, gather.words);
    let end = min(begin + view.span, gather.words);
    for (var w = begin + local; w < end; w += WORKGROUP) {
        var row = w * per_word / gather.cols;
        var col = w * per_word - row * gather.cols;
        var word = 0u;
        for (var j = 0u; j < per_word; j++) {
            if row < gather.rows {
                word |= element(row, col) << ((8u * SIZE * j) & 31u);
            }
            col++;
            if col == gather.cols {
                col = 0u;
                row++;
            }
        }
        result[w] = word;
    }
}
