// Where a histogram looks, and how its counts lie in memory: what bracket, histogram, threshold and row share.

struct Window {
    low: u32,   // smallest key inside
    shift: u32, // keys per bin, as a power of two
    bins: u32,
    done: u32,  // 1: the cut is known, nothing to count
}

const HEADS: u32 = 64u;    // copies of the counters that lie before the bins
const SPREAD: u32 = 8192u; // bins in all copies, where there are fewer than that

// Words of one copy of the bins, which are read four at a time.
fn pitch(bins: u32) -> u32 { return (bins + 3u) & ~3u; }

// Copies of the bins.
fn copies(bins: u32) -> u32 { return clamp(SPREAD / max(pitch(bins), 1u), 1u, HEADS); }
