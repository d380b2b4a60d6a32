//! Two sets of masks side by side.

use std::collections::HashSet;

use serde::Serialize;

use super::bits;
use super::open::{Masks, short};
use super::pieces::Pieces;
use crate::{OnBytes, Result};

/// How two sets of masks differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// One entry per weight that both have a mask for, in the same shape, in the first one's order.
    pub tensors: Vec<TensorDiff>,
    /// Weights that are not compared, and why.
    pub others: Vec<Other>,
}

/// A weight's two masks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorDiff {
    /// The weight's name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// How many are kept: by the first, and by the second.
    pub kept: [u64; 2],
    /// Kept by both.
    pub both: u64,
    /// The share of the weights that are kept by both or by neither.
    pub agreement: f64,
    /// Of those that either keeps, the share that both keep (the Jaccard index); 1 where neither keeps any.
    pub overlap: f64,
}

impl TensorDiff {
    /// Weights that are kept by both or by neither.
    pub fn agree(&self) -> u64 {
        self.weights + 2 * self.both - self.kept[0] - self.kept[1]
    }

    /// Weights that are kept by either.
    pub fn either(&self) -> u64 {
        self.kept[0] + self.kept[1] - self.both
    }
}

/// A weight that is not compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// Holds masks side by side, weight by weight of the same name.
///
/// # Errors
/// Those of reading; [`Error::Cancelled`](crate::Error::Cancelled) where it was stopped.
pub fn diff(first: &Masks, second: &Masks, progress: OnBytes<'_>) -> Result<Comparison> {
    let by_name = second.by_name();
    let mut all = Comparison::default();
    let mut pairs = Vec::new();
    let mut matched = HashSet::new();
    for (number, mask) in first.masks().iter().enumerate() {
        let found = by_name.get(mask.name.as_str()).copied();
        matched.extend(found);
        let why = match found {
            None => "only in the first".into(),
            Some(other) if second.masks()[other].shape == mask.shape => {
                pairs.push([number, other]);
                continue;
            }
            Some(other) => {
                format!("the shapes differ: {} and {}", short(&mask.shape), short(&second.masks()[other].shape))
            }
        };
        all.others.push(Other { name: mask.name.clone(), why });
    }
    let only = second.masks().iter().enumerate().filter(|(number, _)| !matched.contains(number));
    all.others.extend(only.map(|(_, mask)| Other { name: mask.name.clone(), why: "only in the second".into() }));

    let sides = [first, second];
    let width = |pair: &[usize; 2]| first.width(pair[0]) + second.width(pair[1]);
    let weights = |pair: &[usize; 2]| first.masks()[pair[0]].weights;
    let total = pairs.iter().map(|pair| weights(pair) * width(pair) / 8).sum();
    let pieces = Pieces::new(pairs.iter().map(|pair| (weights(pair), width(pair))));
    let new = || (vec![[0u64; 3]; pairs.len()], [(); 2].map(|()| Vec::new()), Vec::new());
    let counts = pieces.each(total, progress, new, |(counts, buffers, scratch), piece| {
        let pair = &pairs[piece.tensor];
        for ((masks, mask), bits) in sides.into_iter().zip(pair).zip(&mut *buffers) {
            bits.resize(piece.mask_bytes(), 0);
            masks.read(*mask, piece.first, bits, scratch)?;
        }
        let [a, b] = buffers;
        let counts = &mut counts[piece.tensor];
        counts[0] += bits::count(a);
        counts[1] += bits::count(b);
        a.iter_mut().zip(&*b).for_each(|(a, b)| *a &= b);
        counts[2] += bits::count(a);
        Ok(piece.count * width(pair) / 8)
    })?;
    for (at, pair) in pairs.iter().enumerate() {
        let sum = |of: usize| counts.iter().map(|(counts, ..)| counts[at][of]).sum::<u64>();
        let mask = &first.masks()[pair[0]];
        let (name, shape, weights) = (mask.name.clone(), mask.shape.clone(), mask.weights);
        let (kept, both) = ([sum(0), sum(1)], sum(2));
        let mut tensor = TensorDiff { name, shape, weights, kept, both, agreement: 1.0, overlap: 1.0 };
        let share = |part: u64, whole: u64| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        tensor.agreement = share(tensor.agree(), weights);
        tensor.overlap = share(both, tensor.either());
        all.tensors.push(tensor);
    }
    Ok(all)
}
