/// Where a histogram looks: `bins` bins of `1 << shift` keys each, from key `low` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Smallest key inside.
    pub low: u32,
    /// Keys per bin, as a power of two.
    pub shift: u32,
    /// Number of bins.
    pub bins: u32,
}

/// What a histogram counted. Counts of the parts of a set add up to the counts of the set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Weights in all.
    pub weights: u64,
    /// Weights that are not ±0.
    pub nonzero: u64,
    /// Weights, zeros left out, with a key of at least the window's low end.
    pub reached: u64,
    /// Weights per bin, zeros left out.
    pub bins: Vec<u64>,
}

impl Window {
    /// The window over keys `low..low + keys` with at most `capacity` bins.
    ///
    /// # Panics
    /// If there are no keys or no bins.
    pub fn over(low: u32, keys: u32, capacity: u32) -> Self {
        assert!(keys > 0 && capacity > 0, "a window of {keys} keys and {capacity} bins");
        let mut shift = 0;
        while (keys - 1) >> shift >= capacity {
            shift += 1;
        }
        Self { low, shift, bins: ((keys - 1) >> shift) + 1 }
    }

    /// One after the largest key inside.
    pub fn end(self) -> u64 {
        u64::from(self.low) + (u64::from(self.bins) << self.shift)
    }
}

impl Counts {
    /// Adds the counts of another part of the set.
    pub fn add(&mut self, other: &Counts) {
        self.weights += other.weights;
        self.nonzero += other.nonzero;
        self.reached += other.reached;
        self.bins.resize(self.bins.len().max(other.bins.len()), 0);
        self.bins.iter_mut().zip(&other.bins).for_each(|(sum, n)| *sum += n);
    }

    /// ±0 among the weights.
    pub fn zeros(&self) -> u64 {
        self.weights - self.nonzero
    }

    /// Weights with a key below the window's low end.
    pub fn below(&self, window: Window) -> u64 {
        if window.low == 0 { 0 } else { self.weights - self.reached }
    }

    /// Weights in bin `b`, zeros included.
    pub fn in_bin(&self, window: Window, b: usize) -> u64 {
        self.bins[b] + if b == 0 && window.low == 0 { self.zeros() } else { 0 }
    }
}

/// Counts keys about a window. Twin of `shaders/histogram.wgsl`.
pub fn histogram(keys: impl IntoIterator<Item = u32>, window: Window) -> Counts {
    let mut counts = Counts { bins: vec![0; window.bins as usize], ..Counts::default() };
    for key in keys {
        counts.weights += 1;
        if key == 0 {
            continue;
        }
        counts.nonzero += 1;
        if key >= window.low {
            counts.reached += 1;
            if let Some(bin) = counts.bins.get_mut(((key - window.low) >> window.shift) as usize) {
                *bin += 1;
            }
        }
    }
    counts
}
