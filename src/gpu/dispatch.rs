//! All dispatch arithmetic: pure functions, no wgpu.

/// Workgroups that one dimension of a dispatch may hold everywhere.
pub const MAX_PER_DIMENSION: u32 = 65_535;

/// Folds `workgroups` into a grid of two dimensions; kernels skip those past the end.
pub fn grid(workgroups: u32) -> [u32; 2] {
    if workgroups <= MAX_PER_DIMENSION {
        return [workgroups, 1];
    }
    let rows = workgroups.div_ceil(MAX_PER_DIMENSION);
    [workgroups.div_ceil(rows), rows]
}

/// How `items` are shared out: contiguous spans, one per workgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Items per workgroup, a multiple of the workgroup's threads.
    pub span: u32,
    /// Workgroups.
    pub workgroups: u32,
}

/// Items that one thread takes at most: kernels count in 16-bit lanes, 16 at a time.
pub const MAX_PER_THREAD: u32 = 4_095;

/// Times that a thread may go around loops, all of them together: software adapters end it after 65,535.
pub const MAX_TURNS: u32 = 65_000;

/// Groups of 32 weights of a row that a thread takes at most where loops end: the row kernels go over a row up to 30 times to
/// find its cut and twice to mask it, and over lists beside.
pub const MAX_ROW_GROUPS: u32 = (MAX_TURNS - 8_000) / 32;

/// Weights of a row that a workgroup of at most 128 threads prunes.
pub const MAX_ROW: u32 = 128 * 32 * MAX_ROW_GROUPS;

/// Threads of a workgroup that prunes a row of so many groups where loops end: `threads`, or as many more as it takes; none
/// where 128 are too few.
pub fn row_threads(groups: u32, threads: u32) -> Option<u32> {
    let need = groups.div_ceil(MAX_ROW_GROUPS).next_power_of_two().max(threads);
    (need <= 128).then_some(need)
}

/// Shares `items` among about `workgroups` workgroups of `threads` threads, each thread taking at least one item, and no more
/// than it can go around loops for: up to 33 times for each.
pub fn share(items: u32, threads: u32, workgroups: u32) -> Share {
    share_within(items, threads, workgroups, 33)
}

/// The same for items each of which takes up to `turns` turns of loops.
pub fn share_within(items: u32, threads: u32, workgroups: u32, turns: u32) -> Share {
    let most = (MAX_TURNS / turns.max(1)).clamp(1, MAX_PER_THREAD);
    let span = items.div_ceil(workgroups.max(1)).next_multiple_of(threads).clamp(threads, threads * most);
    Share { span, workgroups: items.div_ceil(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_all_workgroups_and_waste_less_than_a_row() {
        for n in [0, 1, 65_535, 65_536, 65_537, 1 << 20, u32::MAX / 64, 1 << 31] {
            let [x, y] = grid(n);
            assert!(u64::from(x) * u64::from(y) >= u64::from(n));
            assert!(u64::from(x) * u64::from(y) < u64::from(n) + u64::from(y.max(1)) + 1, "{n}: {x} x {y}");
            assert!(x <= MAX_PER_DIMENSION, "{n}");
        }
    }

    #[test]
    fn long_rows_take_more_threads() {
        let cases = [(1, 8, Some(8)), (8 * MAX_ROW_GROUPS, 8, Some(8)), (8 * MAX_ROW_GROUPS + 1, 8, Some(16))];
        for (groups, threads, expected) in cases {
            assert_eq!(row_threads(groups, threads), expected, "{groups}");
        }
        assert_eq!(row_threads(MAX_ROW / 32, 8), Some(128));
        assert_eq!(row_threads(MAX_ROW / 32 + 1, 8), None);
    }

    #[test]
    fn shares_cover_every_item_once() {
        for items in [1, 7, 8, 9, 255, 256, 257, 1 << 20, (1 << 26) + 3] {
            for threads in [8, 64, 256] {
                for workgroups in [1, 3, 1024] {
                    let s = share(items, threads, workgroups);
                    assert_eq!(s.span % threads, 0);
                    assert!(s.workgroups <= workgroups.max(1) || s.span == threads * (MAX_TURNS / 33));
                    assert!(u64::from(s.workgroups) * u64::from(s.span) >= u64::from(items));
                    assert!(u64::from(s.workgroups - 1) * u64::from(s.span) < u64::from(items));
                }
            }
        }
        assert_eq!(share(0, 8, 4).workgroups, 0);
        assert_eq!(share_within(1 << 20, 8, 1, 6_500), Share { span: 80, workgroups: 13_108 });
        assert_eq!(share_within(1 << 20, 8, 1, 1).span, 8 * MAX_PER_THREAD);
    }
}
