//! How memory becomes slots, and matrices become chunks: pure arithmetic.

use super::{Each, Job, Task};
use crate::reference::TILE_WEIGHTS;
use crate::{Error, Result};

/// The ring's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Slots at most.
    pub slots: usize,
    /// Bytes of weights per slot, a multiple of 8,192: a tile of the widest type.
    pub chunk: u64,
    /// Bytes of mask per slot.
    pub mask: u64,
    /// Bytes of tie counts per slot.
    pub tiles: u64,
    /// Bytes of scores and of keys per slot, where weights do not compete by their own bits.
    pub scored: [u64; 2],
}

/// Chunks are multiples of this: a tile of the widest type, and every alignment wgpu asks for.
pub const ALIGN: u64 = 4 * TILE_WEIGHTS as u64;

/// The largest chunk. Larger ones gain nothing where it was measured, and make pipelining coarser.
const LARGEST: u64 = 16 << 20;

/// Chunks shrink before there are fewer slots than this: enough that reading, GPU and writing are all busy while a large
/// matrix holds most of them.
const SLOTS: u64 = 16;

/// More slots than this gain nothing but larger matrices that are read once.
const MOST: u64 = 256;

/// Slots besides those of the matrix in work: for the next one's chunks, and for those on their way out.
const AHEAD: usize = 6;

/// The smallest chunk and the fewest slots that work.
const SMALLEST: u64 = ALIGN;
const FEWEST: u64 = 4;

impl Budget {
    /// Splits `memory` bytes into slots. `direct` slots hold weights once, staged ones three times.
    ///
    /// # Errors
    /// [`Error::Memory`] where not even the fewest slots of the smallest chunks fit.
    pub fn new(memory: u64, direct: bool, max_binding: u64) -> Result<Self> {
        Self::for_tasks(&[], &[], memory, direct, max_binding)
    }

    /// The same for these matrices: with room for scores and keys, and for as much at once as a task needs.
    ///
    /// # Errors
    /// As [`Budget::new`].
    pub(super) fn for_tasks(jobs: &[Job], tasks: &[Task], memory: u64, direct: bool, max_binding: u64) -> Result<Self> {
        let scoring: Vec<&Job> = jobs.iter().filter(|job| !job.is_plain()).collect();
        let scored = |chunk: u64| {
            scoring.iter().map(|job| job.scored_bytes(chunk)).fold([0; 2], |[a, b], [c, d]| [a.max(c), b.max(d)])
        };
        // Weights; masks, 1/8 of the bytes for 8-bit weights; ties per tile; scores; what buffers are rounded up by.
        let cost = |chunk: u64| {
            let (weights, masks) = if direct { (1, 1) } else { (3, 2) };
            let given = scoring.iter().map(|job| job.given_bytes(chunk)).max().unwrap_or(0);
            let scored: u64 = scored(chunk).iter().sum();
            weights * chunk + masks * (chunk / 8) + chunk / 512 + scored + 2 * given + 4096
        };
        let step = least(jobs, tasks).next_multiple_of(ALIGN);
        let smallest = SMALLEST.max(step);
        let largest = LARGEST.max(step).min(max_binding) / ALIGN * ALIGN;
        let fits = |slots: u64| {
            // From above: what the weights alone leave room for, then down until the rest fits too.
            let mut chunk = (memory / slots / ALIGN * ALIGN).min(largest);
            while chunk > 0 && (slots * cost(chunk) > memory || scored(chunk).iter().any(|&bytes| bytes > max_binding))
            {
                let less = chunk - ALIGN.max(chunk / 64 / ALIGN * ALIGN);
                chunk = if chunk > smallest { less.max(smallest) } else { 0 };
            }
            chunk
        };
        let most = (memory / cost(largest)).min(MOST);
        let mut slots = most.max(SLOTS);
        while slots > FEWEST && fits(slots) < smallest {
            slots -= 1;
        }
        match fits(slots) {
            chunk if chunk >= smallest => {
                let (mask, tiles, scored) = (chunk / 8 + 64, chunk / 512 + 64, scored(chunk));
                Ok(Self { slots: slots as usize, chunk, mask, tiles, scored })
            }
            _ => Err(Error::Memory { have: memory, need: FEWEST * cost(smallest) }),
        }
    }

