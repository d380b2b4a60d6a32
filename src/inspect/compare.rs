//! Two checkpoints side by side, on the CPU.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::numbers::numbers;
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::shared::shared;
use crate::{Dtype, Error, Result};

/// How two checkpoints differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// One entry per tensor of floats that both have in the same shape, in the first one's order; element types may differ.
    pub tensors: Vec<TensorComparison>,
    /// Tensors of either that are not compared, and why.
    pub others: Vec<Other>,
}

/// A tensor that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorComparison {
    /// Its name.
    pub name: String,
    /// Its element types, by their safetensors names: in the first, and in the second.
    pub dtypes: [String; 2],
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// ±0 in the first, and in the second.
    pub zeros: [u64; 2],
    /// ±0 in both.
    pub both_zero: u64,
    /// The share of the weights that are ±0 in both or in neither.
    pub agreement: f64,
    /// Weights whose values differ; NaN differs from every number.
    pub differ: u64,
    /// ‖A − B‖ / ‖A‖ in the Frobenius norm; 0 where they are the same. ‖A‖ is of those that are finite. Infinite where one
    /// that differs is not finite, or A is all zeros and B is not: JSON has `null` for that.
    pub error: f64,
}

impl TensorComparison {
    /// Weights that are ±0 in both or in neither.
    pub fn agree(&self) -> u64 {
        self.weights + 2 * self.both_zero - self.zeros[0] - self.zeros[1]
    }
}

/// A tensor that is not compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// Weights of a thread's share at a time.
const SHARE: u64 = 1 << 18;

/// Compares two checkpoints, tensor by tensor of the same name; `progress` is told bytes done and bytes in all, and stops it
/// with [`ControlFlow::Break`]. Each thread takes 4 MiB.
///
/// # Errors
/// Those of reading; [`Error::Cancelled`] where it was stopped.
pub fn compare(
    first: &Checkpoint,
    second: &Checkpoint,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<Comparison> {
    let number = |(number, info): (usize, &TensorInfo)| (info.name.clone(), number);
    let mut rest: HashMap<String, usize> = second.tensors().iter().enumerate().map(number).collect();
    let mut pairs = Vec::new();
    let mut all = Comparison::default();
    for (number, info) in first.tensors().iter().enumerate() {
        let found = rest.remove(&info.name).ok_or_else(|| "only in the first".to_string());
        match found.and_then(|other| Ok((other, types(info, &second.tensors()[other])?))) {
            Ok((other, dtypes)) => pairs.push(Pair { sides: [(first, number), (second, other)], dtypes }),
            Err(why) => all.others.push(Other { name: info.name.clone(), why }),
        }
    }
    let only = second.tensors().iter().filter(|info| rest.contains_key(&info.name));
    all.others.extend(only.map(|info| Other { name: info.name.clone(), why: "only in the second".into() }));

    let total = pairs.iter().map(Pair::bytes).sum();
    let done = AtomicU64::new(0);
    let on_bytes = |bytes: u64| match progress(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    };
    for pair in pairs {
        all.tensors.push(pair.compare(&on_bytes)?);
    }
    Ok(all)
}

/// The element types of two tensors that can be compared, or why they cannot.
fn types(a: &TensorInfo, b: &TensorInfo) -> Result<[Dtype; 2], String> {
    let dtype = |info: &TensorInfo| info.prunable().ok_or_else(|| format!("{} is not compared", info.dtype));
    if a.shape != b.shape {
        return Err("the shapes differ".into());
    }
    Ok([dtype(a)?, dtype(b)?])
}

/// A tensor in both, with its number in each.
struct Pair<'a> {
    sides: [(&'a Checkpoint, usize); 2],
    dtypes: [Dtype; 2],
}

impl Pair<'_> {
    fn bytes(&self) -> u64 {
        self.sides.iter().map(|(checkpoint, number)| checkpoint.tensors()[*number].bytes()).sum()
    }

    fn compare(&self, on_bytes: &(dyn Fn(u64) -> Result<()> + Sync)) -> Result<TensorComparison> {
        let (checkpoint, number) = self.sides[0];
        let info = &checkpoint.tensors()[number];
        let weights: u64 = info.shape.iter().product();
        let sums = shared(weights.div_ceil(SHARE), Sums::default, |sums, share| {
            let start = share * SHARE;
            let count = SHARE.min(weights - start) as usize;
            let mut buffers = self.dtypes.map(|dtype| vec![0; count * dtype.size()]);
            for (((checkpoint, number), dtype), buffer) in self.sides.into_iter().zip(self.dtypes).zip(&mut buffers) {
                checkpoint.read_at(number, start * dtype.size() as u64, buffer)?;
            }
            sums.take(self.dtypes, &buffers, count);
            on_bytes(buffers.iter().map(|buffer| buffer.len() as u64).sum())
        })?;
        let Sums { zeros, both_zero, differ, energy, difference } = sums.into_iter().fold(Sums::default(), Sums::plus);
        let agree = weights + 2 * both_zero - zeros[0] - zeros[1];
        Ok(TensorComparison {
            name: info.name.clone(),
            dtypes: self.dtypes.map(|dtype| dtype.to_string()),
            shape: info.shape.clone(),
            weights,
            zeros,
            both_zero,
            agreement: if weights == 0 { 1.0 } else { agree as f64 / weights as f64 },
            differ,
            error: if differ == 0 { 0.0 } else { (difference / energy).sqrt() },
        })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    zeros: [u64; 2],
    both_zero: u64,
    differ: u64,
    energy: f64,
    difference: f64,
}

impl Sums {
    fn take(&mut self, dtypes: [Dtype; 2], buffers: &[Vec<u8>; 2], count: usize) {
        let mut values = [(); 2].map(|()| vec![0.0; count]);
        for ((dtype, buffer), values) in dtypes.into_iter().zip(buffers).zip(&mut values) {
            numbers(dtype, buffer, values);
        }
        for (a, b) in values[0].iter().zip(&values[1]) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            self.zeros[0] += u64::from(a == 0.0);
            self.zeros[1] += u64::from(b == 0.0);
            self.both_zero += u64::from(a == 0.0 && b == 0.0);
            self.energy += if a.is_finite() { a * a } else { 0.0 };
            if a != b && !(a.is_nan() && b.is_nan()) {
                self.differ += 1;
                let square = (a - b) * (a - b);
                self.difference += if square.is_nan() { f64::INFINITY } else { square };
            }
        }
    }

    fn plus(self, other: Sums) -> Sums {
        Sums {
            zeros: [self.zeros[0] + other.zeros[0], self.zeros[1] + other.zeros[1]],
            both_zero: self.both_zero + other.both_zero,
            differ: self.differ + other.differ,
            energy: self.energy + other.energy,
            difference: self.difference + other.difference,
        }
    }
}
