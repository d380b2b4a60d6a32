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

/// Shares of weights that must be gone before sliced ELL pays on a software adapter, as measured: for f32, for 16 bits,
/// and for more than four vectors.
const ELL_PAYS: [f64; 3] = [0.35, 0.55, 0.8];

/// Shares of the dense matrix's bytes up to which fewer bytes are taken to be faster on a GPU, for up to four vectors and
/// for more. Estimates: no GPU has been measured.
const FEWER_BYTES_PAY: [f64; 2] = [0.9, 0.4];

impl Format {
    /// Chooses for a matrix of which `kept` weights are kept, without a pattern, and products with `columns` vectors: by the
    /// class of the adapter, and by bytes per weight.
    pub fn auto(tuning: Tuning, dtype: Dtype, shape: Shape, kept: u64, columns: u32) -> Choice {
        let dense = |why: String| Choice { format: None, why };
        let share = kept as f64 / shape.weights() as f64;
        let gone = 100.0 * (1.0 - share);
        if tuning.simd {
            let format = Format::SlicedEll { slice: tuning.lanes.min(8) };
            if let Err(error) = check_format(format, dtype, shape) {
                return dense(format!("dense: {error}"));
            }
            let pays = ELL_PAYS[if columns > 4 { 2 } else { usize::from(dtype.size() == 2) }];
            let about = format!(
                "{gone:.0} % of the weights are gone; on a software adapter {format} pays from {:.0} % on for {dtype} and \
                 {columns} vectors",
                100.0 * pays
            );
            return match 1.0 - share >= pays {
                true => Choice { format: Some(format), why: format!("{format}: {about}") },
                false => dense(format!("dense: {about}")),
            };
        }
        let size = dtype.size() as f64;
        let candidates = [Format::Bitmask, Format::Csr].map(|format| {
            let bytes = match format {
                Format::Bitmask => 0.125 + 4.0 / 1024.0 + share * size,
                _ => share * (size + 2.0),
            };
            (format, bytes)
        });
        let fit = candidates.into_iter().filter(|(format, _)| check_format(*format, dtype, shape).is_ok());
        let Some((format, bytes)) = fit.min_by(|a, b| a.1.total_cmp(&b.1)) else {
            return dense(format!("dense: no format holds {shape} weights of {dtype}"));
        };
        let pays = FEWER_BYTES_PAY[usize::from(columns > 4)];
        let about = format!(
            "with {gone:.0} % of the weights gone {format} takes {bytes:.3} bytes per weight, dense {size:.0}; on a GPU \
             {:.0} % of dense are taken to be faster for {columns} vectors (estimated, not measured)",
            100.0 * pays
        );
        match bytes <= pays * size {
            true => Choice { format: Some(format), why: format!("{format}: {about}") },
            false => dense(format!("dense: {about}")),
        }
    }
}