    /// Whether a matrix of so many chunks stays in the slots from its first reading to its mask.
    pub fn resident(&self, chunks: usize) -> bool {
        chunks <= self.slots * 3 / 4
    }

    /// Chunks that are done together, or done again: half a ring of them.
    pub fn part(&self) -> usize {
        self.slots.div_ceil(2)
    }

    /// The same budget with no more slots than help, where the largest resident matrix takes so many chunks: memory that
    /// is never touched costs nothing.
    pub fn for_chunks(self, chunks: usize) -> Self {
        Self { slots: self.slots.min(chunks + AHEAD), ..self }
    }
}

/// Bytes that a chunk must hold at least: a row of units, and a row whose groups compete.
fn least(jobs: &[Job], tasks: &[Task]) -> u64 {
    let units = jobs.iter().map(Job::step_bytes).max();
    let groups = tasks.iter().map(|task| match *task {
        Task::Rows { job, each: Each::Group { .. } } => jobs[job].shape.cols * jobs[job].dtype.size() as u64,
        _ => 0,
    });
    units.max(groups.max()).unwrap_or(0)
}

/// A part of a matrix that fills a slot: `rows` rows of `cols` units from unit `first` on. Where rows do not matter, it is
/// one row. Units that are not single weights come in whole rows of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    pub job: usize,
    pub first: u64,
    pub rows: u32,
    pub cols: u32,
}

impl Chunk {
    pub fn units(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }
}

/// A stretch of a matrix whose units compete with each other, seen as one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub job: usize,
    pub first: u64,
    pub units: u64,
}

impl Span {
    pub fn whole(job: usize, matrix: &Job) -> Self {
        Self { job, first: 0, units: matrix.units().weights() }
    }
}

impl Budget {
    /// Chunks of a span, each but the last a multiple of a tile, or of a row of units.
    pub fn chunks(&self, span: Span, matrix: &Job) -> impl DoubleEndedIterator<Item = Chunk> + use<> {
        let steps = self.chunk / matrix.step_bytes();
        let per = if matrix.is_by_rows() {
            steps * matrix.step_units()
        } else {
            steps / u64::from(TILE_WEIGHTS) * u64::from(TILE_WEIGHTS)
        };
        (0..span.units.div_ceil(per)).map(move |i| {
            let cols = per.min(span.units - i * per) as u32;
            Chunk { job: span.job, first: span.first + i * per, rows: 1, cols }
        })
    }

