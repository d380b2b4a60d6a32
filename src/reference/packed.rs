use super::{Matrix, activate, bitmask, block, csr, ell, macko, nm};
use crate::{Activation, Dtype, Error, Format, Result, Shape};

/// A sparse matrix on the host: the words of its two buffers, as kernels read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// How it is stored.
    pub format: Format,
    /// Element type: F32, F16 or BF16.
    pub dtype: Dtype,
    /// Rows and columns.
    pub shape: Shape,
    /// Where things are: see `shaders/bitmask_parts.wgsl` and its like.
    pub index: Vec<u32>,
    /// The weights; in sliced ELL with their columns.
    pub values: Vec<u32>,
}

/// The kept weights of one row: columns, rising, and bits.
pub type Row = Vec<(u32, u32)>;

impl Packed {
    /// Packs the weights whose bit in `mask` is 1; every row of the mask starts a new word. Twin of `shaders/ell_pack.wgsl` and
    /// its like.
    ///
    /// # Errors
    /// [`Error::View`] where the format cannot hold such a matrix, or the mask has another number of words.
    pub fn pack(matrix: Matrix<'_>, mask: &[u32], format: Format) -> Result<Self> {
        let Matrix { dtype, shape, .. } = matrix;
        check_format(format, dtype, shape)?;
        let words = shape.mask_words_per_row() as usize;
        if mask.len() != shape.rows as usize * words {
            let problem = format!("{} words for {} rows of {words}", mask.len(), shape.rows);
            return Err(Error::View { what: "mask", problem });
        }
        let rows: Vec<Row> = (0..shape.rows as usize)
            .map(|row| {
                let kept = |col: &u32| mask[row * words + *col as usize / 32] >> (col % 32) & 1 == 1;
                let bits = |col: u32| matrix.dtype.bits(matrix.bytes, row * matrix.stride + col as usize);
                (0..shape.cols as u32).filter(kept).map(|col| (col, bits(col))).collect()
            })
            .collect();
        let (index, values) = match format {
            Format::Bitmask => bitmask::pack(&rows, shape, dtype),
            Format::SlicedEll { slice } => ell::pack(&rows, dtype, slice),
            Format::Csr => csr::pack(&rows, dtype),
            Format::Macko => macko::pack(&rows, dtype),
            Format::Nm { keep, of } => nm::pack(&rows, shape, dtype, (keep, of))?,
            Format::Block { rows: height, cols } => block::pack(&rows, dtype, (height, cols)),
        };
        Ok(Self { format, dtype, shape, index, values })
    }

    /// The kept weights, row by row.
    ///
    /// # Errors
    /// [`Error::View`] where the words contradict each other or the shape.
    pub fn rows(&self) -> Result<Vec<Row>> {
        check_format(self.format, self.dtype, self.shape)?;
        let rows = match self.format {
            Format::Bitmask => bitmask::rows(self),
            Format::SlicedEll { slice } => ell::rows(self, slice),
            Format::Csr => csr::rows(self),
            Format::Macko => macko::rows(self),
            Format::Nm { keep, of } => nm::rows(self, (keep, of)),
            Format::Block { rows, cols } => block::rows(self, (rows, cols)),
        };
        let rows = rows.ok_or_else(|| self.bad("its words contradict each other, or are too few"))?;
        let rises = |row: &Row| row.windows(2).all(|two| two[0].0 < two[1].0);
        let inside = |row: &Row| row.last().is_none_or(|&(col, _)| u64::from(col) < self.shape.cols);
        match rows.iter().position(|row| !rises(row) || !inside(row)) {
            Some(row) => Err(self.bad(&format!("columns of row {row} do not rise to below {}", self.shape.cols))),
            None => Ok(rows),
        }
    }

    fn bad(&self, problem: &str) -> Error {
        Error::View { what: "sparse matrix", problem: format!("{} in {}: {problem}", self.shape, self.format) }
    }

