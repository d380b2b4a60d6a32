// Part of `group.wgsl`: groups that divide no word, on GPUs. A thread takes a group, not a word with parts of others; a workgroup
// takes 256 groups, which fill whole words, and puts these together in its own memory.

override FEW: bool = OF <= 8u; // each key is compared with each, else they are sorted

var<workgroup> kept: array<atomic<u32>, 256>; // words of the mask: 8 * OF
var<workgroup> counted: array<atomic<u32>, 2>; // not zero: before, after

// Up to 8 keys.
struct Eight { a: vec4u, b: vec4u }

fn eight_of(g: Group) -> Eight {
    if SIZE == 4u { return Eight(g.a, g.b); }
    let low = vec4u(0xffffu);
    if SIZE == 2u {
        return Eight(vec4u(g.a.x, g.a.x >> 16u, g.a.y, g.a.y >> 16u) & low, vec4u(g.a.z, g.a.z >> 16u, g.a.w, g.a.w >> 16u) & low);
    }
    return Eight((vec4u(g.a.x) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu), (vec4u(g.a.y) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu));
}

fn flag(yes: bool) -> u32 { return select(0u, 1u, yes); }

// 1 where `key` is at least that of these.
fn over(key: u32, others: vec4u) -> vec4u { return select(vec4u(0u), vec4u(1u), vec4u(key) >= others); }

fn sum(v: vec4u) -> u32 { return v.x + v.y + v.z + v.w; }

// Which of a group stay: those that win against all but KEEP others, a later one against an equal.
fn stay_of_few(k: Eight) -> u32 {
    if KEEP == 0u { return 0u; }
    // At first all earlier ones win. Counted from 8 on, so that nothing is below zero.
    var a = vec4u(OF + 7u, OF + 6u, OF + 5u, OF + 4u);
    let p = flag(k.a.y >= k.a.x);
    let q = over(k.a.z, vec4u(k.a.xy, 0u, 0u)).xy;
    a -= vec4u(p + q.x, q.y, 0u, 0u);
    a.y += p;
    a.z += q.x + q.y;
    if OF > 3u {
        let r = over(k.a.w, k.a).xyz;
        a -= vec4u(r, 0u);
        a.w += r.x + r.y + r.z;
    }
    var b = vec4u(OF + 3u, OF + 2u, OF + 1u, 8u);
    if OF > 4u {
        let r = over(k.b.x, k.a);
        a -= r;
        b.x += sum(r);
    }
    if OF > 5u {
        let r = over(k.b.y, k.a);
        let s = flag(k.b.y >= k.b.x);
        a -= r;
        b.x -= s;
        b.y += sum(r) + s;
    }
    if OF > 6u {
        let r = over(k.b.z, k.a);
        let s = flag(k.b.z >= k.b.x);
        let t = flag(k.b.z >= k.b.y);
        a -= r;
        b.x -= s;
        b.y -= t;
        b.z += sum(r) + s + t;
    }
    let low = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), a >= vec4u(OF + 8u - KEEP));
    let high = select(vec4u(0u), vec4u(16u, 32u, 64u, 128u), b >= vec4u(OF + 8u - KEEP));
    return (sum(low) | sum(high)) & ((1u << OF) - 1u);
}

fn full_of_few(k: Eight) -> u32 {
    let low = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), k.a > vec4u(0u));
    let high = select(vec4u(0u), vec4u(16u, 32u, 64u, 128u), k.b > vec4u(0u));
    return sum(low) | sum(high);
}

// Which weights of a group of `count` are not zero, and which stay.
fn whole_or_rest(first: u32, count: u32) -> Word {
    var all = group_from(first);
    if count < OF {
        all.a = quad_of_rest(all.a, 0u, count);
        all.b = quad_of_rest(all.b, 1u, count);
        all.c = quad_of_rest(all.c, 2u, count);
        all.d = quad_of_rest(all.d, 3u, count);
        all.e = quad_of_rest(all.e, 4u, count);
        all.f = quad_of_rest(all.f, 5u, count);
        all.g = quad_of_rest(all.g, 6u, count);
        all.h = quad_of_rest(all.h, 7u, count);
    }
    let real = 0xffffffffu >> (32u - count);
    if FEW {
        let keys = eight_of(all);
        return Word(full_of_few(keys), select(stay_of_few(keys), real, count < OF));
    }
    return Word(in_order(at_least(all, 1u)), select(stay_of_sorted(all) & real, real, count < OF));
}

fn quad_of_rest(q: vec4u, j: u32, count: u32) -> vec4u {
    let w = 4u * j;
    return q & vec4u(valid(w, count), valid(w + 1u, count), valid(w + 2u, count), valid(w + 3u, count));
}

@compute @workgroup_size(256)
fn each(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let groups = (view.cols + OF - 1u) / OF;
    let across = (groups + 255u) / 256u; // stretches of 256 groups in a row
    let begin = min(workgroup * view.span, view.rows * across);
    let end = min(begin + view.span, view.rows * across);
    if local < 2u { atomicStore(&counted[local], 0u); }
    var before = 0u;
    var after = 0u;
    for (var item = begin; item < end; item++) {
        let row = item / across;
        let stretch = item - row * across;
        atomicStore(&kept[local], 0u);
        workgroupBarrier();
        let col = (256u * stretch + local) * OF;
        if col < view.cols {
            let found = whole_or_rest(view.first + row * view.stride + col, min(OF, view.cols - col));
            before += countOneBits(found.full);
            after += countOneBits(found.full & found.stay);
            let at = local * OF;
            let shift = at & 31u;
            atomicOr(&kept[at / 32u], found.stay << shift);
            if shift + OF > 32u { atomicOr(&kept[at / 32u + 1u], found.stay >> (32u - shift)); }
        }
        workgroupBarrier();
        let word = 8u * OF * stretch + local;
        if local < 8u * OF && word < view.groups_per_row {
            mask[row * view.groups_per_row + word] = atomicLoad(&kept[local]);
        }
        workgroupBarrier();
    }
    atomicAdd(&counted[0], before);
    atomicAdd(&counted[1], after);
    workgroupBarrier();
    if local < 2u { atomicAdd(&nonzero[2u * (workgroup % 64u) + local], atomicLoad(&counted[local])); }
}
