//! Several views whose weights compete, as if they were one: what a scheduler does with chunks, and a recorded pruning
//! with a set of matrices.

use super::quota::Numbers;
use super::{Kernels, MatrixView, Part};
use crate::Result;
use crate::gpu::Record;

impl Kernels {
    /// Records: the window about the cut, from a sample of `taken` weights that is shared out by the views' sizes.
    pub(crate) fn bracket_all(
        &self,
        to: &mut impl Record,
        views: &[MatrixView<'_>],
        taken: u32,
        numbers: &Numbers,
        [samples, window]: [Part<'_>; 2],
    ) -> Result<()> {
        let all: u64 = views.iter().map(MatrixView::weights).sum();
        let (mut at, mut seen) = (0, 0);
        for view in views {
            seen += view.weights();
            let until = (u128::from(taken) * u128::from(seen) / u128::from(all)) as u32;
            if until > at {
                self.sample(to, view, until - at, at, samples)?;
            }
            at = until;
        }
        self.place_by(to, views[0].dtype, numbers.sample(), samples, window)
    }

    /// Records: the cut of all views together, in so many rounds; `parts` are window, counts and cut. Counts are clear
    /// before and after.
    pub(crate) fn cut_all(
        &self,
        to: &mut impl Record,
        views: &[MatrixView<'_>],
        numbers: &Numbers,
        parts: [Part<'_>; 3],
        rounds: u32,
    ) -> Result<()> {
        let [window, counts, _] = parts;
        for _ in 0..rounds {
            for view in views {
                self.histogram(to, view, window, counts)?;
            }
            self.threshold_by(to, views[0].dtype, numbers.quota(), parts)?;
        }
        Ok(())
    }
}
