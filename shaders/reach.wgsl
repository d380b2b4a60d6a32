// Part of kernels for GPUs, behind `weights.wgsl`: `at_least` for fewer instructions where registers are scalars.

// Which of 16 bytes, `n` words into the group, have keys of at least that in each lane of `keys`.
fn flags(q: vec4u, n: u32, keys: u32) -> u32 {
    let ones = select(0x01010101u, 0x00010001u, SIZE == 2u);
    let d = (q | vec4u(~key_lanes())) - vec4u(keys);
    let top = 8u * SIZE - 1u - n;
    return ((d.x >> top) & (ones << n)) | ((d.y >> (top - 1u)) & (ones << (n + 1u)))
        | ((d.z >> (top - 2u)) & (ones << (n + 2u))) | ((d.w >> (top - 3u)) & (ones << (n + 3u)));
}

fn reach(group: Group, key: u32) -> u32 {
    if SIZE == 4u { return at_least(group, key); }
    let keys = key * select(0x01010101u, 0x00010001u, SIZE == 2u);
    let low = flags(group.a, 0u, keys) | flags(group.b, 4u, keys);
    if SIZE == 1u { return low; }
    return low | flags(group.c, 8u, keys) | flags(group.d, 12u, keys);
}

// Weights that are not zero. Mostly all are, which is seen for half of what counting them takes.
fn nonzero_in(group: Group) -> u32 {
    // Carries into the sign of a lane where it is not zero, and never beyond.
    let k = vec4u(key_lanes());
    var all = (group.a + k) & (group.b + k);
    if SIZE > 1u { all &= (group.c + k) & (group.d + k); }
    if SIZE > 2u { all &= (group.e + k) & (group.f + k) & (group.g + k) & (group.h + k); }
    if (all.x & all.y & all.z & all.w & ~key_lanes()) == ~key_lanes() { return 32u; }
    return countOneBits(at_least(group, 1u));
}

