//! Where a tensor's elements lie in a file, and how they are read and written in row-major, little-endian order.

use std::ops::Range;

use safetensors::Dtype;

use super::problem::ContainerProblem as Problem;
use crate::Result;

/// Where the elements of a tensor lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the file.
    pub file: usize,
    /// The byte at which element 0 begins.
    pub at: u64,
    /// Bytes that a swap turns round: 1 where none is needed.
    pub swap: usize,
    /// None where elements lie in row-major order without gaps.
    pub strided: Option<Strided>,
}

/// Elements that lie some steps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strided {
    pub size: u64,
    /// Dimensions, and elements from one to the next in each; none of the dimensions is 0.
    pub dims: Vec<(u64, u64)>,
}

impl Place {
    pub fn plain(file: usize, at: u64) -> Self {
        Self { file, at, swap: 1, strided: None }
    }

    /// A place for a tensor of this shape and these strides (in elements), and the bytes that it spans from `at` on. None if
    /// that overflows.
    pub fn strided(file: usize, at: u64, size: u64, shape: &[u64], strides: &[u64]) -> Option<(Self, u64)> {
        if shape.contains(&0) {
            return Some((Self::plain(file, at), 0));
        }
        let reach = shape
            .iter()
            .zip(strides)
            .try_fold(0u64, |sum, (dim, stride)| sum.checked_add((dim - 1).checked_mul(*stride)?))?;
        let bytes = reach.checked_add(1)?.checked_mul(size)?;
        at.checked_add(bytes)?;
        let mut next = 1u64;
        let plain = shape.iter().zip(strides).rev().all(|(dim, stride)| {
            let fits = *dim == 1 || *stride == next;
            next = next.saturating_mul(*dim);
            fits
        });
        let dims = shape.iter().copied().zip(strides.iter().copied()).collect();
        Some((Self { file, at, swap: 1, strided: (!plain).then_some(Strided { size, dims }) }, bytes))
    }

    /// Bytes of one swapped unit, for elements whose file has the other byte order.
    pub fn swapped(self, dtype: Dtype) -> Self {
        let swap = if dtype == Dtype::C64 { 4 } else { dtype.bitsize() / 8 };
        Self { swap: swap.max(1), ..self }
    }

    /// Whether the tensor's bytes are in the file as they are here.
    pub fn is_plain(&self) -> bool {
        self.swap <= 1 && self.strided.is_none()
    }

    /// Reads bytes `range` of the tensor, whole elements, into `buf`. `read(at, buf)` reads the file.
    pub fn read(&self, range: Range<u64>, buf: &mut [u8], read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<()> {
        match &self.strided {
            None => read(self.at + range.start, buf)?,
            Some(strided) => {
                let mut block = Vec::new();
                let size = strided.size as usize;
                strided.runs(range.start / strided.size..range.end / strided.size, &mut |run| {
                    let span = ((run.len - 1) * run.stride + 1) as usize * size;
                    block.resize(span, 0);
                    read(self.at + run.stored * strided.size, &mut block)?;
                    for i in 0..run.len as usize {
                        let (to, from) =
                            ((run.index + i as u64 * run.step) as usize * size, i * run.stride as usize * size);
                        buf[to..to + size].copy_from_slice(&block[from..from + size]);
                    }
                    Ok(())
                })?;
            }
        }
        self.turn(buf);
        Ok(())
    }

    /// Writes bytes `range` of the tensor, whole elements. `write(at, bytes)` writes to the file.
    pub fn write(&self, range: Range<u64>, bytes: &[u8], write: impl Fn(u64, &[u8]) -> Result<()>) -> Result<()> {
        if self.is_plain() {
            return write(self.at + range.start, bytes);
        }
        let mut bytes = bytes.to_vec();
        self.turn(&mut bytes);
        let Some(strided) = &self.strided else { return write(self.at + range.start, &bytes) };
        let (mut block, size) = (Vec::new(), strided.size as usize);
        strided.runs(range.start / strided.size..range.end / strided.size, &mut |run| {
            // Elements that lie together are written together, others one by one: what is between them is not theirs.
            let together = if run.stride == 1 { run.len } else { 1 };
            for first in (0..run.len).step_by(together as usize) {
                block.clear();
                for i in first..first + together {
                    let from = (run.index + i * run.step) as usize * size;
                    block.extend_from_slice(&bytes[from..from + size]);
                }
                write(self.at + (run.stored + first * run.stride) * strided.size, &block)?;
            }
            Ok(())
        })
    }

    fn turn(&self, bytes: &mut [u8]) {
        if self.swap > 1 {
            bytes.chunks_exact_mut(self.swap).for_each(<[u8]>::reverse);
        }
    }
}

/// Elements with equal steps between them, in the file and in the row-major order.
struct Run {
    /// The first one's place in the file, in elements, and from one to the next.
    stored: u64,
    stride: u64,
    /// The first one's place in the range that is asked for, and from one to the next.
    index: u64,
    step: u64,
    len: u64,
}

/// The most bytes from the first to the last element of a run.
const SPAN: u64 = 1 << 20;

impl Strided {
    /// Elements `range`, in row-major order, as runs that are as close in the file as can be.
    fn runs(&self, range: Range<u64>, each: &mut dyn FnMut(Run) -> Result<()>) -> Result<()> {
        self.part(0, 0, 0, range, each)
    }

