//! What a pruning found: cuts and counts.

use std::ops::Range;

use crate::Dtype;
use crate::kernels::CutWords;

/// What happened to one matrix, or to a set of them under one cut.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitStats {
    /// Which matrices of the descriptor.
    pub matrices: Range<usize>,
    /// Weights in them.
    pub weights: u64,
    /// ±0 before.
    pub zeros_before: u64,
    /// ±0 after; the same as before where zeros were not written ([`super::PruneDescriptor::apply`]).
    pub zeros: u64,
    /// The largest magnitude that went; none for rows, which have a cut each, and where nothing went. For a threshold,
    /// in every scope: the largest magnitude of the element type that it reaches, whether a weight has it or not.
    pub cut: Option<f64>,
    /// Weights of the cut's magnitude; none where rows have a cut each.
    pub ties: Option<u64>,
    /// Those of them that went.
    pub ties_pruned: Option<u64>,
}

impl UnitStats {
    /// Zeros after as a share of the weights.
    pub fn sparsity(&self) -> f64 {
        self.zeros as f64 / self.weights as f64
    }
}

/// What a pruning found.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// One entry for each matrix, in the descriptor's order; for scope `Global`, one for the whole set, unless the
    /// amount is a threshold, for which matrices do not compete.
    pub units: Vec<UnitStats>,
}

impl Stats {
    /// Zeros after as a share of all weights; NaN where there are none.
    pub fn sparsity(&self) -> f64 {
        let sum = |count: fn(&UnitStats) -> u64| self.units.iter().map(count).sum::<u64>() as f64;
        sum(|unit| unit.zeros) / sum(|unit| unit.weights)
    }
}

/// Bytes of a unit's record: a cut, or two counters for rows that have a cut each.
pub const RECORD_BYTES: u64 = 256;

/// What the host knows of a unit beforehand.
#[derive(Debug, Clone)]
pub struct Unit {
    pub matrices: Range<usize>,
    pub weights: u64,
    pub dtype: Dtype,
}

/// Reads the records of all units; `counters` says which kind they are.
pub fn decode(units: &[Unit], counters: bool, apply: bool, bytes: &[u8]) -> Stats {
    let records = bytes.chunks_exact(RECORD_BYTES as usize);
    let unit = |(unit, record): (&Unit, &[u8])| {
        let Unit { matrices, weights, dtype } = unit.clone();
        if counters {
            let [before, after]: [u32; 2] = bytemuck::pod_read_unaligned(&record[..8]);
            let zeros_before = weights - u64::from(before);
            let zeros = if apply { weights - u64::from(after) } else { zeros_before };
            return UnitStats { matrices, weights, zeros_before, zeros, cut: None, ties: None, ties_pruned: None };
        }
        let cut: CutWords = bytemuck::pod_read_unaligned(&record[..size_of::<CutWords>()]);
        let zeros_before = u64::from(cut.zeros);
        let zeros = if apply { zeros_before.max(cut.pruned.into()) } else { zeros_before };
        UnitStats {
            matrices,
            weights,
            zeros_before,
            zeros,
            cut: (cut.pruned > 0).then(|| dtype.magnitude(cut.key)),
            ties: Some(cut.ties.into()),
            ties_pruned: Some(cut.go.into()),
        }
    };
    Stats { units: units.iter().zip(records).map(unit).collect() }
}