    /// The weights as dense rows without gaps, +0.0 where nothing is kept. Twin of `shaders/unpack.wgsl`.
    ///
    /// # Errors
    /// As [`Packed::rows`].
    pub fn unpack(&self) -> Result<Vec<u8>> {
        let size = self.dtype.size();
        let mut bytes = vec![0; self.shape.weights() as usize * size];
        for (r, row) in self.rows()?.iter().enumerate() {
            for (col, bits) in row {
                let at = (r * self.shape.cols as usize + *col as usize) * size;
                bytes[at..at + size].copy_from_slice(&bits.to_le_bytes()[..size]);
            }
        }
        Ok(bytes)
    }

    /// `activation(W · x + bias)` for each of several vectors, one behind the other: what is not kept is not multiplied.
    /// Summed in `f64` and rounded once. Twin of `shaders/ell.wgsl` and its like, which sum in `f32`.
    ///
    /// # Errors
    /// As [`Packed::rows`].
    pub fn product(&self, x: &[f32], bias: Option<&[f32]>, activation: Activation) -> Result<Vec<f32>> {
        let rows = self.rows()?;
        let one = |x: &[f32], (r, row): (usize, &Row)| {
            let term = |&(col, bits): &(u32, u32)| f64::from(self.dtype.value(bits)) * f64::from(x[col as usize]);
            let sum = row.iter().map(term).sum::<f64>();
            activate((sum + bias.map_or(0.0, |bias| f64::from(bias[r]))) as f32, activation)
        };
        let vectors = x.chunks_exact(self.shape.cols as usize);
        Ok(vectors.flat_map(|x| rows.iter().enumerate().map(|row| one(x, row)).collect::<Vec<_>>()).collect())
    }
}

/// Whether a matrix can be stored so.
pub(crate) fn check_format(format: Format, dtype: Dtype, shape: Shape) -> Result<()> {
    let bad = |problem: String| Err(Error::View { what: "sparse format", problem });
    if dtype.size() == 1 {
        return bad(format!("{dtype}: sparse matrices hold F32, F16 and BF16"));
    }
    if shape.rows == 0 || shape.cols == 0 {
        return bad(format!("{shape}: no weights"));
    }
    let weights = u128::from(shape.rows) * u128::from(shape.cols);
    if weights > u128::from(u32::MAX) - 64 {
        return bad(format!("{shape}: {weights} weights, fewer than 2^32 - 64 fit"));
    }
    match format {
        Format::Bitmask | Format::Macko => Ok(()),
        Format::Nm { keep, of } if keep == 0 || keep > of || of > 16 => {
            bad(format!("{keep}:{of}: 1 to 16 weights of a group, and as many of them kept at most, will do"))
        }
        Format::Nm { .. } => Ok(()),
        Format::Block { rows, cols } if !(1..=32).contains(&rows) || !(1..=32).contains(&cols) => {
            bad(format!("{format}: 1 to 32 rows and columns will do"))
        }
        Format::Block { cols, .. } if shape.cols.div_ceil(cols.into()) > 1 << 16 => {
            let columns = shape.cols.div_ceil(cols.into());
            bad(format!("{columns} columns of blocks, {format} has 16 bits for them: 65536 at most"))
        }
        Format::Block { .. } => Ok(()),
        _ if shape.cols > 1 << 16 => {
            bad(format!("{} columns, {format} has 16 bits for them: 65536 at most", shape.cols))
        }
        Format::Csr => Ok(()),
        Format::SlicedEll { slice } if !slice.is_power_of_two() || !(4..=64).contains(&slice) => {
            bad(format!("slices of {slice} rows: 4, 8, 16, 32 or 64 will do"))
        }
        Format::SlicedEll { .. } => Ok(()),
    }
}

/// Values of 2 or 4 bytes in words; the last one may be half full.
pub(super) fn to_words(dtype: Dtype, values: impl Iterator<Item = u32>) -> Vec<u32> {
    let values: Vec<u32> = values.collect();
    if dtype.size() == 4 {
        return values;
    }
    values.chunks(2).map(|two| two[0] | two.get(1).copied().unwrap_or(0) << 16).collect()
}

/// Value `n` of such words.
pub(super) fn from_words(dtype: Dtype, words: &[u32], n: usize) -> Option<u32> {
    if dtype.size() == 4 {
        return words.get(n).copied();
    }
    words.get(n / 2).map(|word| word >> (16 * (n % 2)) & 0xffff)
}