    /// Chunks of a span of whole rows of units; none where a row is longer than a chunk.
    pub fn row_chunks(&self, span: Span, matrix: &Job) -> Option<impl DoubleEndedIterator<Item = Chunk> + use<>> {
        let units = matrix.units();
        let (steps, rows) = if matrix.is_by_rows() { (1, matrix.step_rows()) } else { (units.cols, 1) };
        let bytes = steps.checked_mul(matrix.step_bytes())?;
        let all = span.units / units.cols;
        let by_weights = self.chunk / bytes;
        let by_mask = self.mask / (4 * units.mask_words_per_row()) / rows;
        let per = by_weights.min(by_mask) * rows;
        let chunk = move |i: u64| {
            let rows = per.min(all - i * per) as u32;
            Chunk { job: span.job, first: span.first + i * per * units.cols, rows, cols: units.cols as u32 }
        };
        (per > 0).then(|| (0..all.div_ceil(per)).map(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dtype, Shape};

    #[test]
    fn slots_fit_the_budget_and_large_ones_use_it() {
        for memory in [1 << 17, 1 << 20, 64 << 20, 100_000_000, 512 << 20, 8 << 30] {
            for direct in [true, false] {
                let budget = Budget::new(memory, direct, (1 << 31) - 256).unwrap();
                let copies = if direct { 1 } else { 3 };
                let masks = if direct { 1 } else { 2 };
                let slot = copies * budget.chunk + masks * budget.mask + budget.tiles;
                assert!(budget.slots as u64 * slot <= memory, "{memory}: {budget:?}");
                assert!(budget.chunk.is_multiple_of(ALIGN) && budget.slots >= 4);
                assert!(
                    budget.slots as u64 == MOST || memory < 1 << 20 || budget.slots as u64 * slot > memory * 8 / 10
                );
            }
        }
        assert!(matches!(Budget::new(1000, true, 1 << 27), Err(Error::Memory { have: 1000, .. })));
        assert!(Budget::new(8 << 30, true, 1 << 20).unwrap().chunk <= 1 << 20);
    }

    #[test]
    fn chunks_cover_a_span_once_beyond_32_bits_too() {
        let budget = Budget::new(256 << 20, true, 1 << 27).unwrap();
        let matrix = Job::new(Dtype::BF16, Shape::new(1, 1 << 40));
        for units in [1, 2048, 5_000_000, (1 << 33) + 5] {
            let mut next = 7;
            for chunk in budget.chunks(Span { job: 3, first: 7, units }, &matrix) {
                assert_eq!((chunk.job, chunk.first, chunk.rows), (3, next, 1));
                assert!(chunk.units() * 2 <= budget.chunk && chunk.units() > 0);
                next += chunk.units();
            }
            assert_eq!(next, 7 + units);
        }
    }

    #[test]
    fn rows_stay_whole_and_their_masks_fit() {
        let budget = Budget::new(1 << 20, true, 1 << 27).unwrap();
        for (rows, cols) in [(1, 1), (100_000, 1), (1000, 33), (9, 20_000)] {
            let job = Job::new(Dtype::F16, Shape::new(rows, cols));
            let mut next = 0;
            for chunk in budget.row_chunks(Span::whole(0, &job), &job).unwrap() {
                assert_eq!((chunk.first, u64::from(chunk.cols)), (next, cols));
                assert!(chunk.units() * 2 <= budget.chunk);
                assert!(u64::from(chunk.rows) * cols.div_ceil(32) * 4 <= budget.mask);
                next += chunk.units();
            }
            assert_eq!(next, rows * cols);
        }
        let long = Job::new(Dtype::F32, Shape::new(2, 1 << 40));
        assert!(budget.row_chunks(Span::whole(0, &long), &long).is_none());
    }

    #[test]
    fn a_row_that_is_a_unit_fits_a_chunk_or_says_what_it_takes() {
        let plain = Job::new(Dtype::F32, Shape::new(40, 1 << 20));
        let rows = Job { unit: Shape::new(1, 1 << 20), ..plain };
        let group = [Task::Rows { job: 0, each: Each::Group { keep: 2, of: 4 } }];
        let ask = |job: Job, tasks: &[Task], memory| Budget::for_tasks(&[job], tasks, memory, true, 1 << 27);
        assert!(ask(plain, &[], 1 << 20).is_ok());
        for (job, tasks) in [(rows, &[][..]), (plain, &group), (Job { slab: 2, ..plain }, &[])] {
            let Err(Error::Memory { have, need }) = ask(job, tasks, 1 << 20) else { panic!("4 MiB do not fit 1") };
            assert!(have == 1 << 20 && need > 4 * (4 << 20), "{need}");
            let budget = ask(job, tasks, need).unwrap();
            assert!(budget.chunk >= job.step_bytes().max(4 << 20));
            let chunks = budget.row_chunks(Span::whole(0, &job), &job).unwrap();
            assert_eq!(chunks.map(|chunk| chunk.units()).sum::<u64>(), job.units().weights());
        }
        // Scores and keys are in the budget.
        let scored = Job { scoring: super::super::Scoring::Scaled, unit: Shape::new(2, 2), ..plain };
        let budget = ask(scored, &[], 512 << 20).unwrap();
        assert!(budget.slots as u64 * (budget.chunk + budget.scored[0] + budget.scored[1]) <= 512 << 20);
        assert_eq!(budget.scored, [budget.chunk, budget.chunk / (8 << 20) * (8 << 20) / 4]);
    }
}
