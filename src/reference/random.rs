/// The keys of `count` places from `first` on: pcg4d of seed and place (Jarzynski and Olano, "Hash Functions for GPU
/// Rendering", 2020), 30 bits of it. Twin of `shaders/random.wgsl`.
pub fn random(seed: u64, first: u64, count: u32) -> Vec<u32> {
    let place = |i: u32| {
        let at = first.wrapping_add(i.into());
        pcg4d([at as u32, (at >> 32) as u32, seed as u32, (seed >> 32) as u32])[0] >> 2
    };
    (0..count).map(place).collect()
}

fn pcg4d(seed: [u32; 4]) -> [u32; 4] {
    let mut v = seed.map(|x| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[3]));
        v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
        v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
        v[3] = v[3].wrapping_add(v[1].wrapping_mul(v[2]));
    };
    mix(&mut v);
    v = v.map(|x| x ^ (x >> 16));
    mix(&mut v);
    v
}
