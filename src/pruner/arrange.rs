//! How a tensor becomes the matrix that is pruned: its dimensions in the order that the rule asks for.
//!
//! Of every tensor there are outputs `O`, inputs `I`, and the places of a kernel `K` (one, but in convolutions):
//!
//! ```text
//! stored     out-in [O, I, K]   in-out [K, I, O]
//! as matrix  of weights, rows, blocks: O × (I K)     of groups along the inputs: (O K) × I     of columns: I × (O K)
//! ```
//!
//! Ties go in the order of the matrix, so a transposed tensor with the other layout gives the transposed mask.

use super::Layout;
use crate::{Result, Shape};

/// The dimensions of a tensor, as a rule sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axes {
    pub outputs: u64,
    pub inputs: u64,
    pub kernel: u64,
}

impl Axes {
    /// A tensor of one dimension is one output. Saturates only where a dimension of 0 makes the number of weights 0
    /// anyway.
    pub fn new(shape: &[u64], layout: Layout) -> Self {
        let (outputs, inputs, kernel) = match (shape, layout) {
            ([], _) => (1, 1, &[][..]),
            ([inputs], _) => (1, *inputs, &[][..]),
            ([outputs, inputs, kernel @ ..], Layout::OutIn) => (*outputs, *inputs, kernel),
            ([kernel @ .., inputs, outputs], Layout::InOut) => (*outputs, *inputs, kernel),
        };
        Self { outputs, inputs, kernel: kernel.iter().fold(1, |product: u64, dim| product.saturating_mul(*dim)) }
    }
}

/// A dimension: how many there are, and how many elements lie from one to the next in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dim {
    len: u64,
    stride: u64,
}

/// What the rows and columns of the matrix are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Outputs; columns are inputs and kernel.
    Outputs,
    /// Outputs and kernel; columns are inputs.
    OutputsOfKernel,
    /// Inputs; columns are outputs and kernel.
    Inputs,
}

/// A tensor's elements in the order of its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrangement {
    /// From the slowest to the fastest in the matrix.
    dims: [Dim; 3],
    shape: Shape,
    /// Bytes of an element.
    size: u64,
    /// Columns that share an input, one after the other.
    per_input: u64,
}

impl Arrangement {
    /// For a tensor of this shape, none of whose dimensions is 0, with elements of `size` bytes.
    pub fn new(shape: &[u64], layout: Layout, rows: Rows, size: u64) -> Self {
        let Axes { outputs: o, inputs: i, kernel: k } = Axes::new(shape, layout);
        let strides = if layout == Layout::OutIn { [i * k, k, 1] } else { [1, o, i * o] };
        let dim = |(len, stride)| Dim { len, stride };
        let [outputs, inputs, kernel] = [(o, strides[0]), (i, strides[1]), (k, strides[2])].map(dim);
        let (dims, shape) = match rows {
            Rows::Outputs => ([outputs, inputs, kernel], Shape::new(outputs.len, inputs.len * kernel.len)),
            Rows::OutputsOfKernel => ([outputs, kernel, inputs], Shape::new(outputs.len * kernel.len, inputs.len)),
            Rows::Inputs => ([inputs, outputs, kernel], Shape::new(inputs.len, outputs.len * kernel.len)),
        };
        let per_input = if rows == Rows::Outputs { kernel.len } else { 1 };
        Self { dims, shape, size, per_input }
    }

    /// Rows and columns of the matrix.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Columns that share an input, one after the other.
    pub fn columns_per_input(&self) -> u64 {
        self.per_input
    }

    /// The same for elements of another size.
    pub fn of_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    /// Whether the matrix is the tensor as it lies.
    pub fn is_as_stored(&self) -> bool {
        let [a, b, c] = self.dims;
        let lies = |dim: Dim, inner: u64| dim.len == 1 || dim.stride == inner;
        lies(c, 1) && lies(b, c.len) && lies(a, b.len * c.len)
    }

    /// Bytes from one step of the slowest dimension to the next: what is read and written at least.
    pub fn slab_bytes(&self) -> u64 {
        self.dims[1].len * self.dims[2].len * self.size
    }

    /// Fills `slabs` with those from number `first` on; `load(place in the tensor, bytes of it)` reads stretches.
    pub fn gather(
        &self,
        first: u64,
        slabs: &mut [u8],
        mut load: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let stretches = self.stretches(first, slabs.len());
        let mut stretch = vec![0; stretches.bytes];
        for (place, logical) in places(&stretches.outer) {
            load((stretches.start + place) * self.size, &mut stretch)?;
            for (i, (_, within)) in places(&stretches.whole).enumerate() {
                slabs[self.element(logical + within)].copy_from_slice(&stretch[self.element(i as u64)]);
            }
        }
        Ok(())
    }

    /// The way back: `store(place in the tensor, bytes of it)` writes stretches.
    pub fn scatter(&self, first: u64, slabs: &[u8], mut store: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let stretches = self.stretches(first, slabs.len());
        let mut stretch = vec![0; stretches.bytes];
        for (place, logical) in places(&stretches.outer) {
            for (i, (_, within)) in places(&stretches.whole).enumerate() {
                stretch[self.element(i as u64)].copy_from_slice(&slabs[self.element(logical + within)]);
            }
            store((stretches.start + place) * self.size, &stretch)?;
        }
        Ok(())
    }

