// Scores units: the norm of each block of `rows` by `cols` weights, as the bits of an f32. A row is a block too.
//
// Every sum has one order, whatever the adapter and its tuning: within a row of a block, weights go to one of four sums by
// where they lie in 16 bytes, in memory order. `narrow` gives a thread a block, row after row. `wide` gives 64 threads a
// block: thread t takes its 32-weight groups t, t + 64, … row after row, and the threads' sums are added by halves.
// L2 is the sum of squares, whose order is the same. Nothing subnormal is added, since adapters may flush it; what is not
// finite is seen in the bits. Reads every weight once, writes 4 bytes per block.

override LANES: u32 = 64u;
override NORM: u32 = 0u; // L1, L2, Linf, Mean

struct Pool {
    rows: u32, // of a block
    cols: u32,
    across: u32, // blocks in a row of them
    blocks: u32,
    // 1 over the weights of a block: in the middle, at the right edge, at the bottom, in the corner
    shares: vec4f,
}

@group(0) @binding(3) var<uniform> rule: Pool;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>; // [ceil(rows / rule.rows)][across]

struct Sum { parts: vec4f, largest: vec4u }

var<workgroup> sums: array<f32, 64>;
var<workgroup> largest: array<u32, 64>;

fn four_values(keys: vec4u) -> vec4u { return vec4u(value(keys.x), value(keys.y), value(keys.z), value(keys.w)); }

// One weight for each part.
fn add(sum: Sum, keys: vec4u) -> Sum {
    let bits = four_values(keys);
    let largest = max(sum.largest, bits);
    if NORM == 2u { return Sum(sum.parts, largest); }
    let finite = select(vec4u(0u), bits, (bits >= vec4u(NORMAL)) & (bits < vec4u(INFINITY)));
    var terms = bitcast<vec4f>(finite);
    if NORM == 1u {
        // Through integers: a compiler must not fuse the product with the sum. `spare` is 0, which it cannot know.
        let squares = bitcast<vec4u>(terms * terms) ^ vec4u(view.spare);
        terms = bitcast<vec4f>(select(vec4u(0u), squares, squares >= vec4u(NORMAL)));
    }
    return Sum(sum.parts + terms, largest);
}

fn add_quad(sum: Sum, quad: vec4u) -> Sum {
    if SIZE == 4u { return add(sum, quad); }
    if SIZE == 2u { return add(add(sum, quad & vec4u(0xffffu)), quad >> vec4u(16u)); }
    let low = add(add(sum, quad & vec4u(0xffu)), (quad >> vec4u(8u)) & vec4u(0xffu));
    return add(add(low, (quad >> vec4u(16u)) & vec4u(0xffu)), quad >> vec4u(24u));
}

// Up to 32 weights from an element on.
fn add_group(sum: Sum, first: u32, count: u32) -> Sum {
    var next = sum;
    let whole = first * SIZE;
    for (var q = 0u; q * 16u < count * SIZE; q++) {
        var quad = unaligned_quad(whole + 16u * q) & vec4u(key_lanes());
        let w = 4u * q;
        quad &= vec4u(valid(w, count), valid(w + 1u, count), valid(w + 2u, count), valid(w + 3u, count));
        next = add_quad(next, quad);
    }
    return next;
}

struct Block { row: u32, rows: u32, col: u32, cols: u32, share: f32 }

fn block_of(unit: u32) -> Block {
    let down = unit / rule.across;
    let across = unit - down * rule.across;
    let row = down * rule.rows;
    let col = across * rule.cols;
    let rows = min(rule.rows, view.rows - row);
    let cols = min(rule.cols, view.cols - col);
    let right = cols < rule.cols;
    let bottom = rows < rule.rows;
    let share = select(select(rule.shares.x, rule.shares.y, right), select(rule.shares.z, rule.shares.w, right), bottom);
    return Block(row, rows, col, cols, share);
}

fn folded(sum: Sum) -> f32 { return (sum.parts.x + sum.parts.y) + (sum.parts.z + sum.parts.w); }

fn largest_of(sum: Sum) -> u32 { return max(max(sum.largest.x, sum.largest.y), max(sum.largest.z, sum.largest.w)); }

fn score(sum: f32, largest: u32, share: f32) -> u32 {
    if largest > INFINITY { return NAN; }
    if largest == INFINITY || NORM == 2u { return largest; }
    if NORM != 3u { return bitcast<u32>(sum); }
    let mean = bitcast<u32>(sum * share);
    return select(0u, mean, mean >= NORMAL);
}

@compute @workgroup_size(LANES)
fn narrow(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let unit = linear(id, ids) * LANES + local;
    if unit >= rule.blocks { return; }
    let block = block_of(unit);
    var sum = Sum(vec4f(0.0), vec4u(0u));
    for (var r = 0u; r < block.rows; r++) {
        let first = view.first + (block.row + r) * view.stride + block.col;
        for (var c = 0u; c < block.cols; c += 32u) { sum = add_group(sum, first + c, min(32u, block.cols - c)); }
    }
    keys[unit] = score(folded(sum), largest_of(sum), block.share);
}

@compute @workgroup_size(64)
fn wide(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let unit = linear(id, ids);
    if unit >= rule.blocks { return; }
    let block = block_of(unit);
    let groups = (block.cols + 31u) / 32u;
    var sum = Sum(vec4f(0.0), vec4u(0u));
    for (var g = local; g < groups * block.rows; g += 64u) {
        let row = g / groups;
        let c = 32u * (g - row * groups);
        let first = view.first + (block.row + row) * view.stride + block.col + c;
        sum = add_group(sum, first, min(32u, block.cols - c));
    }
    sums[local] = folded(sum);
    largest[local] = largest_of(sum);
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if local < half {
            sums[local] += sums[local + half];
            largest[local] = max(largest[local], largest[local + half]);
        }
        workgroupBarrier();
    }
    if local == 0u { keys[unit] = score(sums[0], largest[0], block.share); }
}
