//! More weights than 32 bits can count, from a source and to a sink that hold none of them.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use lopper::scheduler::{Job, Sink, Source, Task, run};
use lopper::{Dtype, Result, Shape};

/// 2^32 + 2^20 + 5 weights: weight `i` is 1.0 at multiples of 1,048,575, and -0.0 or 0.0 elsewhere.
const WEIGHTS: u64 = (1 << 32) + (1 << 20) + 5;
const STEP: u64 = (1 << 20) - 1;
const ONE: u8 = 0x38;

struct Huge {
    /// Zeros from this index on are kept as they are; before it they become +0.0.
    boundary: u64,
    seen: AtomicU64,
}

fn weight(i: u64) -> u8 {
    if i.is_multiple_of(STEP) { ONE } else { 0x80 }
}

impl Source for Huge {
    fn read(&self, _: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0x80);
        let mut next = offset.next_multiple_of(STEP);
        while next < offset + buf.len() as u64 {
            buf[(next - offset) as usize] = ONE;
            next += STEP;
        }
        Ok(())
    }
}

impl Sink for Huge {
    fn write(&self, _: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        // Only the first and last bytes of a block, and those about the boundary, are looked at one by one.
        let near =
            |i: u64| i.abs_diff(self.boundary) < 70_000 || i < offset + 64 || i + 64 >= end || i.is_multiple_of(STEP);
        for i in (offset..end).filter(|&i| near(i)) {
            let want = if weight(i) == ONE || i >= self.boundary { weight(i) } else { 0 };
            assert_eq!(bytes[(i - offset) as usize], want, "weight {i}");
        }
        self.seen.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_matrix_of_more_than_32_bits_of_weights_is_pruned_to_the_weight() {
    let ones = WEIGHTS.div_ceil(STEP);
    // Among negative zeros, the quota runs out at an index beyond 32 bits; the ones before it do not count.
    let boundary = (1 << 32) + 12_345;
    let k = boundary - u64::div_ceil(boundary, STEP);
    let huge = Huge { boundary, seen: AtomicU64::new(0) };
    let job = Job::new(Dtype::F8E4M3, Shape::new(1, WEIGHTS));
    let (outcomes, _) = run(common::gpu(), &[job], &[Task::Matrix { job: 0, k }], &huge, &huge, 64 << 20).unwrap();
    assert_eq!(huge.seen.load(Ordering::Relaxed), WEIGHTS);
    assert_eq!((outcomes[0].zeros_before, outcomes[0].zeros), (WEIGHTS - ones, WEIGHTS - ones));
    assert_eq!(
        (outcomes[0].cut, outcomes[0].ties, outcomes[0].ties_pruned),
        (Some(0.0), Some(WEIGHTS - ones), Some(k))
    );
}
