// Scores units: the norm of each block of `rows` by `cols` weights, as the bits of an f32. A row is a block too.
//
// Every sum has one order, whatever the adapter and its tuning: within a row of a block, weights go to one of four sums by
// where they lie in 16 bytes, in memory order, and the four are added by halves. `narrow` gives a thread a block, row after
// row. `strips` (`pool_strips.wgsl`) does the same 64 bytes at a time. `wide` has 64 sums for a block: its 32-weight groups, row
// after row, are cut into 8 stretches, and thread t of a stretch's 8 takes its groups t, t + 8, …; stretches are added
// in order, then threads by halves. A workgroup of 64 takes one such block; one of 8, for adapters without lanes to fill,
// takes 8, one after the other, so that it has one barrier for all of them.
// L2 is the sum of squares, whose order is the same. Nothing subnormal is added, since adapters may flush it; what is not
// finite is seen in the bits. Reads every weight once, writes 4 bytes per block.

override LANES: u32 = 64u; // threads of a workgroup; 8 or 64 of `wide`
override NORM: u32 = 0u; // L1, L2, Linf, Mean
override ROWS: u32 = 1u; // of a block, which `strips` is made for; in `wide`, more than one or not
override COLS: u32 = 32u;
override EVEN: bool = false; // no block is cut short at the bottom
override WHOLE: bool = false; // rows of blocks consist of whole groups on 16 bytes

struct Pool {
    rows: u32, // of a block
    cols: u32,
    across: u32, // blocks in a row of them
    blocks: u32,
    parts: u32,  // workgroups that share a row of blocks
    spare0: u32,
    spare1: u32,
    spare2: u32,
    // 1 over the weights of a block: in the middle, at the right edge, at the bottom, in the corner
    shares: vec4f,
}

@group(0) @binding(3) var<uniform> rule: Pool;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>; // [ceil(rows / rule.rows)][across]

struct Sum { parts: vec4f, largest: vec4u }

var<workgroup> sums: array<f32, 64>;
var<workgroup> largest: array<u32, 64>;

// What four weights add, as the bits of an f32.
fn terms(bits: vec4u) -> vec4u {
    var terms = bits;
    // Through integers: a compiler must not fuse the product with the sum. `spare` is 0, which it cannot know.
    if NORM == 1u { terms = bitcast<vec4u>(bitcast<vec4f>(bits) * bitcast<vec4f>(bits)) ^ vec4u(view.spare); }
    return select(vec4u(0u), terms, bitcast<vec4i>(terms) >= vec4i(i32(NORMAL)));
}

// One weight for each part.
fn add(sum: Sum, keys: vec4u) -> Sum {
    let bits = values(keys);
    let largest = max(sum.largest, bits);
    if NORM == 2u { return Sum(sum.parts, largest); }
    return Sum(sum.parts + bitcast<vec4f>(terms(bits)), largest);
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

fn quad_at(at: u32) -> vec4u { return quads[at] & vec4u(key_lanes()); }

// 32 weights.
fn add_whole(sum: Sum, at: u32) -> Sum {
    let a = quad_at(at);
    let b = quad_at(at + 1u);
    if SIZE == 1u { return add_quad(add_quad(sum, a), b); }
    let c = quad_at(at + 2u);
    let d = quad_at(at + 3u);
    let half = add_quad(add_quad(add_quad(add_quad(sum, a), b), c), d);
    if SIZE == 2u { return half; }
    let more = add_quad(add_quad(half, quad_at(at + 4u)), quad_at(at + 5u));
    return add_quad(add_quad(more, quad_at(at + 6u)), quad_at(at + 7u));
}

// The sum of every eighth group of a block from `begin` up to `end`.
fn lane_of(block: Block, begin: u32, end: u32) -> Sum {
    var sum: Sum;
    var groups = (block.cols + 31u) / 32u;
    if WHOLE && ROWS == 1u {
        let at = (view.first + block.row * view.stride + block.col) * SIZE / 16u;
        for (var g = begin; g < end; g += 8u) { sum = add_whole(sum, at + g * 2u * SIZE); }
        return sum;
    }
    if WHOLE { groups = COLS / 32u; }
    for (var g = begin; g < end; g += 8u) {
        let row = g / groups;
        let col = 32u * (g - row * groups);
        let first = view.first + (block.row + row) * view.stride + block.col + col;
        if WHOLE {
            sum = add_whole(sum, first * SIZE / 16u);
        } else {
            sum = add_group(sum, first, min(32u, block.cols - col));
        }
    }
    return sum;
}

@compute @workgroup_size(LANES)
fn wide(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let first = linear(id, ids) * (64u / LANES);
    for (var u = 0u; u < 64u / LANES; u++) {
        var total = 0.0;
        var most = 0u;
        if first + u < rule.blocks {
            let block = block_of(first + u);
            let items = (block.cols + 31u) / 32u * block.rows;
            let stretch = (items + 63u) / 64u * 8u;
            for (var lane = local; lane < 64u; lane += LANES) {
                let begin = lane / 8u * stretch;
                let sum = lane_of(block, begin + lane % 8u, min(begin + stretch, items));
                total += folded(sum);
                most = max(most, largest_of(sum));
            }
        }
        sums[u * LANES + local] = total;
        largest[u * LANES + local] = most;
    }
    workgroupBarrier();
    if LANES == 64u {
        if local < 8u {
            for (var lane = local + 8u; lane < 64u; lane += 8u) {
                sums[local] += sums[lane];
                largest[local] = max(largest[local], largest[lane]);
            }
        }
        workgroupBarrier();
    }
    if local < 64u / LANES && first + local < rule.blocks {
        let at = 8u * local;
        let sum = ((sums[at] + sums[at + 4u]) + (sums[at + 2u] + sums[at + 6u]))
            + ((sums[at + 1u] + sums[at + 5u]) + (sums[at + 3u] + sums[at + 7u]));
        var most = 0u;
        for (var i = at; i < at + 8u; i++) { most = max(most, largest[i]); }
        keys[first + local] = score(sum, most, block_of(first + local).share);
    }
}
