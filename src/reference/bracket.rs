use super::Window;
use crate::Dtype;

/// The window from the key of rank `low_rank` to that of rank `high_rank` in a sample, both inside.
/// Twin of `place` in `shaders/bracket.wgsl`.
///
/// Rank 0 as the low end stands for key 0, a rank past the sample as the high end for the largest key.
pub fn bracket(sample: &[u32], low_rank: usize, high_rank: usize, dtype: Dtype, capacity: u32) -> Window {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable();
    let low = if low_rank == 0 { 0 } else { sorted[low_rank.min(sorted.len() - 1)] };
    let high = sorted.get(high_rank).copied().unwrap_or(dtype.max_key());
    Window::over(low, high - low + 1, capacity)
}
