//! Whether a descriptor can be carried out: everything that wgpu would refuse while recording, and what would make
//! results depend on the order of threads.

use super::descriptor::{Amount, Masks, PruneDescriptor};
use super::lopper::Lopper;
use crate::kernels::{MatrixView, Part, mask_bytes};
use crate::{Dtype, Error, Result, Scope, Target};

/// Checks a descriptor against a device's limits. Scratch is checked where its size is known.
pub fn check(descriptor: &PruneDescriptor<'_>, lopper: &Lopper) -> Result<()> {
    lopper.kernels().tuning().check()?;
    let limits = lopper.device().limits();
    let matrices = descriptor.matrices;
    for (i, view) in matrices.iter().enumerate() {
        view.check().map_err(|error| at("matrix", i, error))?;
        let bytes = view.binding_bytes();
        if bytes > limits.max_storage_buffer_binding_size {
            let limit = limits.max_storage_buffer_binding_size;
            let problem = format!("matrix {i} spans {bytes} bytes, the device binds at most {limit}: split its rows");
            return Err(Error::View { what: "matrix view", problem });
        }
        if view.weights() >= u64::from(u32::MAX) {
            let problem = format!("matrix {i} has {} weights, at most 2^32 - 2 are counted", view.weights());
            return Err(Error::View { what: "matrix view", problem });
        }
    }
    amount(descriptor)?;
    if let Scope::Group(_) = descriptor.scope {
        return Err(Error::Rule("scope `group` is not prepared: record `Kernels::group` yourself".into()));
    }
    if descriptor.scope == Scope::Global {
        one_type(matrices)?;
        let total: u64 = matrices.iter().map(MatrixView::weights).sum();
        if total >= u64::from(u32::MAX) {
            let problem = format!("the set has {total} weights, at most 2^32 - 2 are counted together");
            return Err(Error::View { what: "matrices", problem });
        }
    }
    masks(descriptor)?;
    if descriptor.apply {
        disjoint(matrices)?;
    }
    Ok(())
}

/// The same error, told of which one it speaks.
fn at(what: &str, i: usize, error: Error) -> Error {
    match error {
        Error::View { what: field, problem } => Error::View { what: field, problem: format!("{what} {i}: {problem}") },
        other => other,
    }
}

fn amount(descriptor: &PruneDescriptor<'_>) -> Result<()> {
    match descriptor.amount {
        Amount::Fixed(Target::Sparsity(s)) if !(0.0..=1.0).contains(&s) => {
            Err(Error::Rule(format!("sparsity {s} is no share: give a number from 0 (none goes) to 1 (all go)")))
        }
        Amount::Fixed(Target::Threshold(t)) if t.is_nan() || t < 0.0 => {
            Err(Error::Rule(format!("threshold {t} is no magnitude: give a number of 0 or more")))
        }
        Amount::Fixed(_) => Ok(()),
        Amount::SparsityIn { buffer, offset } => {
            let bad = |problem: String| Err(Error::View { what: "sparsity", problem });
            if !offset.is_multiple_of(4) || offset.checked_add(4).is_none_or(|end| end > buffer.size()) {
                return bad(format!("an f32 at byte {offset} of a buffer of {} bytes", buffer.size()));
            }
            Part { buffer, offset: offset - offset % 256, size: offset % 256 + 4 }.check("sparsity", 4)
        }
    }
}

/// The element type of a set.
fn one_type(matrices: &[MatrixView<'_>]) -> Result<()> {
    let types: Vec<Dtype> = matrices.iter().map(|view| view.dtype).collect();
    match types.iter().find(|&&dtype| dtype != types[0]) {
        Some(other) => {
            let problem = format!("{} and {other} under one cut: prune each type by itself", types[0]);
            Err(Error::View { what: "matrices", problem })
        }
        None => Ok(()),
    }
}

/// Buffers that a dispatch writes must not be those it reads: wgpu tracks whole buffers.
fn masks(descriptor: &PruneDescriptor<'_>) -> Result<()> {
    let weights = |buffer: &wgpu::Buffer| descriptor.matrices.iter().any(|view| view.buffer == buffer);
    if let Some(scratch) = descriptor.scratch
        && weights(scratch)
    {
        let problem = "it lies in a buffer of weights: take another".into();
        return Err(Error::View { what: "scratch", problem });
    }
    let Masks::Given(masks) = descriptor.masks else { return Ok(()) };
    if masks.len() != descriptor.matrices.len() {
        let problem = format!("{} masks for {} matrices", masks.len(), descriptor.matrices.len());
        return Err(Error::View { what: "masks", problem });
    }
    for (i, (mask, view)) in masks.iter().zip(descriptor.matrices).enumerate() {
        mask.check("mask", mask_bytes(view)).map_err(|error| at("mask", i, error))?;
        let inside = match () {
            () if weights(mask.buffer) => "a buffer of weights",
            () if descriptor.scratch == Some(mask.buffer) => "the scratch buffer",
            () => continue,
        };
        let problem = format!("mask {i}: it lies in {inside}: take another");
        return Err(Error::View { what: "mask", problem });
    }
    let mut places: Vec<_> = masks
        .iter()
        .zip(descriptor.matrices)
        .map(|(mask, view)| (mask.buffer, mask.offset, mask.offset + mask_bytes(view)))
        .collect();
    places.sort();
    match places.windows(2).find(|two| two[0].0 == two[1].0 && two[0].2 > two[1].1) {
        Some(two) => {
            let problem = format!("one ends at byte {}, another starts at byte {}", two[0].2, two[1].1);
            Err(Error::View { what: "masks", problem })
        }
        None => Ok(()),
    }
}

/// No weight may be pruned as part of two matrices.
fn disjoint(matrices: &[MatrixView<'_>]) -> Result<()> {
    let mut order: Vec<usize> = (0..matrices.len()).collect();
    order.sort_by_key(|&i| (matrices[i].buffer, matrices[i].offset));
    for (at, &i) in order.iter().enumerate() {
        let first = &matrices[i];
        for &j in &order[at + 1..] {
            let second = &matrices[j];
            if second.buffer != first.buffer || second.offset >= first.end() {
                break;
            }
            if !beside(first, second) {
                let problem = format!("matrices {i} and {j} overlap, from byte {} on", second.offset);
                return Err(Error::View { what: "matrices", problem });
            }
        }
    }
    Ok(())
}

/// Whether two matrices that share a stretch of memory share no weight: columns of one larger matrix.
fn beside(first: &MatrixView<'_>, second: &MatrixView<'_>) -> bool {
    let size = first.dtype.size() as u64;
    let apart = second.offset - first.offset;
    let column = apart / size % u64::from(first.stride);
    first.dtype == second.dtype
        && first.stride == second.stride
        && apart.is_multiple_of(size)
        && column >= u64::from(first.cols)
        && column + u64::from(second.cols) <= u64::from(first.stride)
}