    fn element(&self, number: u64) -> std::ops::Range<usize> {
        (number * self.size) as usize..((number + 1) * self.size) as usize
    }

    /// Where so many bytes of slabs lie in the tensor.
    fn stretches(&self, first: u64, bytes: usize) -> Stretches {
        let [slowest, b, c] = self.dims;
        let slowest = Dim { len: bytes as u64 / self.slab_bytes(), ..slowest };
        let mut order = vec![(slowest, b.len * c.len), (b, c.len), (c, 1)];
        order.sort_by_key(|(dim, _)| std::cmp::Reverse((dim.stride, dim.len)));
        // What lies within the slowest dimension comes in one piece.
        let whole = order.split_off(order.iter().position(|(dim, _)| *dim == slowest).unwrap_or(0));
        let elements = whole.iter().map(|(dim, _)| dim.len).product::<u64>();
        Stretches { start: first * slowest.stride, outer: order, whole, bytes: (elements * self.size) as usize }
    }
}

/// Stretches of a tensor: one from each place of `outer`, with the elements at the places of `whole`. Dimensions are in the
/// order of the tensor, each with the elements from one to the next in the slabs.
struct Stretches {
    /// Elements before the first.
    start: u64,
    outer: Vec<(Dim, u64)>,
    whole: Vec<(Dim, u64)>,
    /// Bytes of each.
    bytes: usize,
}

/// `(place in the tensor, place in the slabs)` of all combinations of dimensions, the last one fastest.
fn places(dims: &[(Dim, u64)]) -> impl Iterator<Item = (u64, u64)> {
    let all: u64 = dims.iter().map(|(dim, _)| dim.len).product();
    let (mut index, mut stored, mut logical) = ([0; 3], 0, 0);
    (0..all).map(move |_| {
        let here = (stored, logical);
        for (index, (dim, step)) in index.iter_mut().zip(dims).rev() {
            *index += 1;
            stored += dim.stride;
            logical += step;
            if *index < dim.len {
                break;
            }
            stored -= dim.stride * dim.len;
            logical -= step * dim.len;
            *index = 0;
        }
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensor's elements in the order of the matrix, by indices.
    fn expected(shape: &[u64], layout: Layout, rows: Rows) -> Vec<u16> {
        let (o, i, k) = match (shape, layout) {
            ([i], _) => (1, *i, 1),
            ([o, i, k @ ..], Layout::OutIn) => (*o, *i, k.iter().product()),
            ([k @ .., i, o], Layout::InOut) => (*o, *i, k.iter().product()),
            _ => unreachable!(),
        };
        let stored = |a, b, c| match (layout, shape.len()) {
            (_, 1) => b,
            (Layout::OutIn, _) => (a * i + b) * k + c,
            (Layout::InOut, _) => (c * i + b) * o + a,
        };
        let mut all = Vec::new();
        let (first, second, third) = match rows {
            Rows::Outputs => (o, i, k),
            Rows::OutputsOfKernel => (o, k, i),
            Rows::Inputs => (i, o, k),
        };
        for x in 0..first {
            for y in 0..second {
                for z in 0..third {
                    all.push(match rows {
                        Rows::Outputs => stored(x, y, z),
                        Rows::OutputsOfKernel => stored(x, z, y),
                        Rows::Inputs => stored(y, x, z),
                    } as u16);
                }
            }
        }
        all
    }

    #[test]
    fn every_arrangement_is_what_its_indices_say_there_and_back() {
        for shape in [&[7][..], &[5, 4], &[1, 6], &[6, 1], &[4, 3, 5], &[3, 2, 4, 5], &[1, 1, 1]] {
            for layout in [Layout::OutIn, Layout::InOut] {
                for rows in [Rows::Outputs, Rows::OutputsOfKernel, Rows::Inputs] {
                    let n: u64 = shape.iter().product();
                    let tensor: Vec<u8> = (0..n as u16).flat_map(u16::to_le_bytes).collect();
                    let want: Vec<u8> = expected(shape, layout, rows).into_iter().flat_map(u16::to_le_bytes).collect();
                    let arrangement = Arrangement::new(shape, layout, rows, 2);
                    assert_eq!(arrangement.shape().weights(), n);
                    assert_eq!(arrangement.is_as_stored(), want == tensor, "{shape:?} {layout:?} {rows:?}");
                    let slab = arrangement.slab_bytes() as usize;
                    for per in [1, 2, 100] {
                        let mut back = vec![0xee; tensor.len()];
                        for (number, want) in want.chunks(per * slab).enumerate() {
                            let mut slabs = vec![0xee; want.len()];
                            let first = (number * per) as u64;
                            let read = |at: u64, to: &mut [u8]| {
                                to.copy_from_slice(&tensor[at as usize..at as usize + to.len()]);
                                Ok(())
                            };
                            arrangement.gather(first, &mut slabs, read).unwrap();
                            assert_eq!(slabs, want, "{shape:?} {layout:?} {rows:?} {per}");
                            let write = |at: u64, from: &[u8]| {
                                back[at as usize..at as usize + from.len()].copy_from_slice(from);
                                Ok(())
                            };
                            arrangement.scatter(first, &slabs, write).unwrap();
                        }
                        assert_eq!(back, tensor);
                    }
                }
            }
        }
    }
}
