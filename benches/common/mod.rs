//! What the benches share: the adapter, and weights.

use lopper::Dtype;
use lopper::gpu::Gpu;

/// The adapter that an argument or `LOPPER_ADAPTER` names, or the best there is; and whether to measure, or only to run
/// everything once on small matrices, as `cargo test` does.
pub fn open() -> anyhow::Result<(Gpu, bool)> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let measuring = args.iter().any(|a| a == "--bench");
    let adapter = args.into_iter().find(|a| !a.starts_with('-')).or_else(|| std::env::var("LOPPER_ADAPTER").ok());
    let gpu = pollster::block_on(Gpu::open(adapter.as_deref()))?;
    println!("{} ({}, {}), {:?}", gpu.info().name, gpu.info().backend, gpu.info().driver, gpu.tuning());
    Ok((gpu, measuring))
}

/// How often something that takes so many seconds is repeated within a submission: far longer than it takes to submit.
#[allow(dead_code, reason = "not every bench repeats")]
pub fn repeats(seconds: f64) -> usize {
    ((5e-3 / seconds).ceil() as usize).clamp(1, 100)
}

/// Bell-shaped weights, seeded.
pub fn bell(dtype: Dtype, n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let table: Vec<u32> = (0..1 << 16)
        .map(|_| {
            let mut sum = -2.0;
            for _ in 0..4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum += (state >> 40) as f64 / f64::from(1 << 24);
            }
            let sign = if sum < 0.0 { dtype.max_key() + 1 } else { 0 };
            dtype.key_at_most((sum * 0.02).abs()) | sign
        })
        .collect();
    let mut bytes = Vec::with_capacity(n * dtype.size());
    for _ in 0..n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Below the precision of the table's entries, so that f32 weights differ.
        let low = if dtype == Dtype::F32 { (state >> 40) as u32 & 0xfff } else { 0 };
        bytes.extend_from_slice(&(table[state as usize & 0xffff] ^ low).to_le_bytes()[..dtype.size()]);
    }
    bytes
}
