// Counts become places, in place: each word the sum of those before it, and the sum of all behind them.
//
// One workgroup, a stretch per thread: counts are few, one per tile, slice or row. Every count is read twice and written
// once. Sums are u32: what they count fits in one buffer.

struct Scan { count: u32, spare0: u32, spare1: u32, spare2: u32 }

@group(0) @binding(0) var<uniform> size: Scan;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>; // [count + 1]

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    let per = (size.count + 255u) / 256u;
    let begin = min(local * per, size.count);
    let end = min(begin + per, size.count);
    var sum = 0u;
    for (var i = begin; i < end; i++) { sum += counts[i]; }
    sums[local] = sum;
    workgroupBarrier();
    var before = 0u;
    for (var t = 0u; t < local; t++) { before += sums[t]; }
    for (var i = begin; i < end; i++) {
        let here = counts[i];
        counts[i] = before;
        before += here;
    }
    if local == 255u { counts[size.count] = before; }
}
