//! Which format pays, as far as is known.

use super::Format;
use crate::gpu::Tuning;
use crate::reference::check_format;
use crate::{Dtype, Shape};

/// What [`Format::auto`] chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The format; none if a dense product should be faster.
    pub format: Option<Format>,
    /// Why, in words.
    pub why: String,
}

/// Shares of weights that must be gone before sliced ELL pays, as measured: for f32, for 16 bits and one vector, for 16 bits and up to
/// four, and for more vectors.
/// On lavapipe, and on the one GPU that has been measured, an NVIDIA H200, which reads many bytes for each instruction: on
/// others less may do.
const ELL_PAYS: [f64; 4] = [0.35, 0.55, 0.55, 0.8];
const ELL_PAYS_ON_GPU: [f64; 4] = [0.45, 0.6, 0.75, 0.9];

impl Format {
    /// Chooses for a matrix of which `kept` weights are kept, without a pattern, and products with `columns` vectors: by the
    /// class of the adapter, as measured.
    pub fn auto(tuning: Tuning, dtype: Dtype, shape: Shape, kept: u64, columns: u32) -> Choice {
        let dense = |why: String| Choice { format: None, why };
        let share = kept as f64 / shape.weights() as f64;
        let gone = 100.0 * (1.0 - share);
        let (slice, pays, class) = match tuning.simd {
            true => (tuning.lanes.min(8), ELL_PAYS, "a software adapter"),
            false => (32, ELL_PAYS_ON_GPU, "a GPU"),
        };
        let format = Format::SlicedEll { slice };
        if let Err(error) = check_format(format, dtype, shape) {
            return dense(format!("dense: {error}"));
        }
        let pays = pays[match (columns, dtype.size()) {
            (5.., _) => 3,
            (2.., 2) => 2,
            (_, 2) => 1,
            _ => 0,
        }];
        let about = format!(
            "{gone:.0} % of the weights are gone; on {class} {format} pays from {:.0} % on for {dtype} and {columns} vectors",
            100.0 * pays
        );
        match 1.0 - share >= pays {
            true => Choice { format: Some(format), why: format!("{format}: {about}") },
            false => dense(format!("dense: {about}")),
        }
    }
}