    /// Elements `range` of those with the first `axis` indices fixed, which begin at `stored`: what is left of one index at
    /// either end, and whole ones between. `index` is where the range's first element goes.
    fn part(
        &self,
        axis: usize,
        stored: u64,
        index: u64,
        range: Range<u64>,
        each: &mut dyn FnMut(Run) -> Result<()>,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let Some((_, stride)) = self.dims.get(axis) else {
            return each(Run { stored, stride: 1, index, step: 1, len: 1 });
        };
        let inner: u64 = self.dims[axis + 1..].iter().map(|(dim, _)| dim).product();
        let (first, last) = (range.start / inner, (range.end - 1) / inner);
        if first == last && range.end - range.start < inner {
            let base = first * inner;
            return self.part(axis + 1, stored + first * stride, index, range.start - base..range.end - base, each);
        }
        let (whole_from, whole_to) = (range.start.div_ceil(inner), range.end / inner);
        if first < whole_from {
            let base = first * inner;
            self.part(axis + 1, stored + first * stride, index, range.start - base..inner, each)?;
        }
        if whole_from < whole_to {
            let mut dims = vec![(whole_to - whole_from, *stride, inner)];
            let mut step = inner;
            dims.extend(self.dims[axis + 1..].iter().map(|(dim, stride)| {
                step /= dim;
                (*dim, *stride, step)
            }));
            self.block(dims, stored + whole_from * stride, index + whole_from * inner - range.start, each)?;
        }
        if whole_to <= last && whole_to >= whole_from {
            let at = index + whole_to * inner - range.start;
            self.part(axis + 1, stored + whole_to * stride, at, 0..range.end - whole_to * inner, each)?;
        }
        Ok(())
    }

