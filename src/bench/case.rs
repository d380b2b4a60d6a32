//! What is asked for.

use std::fmt;
use std::time::Duration;

use crate::gpu::Gpu;
use crate::reference::check_format;
use crate::{Dtype, Error, Format, Result, Shape};

/// Which weights are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// Each weight by chance.
    Random,
    /// The smallest ones, exactly as many as asked.
    Magnitude,
    /// All but the largest `keep` of every `of` along a row: of a sparsity of its own.
    Group {
        /// Weights that stay.
        keep: u32,
        /// Of so many.
        of: u32,
    },
    /// Those that are zero already: of a model's own weights.
    Given,
    /// Whole blocks by chance.
    Block {
        /// Rows of a block.
        rows: u32,
        /// Columns of a block.
        cols: u32,
    },
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Random => f.write_str("random"),
            Pattern::Magnitude => f.write_str("magnitude"),
            Pattern::Group { keep, of } => write!(f, "{keep}:{of}"),
            Pattern::Given => f.write_str("as given"),
            Pattern::Block { rows, cols } => write!(f, "blocks of {rows} x {cols}"),
        }
    }
}

/// What is to be measured: every combination.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Outputs and inputs of the matrices.
    pub shapes: Vec<Shape>,
    /// Shares of the weights that are gone, from 0 to 1. A pattern of groups has one of its own instead.
    pub sparsities: Vec<f64>,
    /// Vectors that are multiplied at once.
    pub batches: Vec<u32>,
    /// How sparse matrices are stored; empty: all that hold the pattern.
    pub formats: Vec<Format>,
    /// Element type of the weights: F32, F16 or BF16.
    pub dtype: Dtype,
    /// Which weights are gone.
    pub pattern: Pattern,
    /// A format that was less than so many times as fast as dense is not measured with more weights: the time goes to others.
    pub give_up: f64,
    /// How often each product is timed at most; at least 5 times if this is more, however long it takes.
    pub rounds: usize,
    /// No case is begun later than this.
    pub time: Duration,
}

impl Default for Asked {
    /// A projection of a 7B model, the sparsities and batches that people ask about, in about a minute and a half.
    fn default() -> Self {
        Self {
            shapes: vec![Shape::new(4096, 4096)],
            sparsities: vec![0.0, 0.3, 0.5, 0.7, 0.9, 0.95],
            batches: vec![1, 4, 16, 64],
            formats: Vec::new(),
            dtype: Dtype::F16,
            pattern: Pattern::Random,
            give_up: 0.4,
            rounds: 15,
            time: Duration::from_secs(90),
        }
    }
}

/// Vectors at most.
const MOST_VECTORS: u32 = 4096;

impl Asked {
    /// The formats that are measured on this adapter.
    pub fn formats(&self, gpu: &Gpu) -> Vec<Format> {
        if !self.formats.is_empty() {
            return self.formats.clone();
        }
        let slice = if gpu.tuning().simd { gpu.tuning().lanes.min(8) } else { 32 };
        let mut all = vec![Format::SlicedEll { slice }, Format::Bitmask, Format::Csr];
        if !gpu.tuning().simd {
            all.insert(1, Format::Macko);
        }
        match self.pattern {
            Pattern::Group { keep, of } => all.push(Format::Nm { keep, of }),
            Pattern::Block { rows, cols } => all.push(Format::Block { rows, cols }),
            _ => {}
        }
        all
    }

    /// Whether it can be measured at all, on weights that are made up.
    ///
    /// # Errors
    /// [`Error::View`] with what cannot be and both numbers: nothing asked, a matrix that the device does not bind, a format
    /// that does not hold the shape or the pattern.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        if self.shapes.is_empty() {
            return bad("there is nothing to measure: a shape is needed".into());
        }
        if self.pattern == Pattern::Given {
            return bad("weights that are made up have no zeros: another pattern than `as given` is needed".into());
        }
        self.check_numbers()?;
        for &shape in &self.shapes {
            self.check_shape(gpu, shape, self.dtype)?;
            for format in self.formats(gpu) {
                check_format(format, self.dtype, shape)?;
            }
        }
        Ok(())
    }

    /// All that does not depend on a shape.
    pub(super) fn check_numbers(&self) -> Result<()> {
        if self.sparsities.is_empty() || self.batches.is_empty() {
            return bad("there is nothing to measure: a sparsity and a batch are needed".into());
        }
        if let Some(sparsity) = self.sparsities.iter().find(|s| !(0.0..=1.0).contains(*s)) {
            return bad(format!("a sparsity of {sparsity}: 0 to 1 will do"));
        }
        if let Some(batch) = self.batches.iter().find(|batch| !(1..=MOST_VECTORS).contains(*batch)) {
            return bad(format!("a batch of {batch}: 1 to {MOST_VECTORS} vectors will do"));
        }
        match self.pattern {
            Pattern::Group { keep, of } if keep == 0 || keep > of || of > 16 => {
                return bad(format!("{keep} of every {of}: 1 to all of 1 to 16 may stay"));
            }
            Pattern::Block { rows, cols } if !(1..=32).contains(&rows) || !(1..=32).contains(&cols) => {
                return bad(format!("blocks of {rows} x {cols}: 1 to 32 rows and columns will do"));
            }
            _ => {}
        }
        for &format in &self.formats {
            match (format, self.pattern) {
                (Format::Nm { keep, of }, Pattern::Group { keep: stay, of: all }) if (keep, of) == (stay, all) => {}
                (Format::Nm { .. }, Pattern::Given) => {}
                (Format::Nm { .. }, pattern) => {
                    return bad(format!("{format} does not hold the pattern {pattern}: ask for that of {format}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a matrix can be measured on the device.
    pub(super) fn check_shape(&self, gpu: &Gpu, shape: Shape, dtype: Dtype) -> Result<()> {
        if dtype.size() == 1 {
            return bad(format!("products of {dtype} are not there: F32, F16 and BF16 are"));
        }
        let (most, columns) = (gpu.max_binding(), u64::from(self.batches.iter().copied().max().unwrap_or(1)));
        let weights = u128::from(shape.rows) * u128::from(shape.cols);
        let vectors = 4 * u128::from(columns) * u128::from(shape.rows.max(shape.cols));
        if weights == 0 || weights >= 1 << 32 {
            return bad(format!("{shape} has {weights} weights: 1 to 4294967295 will do"));
        }
        let need = (weights * dtype.size() as u128).max(vectors);
        if need > u128::from(most) {
            return bad(format!(
                "{shape} of {dtype} with {columns} vectors takes a buffer of {need} bytes, the device binds {most}"
            ));
        }
        Ok(())
    }
}

fn bad(problem: String) -> Result<()> {
    Err(Error::View { what: "benchmark", problem })
}
