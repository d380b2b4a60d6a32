//! Rows and columns that stay, from a file into a file, on the host: bytes of any element type.
//!
//! Rows that go are not read. What a thread holds is at most twice [`PIECE`], whatever the size of a row, and 4 bytes for each
//! column.
//!
//! Not on a GPU: the bytes come from a file and go to one, so that they would cross to it and back, where closing a row up is one
//! copy in memory. [`Kernels::gather`](crate::kernels::Kernels::gather) is for weights that are in buffers already.

use super::runs::Runs;
use crate::Result;

/// Bytes that are read, and written, at a time.
pub(super) const PIECE: u64 = 1 << 22;

/// Where runs are shorter than so many bytes, elements are copied one by one, which is faster.
const SHORT: u64 = 48;

/// What stays of a matrix.
pub(super) struct Gather {
    rows: Runs,
    /// Bytes of a row, all of it.
    row_bytes: u64,
    /// Bytes of a row that stay.
    columns: Runs,
    closing: Closing,
    rows_at_once: u64,
}

/// How a row is closed up.
enum Closing {
    /// All of it stays.
    Whole,
    /// Run by run.
    Runs,
    /// By the numbers of elements of so many bytes.
    Elements(usize, Vec<u32>),
}

/// Buffers of a thread.
#[derive(Default)]
pub(super) struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Gather {
    /// `columns` are places of elements that are `element` bytes each; none where all of a row stays.
    pub fn new(rows: Runs, row_bytes: u64, columns: Option<&Runs>, element: u64) -> Self {
        let closing = match columns {
            None => Closing::Whole,
            Some(columns) => {
                let short = columns.len() * element < SHORT * columns.iter().count() as u64;
                match element {
                    1 | 2 | 4 | 8 if short && row_bytes <= PIECE => Closing::Elements(
                        element as usize,
                        columns.iter().flatten().map(|place| place as u32).collect(),
                    ),
                    _ => Closing::Runs,
                }
            }
        };
        let columns = columns.map_or_else(|| Runs::all(row_bytes), |columns| columns.times(element));
        Self { rows, row_bytes, columns, closing, rows_at_once: (PIECE / row_bytes.max(1)).max(1) }
    }

    /// Shares, each of which can be done by itself: some rows, or a part of a long one.
    pub fn shares(&self) -> u64 {
        self.rows.len().div_ceil(self.rows_at_once) * self.across()
    }

    fn across(&self) -> u64 {
        self.row_bytes.div_ceil(PIECE).max(1)
    }

    /// Bytes that are read for all shares.
    pub fn bytes(&self) -> u64 {
        self.rows.len() * self.row_bytes
    }

    /// Does one: `read` is asked for bytes of the tensor, `write` is given bytes of the smaller one, each with where they begin.
    /// Returns how many of the tensor's bytes are done with.
    pub fn share(
        &self,
        share: u64,
        Buffers { input, output }: &mut Buffers,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
        write: impl Fn(u64, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let (down, across) = (share / self.across(), share % self.across());
        let first = down * self.rows_at_once;
        let rows = first..self.rows.len().min(first + self.rows_at_once);
        let at = first * self.columns.len();
        output.clear();
        if self.across() > 1 {
            let row = self.rows.part(rows).iter().next().map_or(0, |run| run.start);
            let span = across * PIECE..self.row_bytes.min((across + 1) * PIECE);
            let (before, columns) = self.columns.within(span.clone());
            input.resize((span.end - span.start) as usize, 0);
            if columns.len() > 0 {
                read(row * self.row_bytes + span.start, input)?;
                let runs = columns.iter().map(|run| run.start - span.start..run.end - span.start);
                runs.for_each(|run| output.extend_from_slice(&input[run.start as usize..run.end as usize]));
                write(at + before, output)?;
            }
            return Ok(span.end - span.start);
        }
        let all = (rows.end - rows.start) * self.row_bytes;
        input.resize(all as usize, 0);
        let mut filled = 0;
        for run in self.rows.part(rows).iter() {
            let len = ((run.end - run.start) * self.row_bytes) as usize;
            read(run.start * self.row_bytes, &mut input[filled..filled + len])?;
            filled += len;
        }
        let each = input.chunks_exact(self.row_bytes.max(1) as usize);
        match &self.closing {
            Closing::Whole => {
                write(at, input)?;
                return Ok(all);
            }
            Closing::Runs => each.for_each(|row| {
                let runs = self.columns.iter();
                runs.for_each(|run| output.extend_from_slice(&row[run.start as usize..run.end as usize]));
            }),
            Closing::Elements(1, places) => each.for_each(|row| elements::<1>(row, places, output)),
            Closing::Elements(2, places) => each.for_each(|row| elements::<2>(row, places, output)),
            Closing::Elements(4, places) => each.for_each(|row| elements::<4>(row, places, output)),
            Closing::Elements(_, places) => each.for_each(|row| elements::<8>(row, places, output)),
        }
        write(at, output)?;
        Ok(all)
    }
}

/// Appends the elements at these places.
fn elements<const SIZE: usize>(row: &[u8], places: &[u32], to: &mut Vec<u8>) {
    let start = to.len();
    to.resize(start + places.len() * SIZE, 0);
    let (row, to) = (row.as_chunks::<SIZE>().0, to[start..].as_chunks_mut::<SIZE>().0);
    to.iter_mut().zip(places).for_each(|(to, place)| *to = row[*place as usize]);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What stays, share by share in any order, against plain loops.
    fn check(rows: u64, cols: u64, element: u64, keep_rows: &[u64], keep_cols: Option<&[u64]>) {
        let row_bytes = cols * element;
        let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8;
        let columns = keep_cols.map(|keep| Runs::of_units(keep, 1));
        let gather = Gather::new(Runs::of_units(keep_rows, 1), row_bytes, columns.as_ref(), element);
        let all: Vec<u64> = (0..cols).collect();
        let keep_cols = keep_cols.unwrap_or(&all);
        let out_row = keep_cols.len() as u64 * element;
        let output = RefCell::new(vec![None; (keep_rows.len() as u64 * out_row) as usize]);
        let mut buffers = Buffers::default();
        let mut done = 0;
        for share in (0..gather.shares()).rev() {
            let read = |at: u64, to: &mut [u8]| {
                assert!(at + to.len() as u64 <= rows * row_bytes && to.len() as u64 <= PIECE);
                (at..).zip(to).for_each(|(at, to)| *to = byte(at));
                Ok(())
            };
            let write = |at: u64, bytes: &[u8]| {
                for (to, byte) in output.borrow_mut()[at as usize..].iter_mut().zip(bytes) {
                    assert!(to.replace(*byte).is_none(), "written twice");
                }
                Ok(())
            };
            done += gather.share(share, &mut buffers, read, write).unwrap();
        }
        assert_eq!(done, gather.bytes());
        let output = output.into_inner();
        for (r, row) in (0..).zip(keep_rows) {
            for (c, col) in (0..).zip(keep_cols) {
                for b in 0..element {
                    let (at, from) = (r * out_row + c * element + b, row * row_bytes + col * element + b);
                    assert_eq!(output[at as usize], Some(byte(from)), "row {row}, column {col}");
                }
            }
        }
    }

    #[test]
    fn what_stays_is_what_plain_loops_say() {
        for element in [1, 2, 3, 4, 8, 24] {
            check(1, 1, element, &[0], None);
            check(7, 5, element, &[0, 1, 5], None);
            check(7, 5, element, &[6], Some(&[1, 2, 4]));
            check(9, 70, element, &[0, 2, 3, 4, 8], Some(&(0..70).filter(|c| c % 3 > 0).collect::<Vec<_>>()));
            check(3, 200, element, &[0, 1, 2], Some(&(60..190).collect::<Vec<_>>()));
        }
        // Several shares, and rows that are longer than a piece.
        check(300, 20_000, 2, &(0..300).filter(|r| r % 5 > 0).collect::<Vec<_>>(), Some(&[0, 7, 19_999]));
        let long = PIECE + 4;
        let keep: Vec<u64> = (10..PIECE / 4 - 3).step_by(90_001).chain([PIECE / 4 - 1, PIECE / 4]).collect();
        check(3, long / 4, 4, &[0, 2], Some(&keep));
        check(2, long / 2, 2, &[1], None);
    }
}