    /// A block of `(len, stride in the file, step in the order)` per dimension: runs along the one that is closest in the file.
    fn block(
        &self,
        mut dims: Vec<(u64, u64, u64)>,
        stored: u64,
        index: u64,
        each: &mut dyn FnMut(Run) -> Result<()>,
    ) -> Result<()> {
        dims.retain(|(len, ..)| *len > 1);
        let closest = (0..dims.len()).min_by_key(|d| (dims[*d].1.max(1), u64::MAX - dims[*d].0));
        let Some(closest) = closest else { return each(Run { stored, stride: 1, index, step: 1, len: 1 }) };
        let (len, stride, step) = dims.remove(closest);
        let most = (SPAN / self.size / stride.max(1)).max(1);
        let mut odometer = vec![0; dims.len()];
        loop {
            let at =
                |of: fn(&(u64, u64, u64)) -> u64| odometer.iter().zip(&dims).map(|(i, dim)| i * of(dim)).sum::<u64>();
            let (from, to) = (stored + at(|d| d.1), index + at(|d| d.2));
            let mut done = 0;
            while done < len {
                let part = most.min(len - done);
                each(Run { stored: from + done * stride, stride, index: to + done * step, step, len: part })?;
                done += part;
            }
            let Some(turn) = (0..dims.len()).rev().find(|d| odometer[*d] + 1 < dims[*d].0) else { return Ok(()) };
            odometer[turn] += 1;
            odometer[turn + 1..].fill(0);
        }
    }
}

/// The problem of a tensor whose elements leave what holds them.
pub(super) fn leaves(tensor: &str, needed: u64, have: u64) -> Problem {
    let what = format!("its elements need {needed} bytes, there are {have}: it is damaged or not fully downloaded");
    Problem::Tensor { tensor: tensor.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Elements in row-major order, one index after the other.
    fn expected(shape: &[u64], strides: &[u64]) -> Vec<u64> {
        let mut all = vec![0];
        for (dim, stride) in shape.iter().zip(strides) {
            all = all.iter().flat_map(|base| (0..*dim).map(move |i| base + i * stride)).collect();
        }
        all
    }

    #[test]
    fn any_range_of_any_strides_is_read_as_its_indices_say_and_written_back() {
        let cases: [(&[u64], &[u64]); 9] = [
            (&[3, 4], &[1, 3]),
            (&[2, 3, 4], &[1, 2, 6]),
            (&[2, 3, 4], &[4, 8, 1]),
            (&[5], &[3]),
            (&[4, 1, 3], &[6, 99, 2]),
            (&[3, 2, 2, 3], &[1, 18, 9, 3]),
            (&[1, 1], &[7, 7]),
            (&[6, 5], &[5, 1]),
            (&[], &[]),
        ];
        for (shape, strides) in cases {
            let want = expected(shape, strides);
            let reach = want.iter().max().unwrap() + 1;
            let file: Vec<u8> = (0..3 + reach as u16).flat_map(u16::to_le_bytes).collect();
            let (place, bytes) = Place::strided(0, 6, 2, shape, strides).unwrap();
            assert_eq!(bytes, 2 * reach);
            for swapped in [false, true] {
                let place = if swapped { place.clone().swapped(Dtype::F16) } else { place.clone() };
                let element = |index: u64| {
                    if swapped { (3 + index as u16).to_be_bytes() } else { (3 + index as u16).to_le_bytes() }
                };
                for from in 0..want.len() {
                    for to in from + 1..=want.len() {
                        let range = 2 * from as u64..2 * to as u64;
                        let mut buf = vec![0xee; 2 * (to - from)];
                        let read = |at: u64, buf: &mut [u8]| {
                            buf.copy_from_slice(&file[at as usize..at as usize + buf.len()]);
                            Ok(())
                        };
                        place.read(range.clone(), &mut buf, read).unwrap();
                        let values: Vec<u8> = want[from..to].iter().flat_map(|index| element(*index)).collect();
                        assert_eq!(buf, values, "{shape:?} {strides:?} {from}..{to}");
                        let written = RefCell::new(vec![0u8; file.len()]);
                        let write = |at: u64, bytes: &[u8]| {
                            written.borrow_mut()[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
                            Ok(())
                        };
                        place.write(range, &buf, write).unwrap();
                        let mut all = vec![0u8; file.len()];
                        for index in &want[from..to] {
                            let at = 6 + 2 * *index as usize;
                            all[at..at + 2].copy_from_slice(&file[at..at + 2]);
                        }
                        assert_eq!(written.into_inner(), all, "{shape:?} {strides:?} {from}..{to}");
                    }
                }
            }
        }
    }

    #[test]
    fn strides_that_overflow_are_none() {
        assert!(Place::strided(0, 0, 4, &[u64::MAX], &[u64::MAX]).is_none());
        assert!(Place::strided(0, u64::MAX, 4, &[2], &[1]).is_none());
        assert!(Place::strided(0, 0, 4, &[1 << 40, 1 << 40], &[0, 0]).is_some());
        assert_eq!(Place::strided(0, 9, 4, &[0, u64::MAX], &[u64::MAX, 1]), Some((Place::plain(0, 9), 0)));
    }
}
