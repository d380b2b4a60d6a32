//! Which places along a dimension stay, as runs: what lies together is copied together.

use std::ops::Range;

/// Ascending ranges of places that do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runs {
    runs: Vec<Range<u64>>,
    len: u64,
}

impl Runs {
    /// All of `len` places.
    pub fn all(len: u64) -> Self {
        Self { runs: std::iter::once(0..len).collect(), len }
    }

    /// The places of ascending units, so many of each.
    pub fn of_units(units: &[u64], group: u64) -> Self {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for unit in units {
            let (start, end) = (unit * group, (unit + 1) * group);
            match runs.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => runs.push(start..end),
            }
        }
        Self { runs, len: units.len() as u64 * group }
    }

    /// How many places stay.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().cloned()
    }

    /// The places that are number `numbers` among those that stay.
    pub fn part(&self, numbers: Range<u64>) -> Self {
        let (mut before, mut runs) = (0, Vec::new());
        for run in &self.runs {
            let len = run.end - run.start;
            let (from, to) = (numbers.start.max(before), numbers.end.min(before + len));
            if from < to {
                runs.push(run.start + from - before..run.start + to - before);
            }
            before += len;
            if before >= numbers.end {
                break;
            }
        }
        Self { len: runs.iter().map(|run| run.end - run.start).sum(), runs }
    }

    /// Those of a span of places, and how many stay before it.
    pub fn within(&self, span: Range<u64>) -> (u64, Self) {
        let clipped = |run: &Range<u64>, span: &Range<u64>| run.start.max(span.start)..run.end.min(span.end);
        let length = |run: &Range<u64>| run.end.saturating_sub(run.start);
        let before = self.runs.iter().map(|run| length(&clipped(run, &(0..span.start)))).sum();
        let runs: Vec<_> = self.runs.iter().map(|run| clipped(run, &span)).filter(|run| run.start < run.end).collect();
        (before, Self { len: runs.iter().map(length).sum(), runs })
    }

    /// The same places of elements that are each so many bytes or smaller elements.
    pub fn times(&self, inner: u64) -> Self {
        let runs = self.runs.iter().map(|run| run.start * inner..run.end * inner).collect();
        Self { runs, len: self.len * inner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(runs: &Runs) -> Vec<u64> {
        runs.iter().flatten().collect()
    }

    #[test]
    fn runs_are_the_places_that_stay() {
        let runs = Runs::of_units(&[0, 1, 3, 6], 2);
        assert_eq!(runs.iter().collect::<Vec<_>>(), [0..4, 6..8, 12..14]);
        let all = [0, 1, 2, 3, 6, 7, 12, 13];
        assert_eq!((runs.len(), list(&runs)), (8, all.to_vec()));
        for from in 0..=8 {
            for to in from..=8 {
                let part = runs.part(from..to);
                assert_eq!((part.len(), list(&part)), (to - from, all[from as usize..to as usize].to_vec()));
            }
        }
        assert_eq!(runs.within(3..13), (3, Runs { runs: vec![3..4, 6..8, 12..13], len: 4 }));
        assert_eq!(runs.within(8..12), (6, Runs { runs: vec![], len: 0 }));
        assert_eq!(runs.times(3).iter().collect::<Vec<_>>(), [0..12, 18..24, 36..42]);
        assert!(list(&Runs::of_units(&[], 5)).is_empty());
    }
}
