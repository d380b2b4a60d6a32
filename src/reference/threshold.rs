use super::{Counts, Window};
use crate::Dtype;

/// How many weights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Exactly this many, those of the smallest keys.
    Count(u64),
    /// All with a key of at most this one; the window to count starts at it.
    UpTo(u32),
}

/// Which weights go: all keys below `key`, and the first `go` of those equal to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// The key of the largest weight that goes (0 where none does).
    pub key: u32,
    /// Weights with this key.
    pub ties: u64,
    /// Those of them that go: the ones of lowest index.
    pub go: u64,
    /// Weights that were ±0 before.
    pub zeros: u64,
}

/// What a histogram lets one conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The cut is known.
    Found(Cut),
    /// Count again, in this window.
    Count(Window),
}

/// Finds the cut in the counts, or the window to count next. Twin of `shaders/threshold.wgsl`.
///
/// `capacity` is the largest number of bins a window may have.
pub fn threshold(counts: &Counts, window: Window, quota: Quota, dtype: Dtype, capacity: u32) -> Step {
    let zeros = counts.zeros();
    let k = match quota {
        Quota::Count(0) => return Step::Found(Cut { key: 0, ties: zeros, go: 0, zeros }),
        Quota::Count(k) => k,
        Quota::UpTo(key) => {
            let ties = counts.in_bin(window, 0);
            return Step::Found(Cut { key, ties, go: ties, zeros });
        }
    };
    let mut before = counts.below(window);
    if k <= before {
        return Step::Count(Window::over(0, window.low, capacity));
    }
    for b in 0..window.bins {
        let here = counts.in_bin(window, b as usize);
        if k <= before + here {
            let low = window.low + (b << window.shift);
            return match window.shift {
                0 => Step::Found(Cut { key: low, ties: here, go: k - before, zeros }),
                shift => Step::Count(Window::over(low, 1 << shift, capacity)),
            };
        }
        before += here;
    }
    let end = window.end() as u32;
    Step::Count(Window::over(end, dtype.max_key() + 1 - end, capacity))
}
