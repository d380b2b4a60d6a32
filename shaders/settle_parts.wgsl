// `settle.wgsl` for GPUs, where one workgroup that goes over all tiles takes longer than all of them take over the weights.
//
// `sum_parts` sums the ties of 256 stretches of tiles, `find_part` (one workgroup) finds the stretch in which the quota runs out,
// and the tile in it, and `settle_all` puts right what lies between guess and truth, the boundary's tile included, and leaves
// all tiles zero.

const PARTS: u32 = 256u;

fn tiles_in_all() -> u32 { return (view.groups + WORDS - 1u) / WORDS; }

@compute @workgroup_size(64)
fn sum_parts(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let count = tiles_in_all();
    let per = (count + PARTS - 1u) / PARTS;
    let end = min(id.x * per + per, count);
    var mine = 0u;
    for (var t = id.x * per + local; t < end; t += 64u) { mine += tiles[t]; }
    sums[local] = mine;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if local < half { sums[local] += sums[local + half]; }
        workgroupBarrier();
    }
    if local == 0u { boundary.parts[id.x] = sums[0]; }
}

// Of what each of 256 threads has: the sum up to its own, which `sums` holds for all of them.
fn up_to(mine: u32, local: u32) -> u32 {
    sums[local] = mine;
    workgroupBarrier();
    for (var by = 1u; by < PARTS; by *= 2u) {
        var more = 0u;
        if local >= by { more = sums[local - by]; }
        workgroupBarrier();
        sums[local] += more;
        workgroupBarrier();
    }
    return sums[local];
}

var<workgroup> held: vec4u;

@compute @workgroup_size(256)
fn find_part(@builtin(local_invocation_index) local: u32) {
    let count = tiles_in_all();
    let per = (count + PARTS - 1u) / PARTS;
    let quota = select(cut.go_left.x, 0xffffffffu, cut.go_left.y > 0u);
    let guess = min(cut.guess, count);
    let part = boundary.parts[local];
    let through = up_to(part, local);
    let total = sums[PARTS - 1u];
    if local == 0u { held = vec4u(0u); }
    workgroupBarrier();
    if quota >= through - part && quota < through { held = vec4u(local, quota - (through - part), 0u, 0u); }
    let stretch = workgroupUniformLoad(&held);

    // The same within the stretch. All threads go there even if no boundary is in it, since they wait for each other.
    let each = (per + PARTS - 1u) / PARTS;
    let stop = min(stretch.x * per + per, count);
    let begin = min(stretch.x * per + local * each, stop);
    let end = min(begin + each, stop);
    var mine = 0u;
    for (var t = begin; t < end; t++) { mine += tiles[t]; }
    let here = up_to(mine, local);
    if quota >= total {
        // All ties of this chunk go: the boundary is its end.
        if local == 0u { set_boundary(guess, count, count, 0u); }
    } else if stretch.y >= here - mine && stretch.y < here {
        var left = stretch.y - (here - mine);
        var tile = begin;
        while left >= tiles[tile] {
            left -= tiles[tile];
            tile += 1u;
        }
        set_boundary(min(guess, tile), max(guess, tile + 1u), tile, left);
    }
    if local == 0u { carry_over(quota, total); }
}

@compute @workgroup_size(64)
fn settle_all(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let workgroups = ids.x * ids.y;
    if local == 0u { held = vec4u(boundary.begin, boundary.end, boundary.tile, boundary.go); }
    let bounds = workgroupUniformLoad(&held);
    let key = cut.key;
    for (var tile = bounds.x + workgroup; tile < bounds.y; tile += workgroups) {
        // Zero as soon as it is known.
        if local == 0u {
            held = vec4u(tiles[tile], 0u, 0u, 0u);
            tiles[tile] = 0u;
        }
        if workgroupUniformLoad(&held).x == 0u { continue; }
        let i = tile * WORDS + local;
        var bits = vec2u(0u);
        if i < view.groups { bits = tie_bits(i, key); }
        var stay = select(0u, bits.y, tile > bounds.z);
        if tile == bounds.z {
            ties_in[local] = countOneBits(bits.y);
            workgroupBarrier();
            stay = without(bits.y, bounds.w, local);
        }
        if i < view.groups { mask[i] = bits.x | stay; }
    }
    let count = tiles_in_all();
    for (var t = workgroup * 64u + local; t < count; t += workgroups * 64u) {
        if t < bounds.x || t >= bounds.y { tiles[t] = 0u; }
    }
}
