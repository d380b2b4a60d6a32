//! A sparsity for each tensor, so that all of them together have the one that is asked for.

use super::Magnitudes;
use crate::quota;
use crate::{Error, Result};

/// How a sparsity is shared out among tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Allocation<'a> {
    /// The same for each.
    Uniform,
    /// So that the sum over the tensors of ‖W − W′‖² / ‖W‖² is the least that it can be: the last weight that goes costs the
    /// same everywhere.
    Error,
    /// Tensors of which a larger share are outliers keep more (OWL: Yin et al., "Outlier Weighed Layerwise Sparsity", 2023):
    /// shares are stretched to a range of `2 × lambda` around the sparsity that is asked for. The paper has 0.08.
    Owl {
        /// The share of outliers of each tensor.
        outliers: &'a [f64],
        /// Half the range of sparsities.
        lambda: f64,
    },
}

/// How many weights of each tensor go, so that `sparsity` of all do: exactly `quota(sparsity, all)`. `bounds` are the
/// smallest and the largest sparsity that a tensor may get.
///
/// # Errors
/// [`Error::Rule`] where numbers are no shares, or no sparsities within the bounds add up to what is asked.
pub fn allocate(
    tensors: &[&Magnitudes],
    sparsity: f64,
    allocation: Allocation<'_>,
    bounds: (f64, f64),
) -> Result<Vec<u64>> {
    let share = |what: &str, s: f64| match (0.0..=1.0).contains(&s) {
        true => Ok(()),
        false => Err(Error::Rule(format!("{what} {s} is no share: give a number from 0 to 1"))),
    };
    share("sparsity", sparsity)?;
    share("least sparsity", bounds.0)?;
    share("largest sparsity", bounds.1)?;
    let weights = || tensors.iter().map(|tensor| tensor.weights());
    let all = weights().sum();
    let goes = quota(sparsity, all);
    let room: Vec<Room> = weights()
        .map(|n| Room { least: (bounds.0 * n as f64).ceil() as u64, most: (bounds.1 * n as f64).floor() as u64 })
        .collect();
    let (least, most) = room.iter().fold((0, 0), |(least, most), room| (least + room.least, most + room.most));
    if room.iter().any(|room| room.least > room.most) || goes < least || goes > most {
        let part = |n: u64| n as f64 / all.max(1) as f64;
        return Err(Error::Rule(format!(
            "a sparsity of {sparsity} cannot be shared out if each tensor's is between {} and {}: together they have {:.6} to \
             {:.6}",
            bounds.0,
            bounds.1,
            part(least),
            part(most)
        )));
    }
    Ok(match allocation {
        Allocation::Error => by_error(tensors, goes, &room),
        Allocation::Uniform => by_share(&weights().map(|n| (n, sparsity)).collect::<Vec<_>>(), goes, &room),
        Allocation::Owl { outliers, lambda } => {
            let shares = stretched(outliers, lambda).into_iter().map(|more| sparsity - more);
            by_share(&weights().zip(shares).collect::<Vec<_>>(), goes, &room)
        }
    })
}

/// How many weights of a tensor may go.
#[derive(Debug, Clone, Copy)]
struct Room {
    least: u64,
    most: u64,
}

/// The cheapest weights of all tensors, as far as there is room.
fn by_error(tensors: &[&Magnitudes], goes: u64, room: &[Room]) -> Vec<u64> {
    // What each bin costs, of the part that is neither sure to go nor sure to stay.
    let mut costs: Vec<(f64, usize, u64)> = Vec::new();
    for (number, (tensor, room)) in tensors.iter().zip(room).enumerate() {
        let mut before = 0;
        for (square, count) in tensor.squares() {
            let (first, last) = (before.max(room.least), (before + count).min(room.most));
            if first < last {
                costs.push((if tensor.energy() > 0.0 { square / tensor.energy() } else { 0.0 }, number, last - first));
            }
            before += count;
        }
    }
    // Stable: of equal costs, the first tensor's goes first.
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut taken: Vec<u64> = room.iter().map(|room| room.least).collect();
    let mut left = goes - taken.iter().sum::<u64>();
    for (_, number, count) in costs {
        let takes = count.min(left);
        taken[number] += takes;
        left -= takes;
        if left == 0 {
            break;
        }
    }
    taken
}

/// So many of each, `(weights, share)`, all shares raised or lowered by the same until they add up.
fn by_share(tensors: &[(u64, f64)], goes: u64, room: &[Room]) -> Vec<u64> {
    let wanted = |(n, share): (u64, f64), room: &Room, by: f64| {
        (n as f64 * (share + by)).clamp(room.least as f64, room.most as f64)
    };
    let sum = |by: f64| tensors.iter().zip(room).map(|(tensor, room)| wanted(*tensor, room, by)).sum::<f64>();
    let (mut low, mut high) = (-2.0, 2.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if sum(middle) < goes as f64 { low = middle } else { high = middle }
    }
    let wanted: Vec<f64> = tensors.iter().zip(room).map(|(tensor, room)| wanted(*tensor, room, high)).collect();
    let mut taken: Vec<u64> =
        wanted.iter().zip(room).map(|(wanted, room)| (wanted.floor() as u64).clamp(room.least, room.most)).collect();
    // The largest remainders are rounded up; should sums in f64 have gone astray, more than one each.
    let mut order: Vec<usize> = (0..taken.len()).collect();
    order.sort_by(|a, b| wanted[*b].fract().total_cmp(&wanted[*a].fract()));
    let mut sum: u64 = taken.iter().sum();
    while sum != goes {
        for &number in &order {
            let (up, down) = (taken[number] < room[number].most, taken[number] > room[number].least);
            if sum < goes && up {
                (taken[number], sum) = (taken[number] + 1, sum + 1);
            } else if sum > goes && down {
                (taken[number], sum) = (taken[number] - 1, sum - 1);
            }
        }
    }
    taken
}

/// Outlier shares, stretched to a range of `2 × lambda` around 0.
fn stretched(outliers: &[f64], lambda: f64) -> Vec<f64> {
    let least = outliers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = outliers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if most > least { most - least } else { 1.0 };
    let scaled: Vec<f64> = outliers.iter().map(|share| (share - least) / range * 2.0 * lambda).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len().max(1) as f64;
    scaled.into_iter().map(|share| share - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::super::magnitudes::bins;
    use super::*;
    use crate::Dtype;
    use proptest::prelude::*;

    fn of(values: &[f32]) -> Magnitudes {
        let mut counts = vec![0; bins(Dtype::BF16)];
        values.iter().for_each(|value| counts[(value.to_bits() >> 16) as usize] += 1);
        Magnitudes::new(Dtype::BF16, &counts, counts[0], None)
    }

    #[test]
    fn owl_is_the_papers_formula() {
        // all_layer_ratio of its code, for shares 1, 2 and 4 %, lambda 0.08, sparsity 0.7: densities.
        let stretched = stretched(&[0.01, 0.02, 0.04], 0.08);
        let expected = [0.0, 0.16 / 3.0, 0.16].map(|r: f64| r - (0.16 / 3.0 + 0.16) / 3.0);
        assert!(stretched.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{stretched:?}");
    }

    #[test]
    fn what_cannot_be_shared_out_is_refused_with_numbers() {
        let tensor = of(&[1.0; 10]);
        let ask = |s, bounds| allocate(&[&tensor], s, Allocation::Uniform, bounds).unwrap_err().to_string();
        assert!(ask(0.5, (0.6, 1.0)).contains("0.600000 to 1.000000"));
        assert!(ask(0.5, (0.0, 0.4)).contains("0.000000 to 0.400000"));
        assert!(ask(1.5, (0.0, 1.0)).contains("1.5 is no share"));
        assert!(allocate(&[], 0.5, Allocation::Error, (0.0, 1.0)).unwrap().is_empty());
    }

    proptest! {
        /// Every way meets the target and the bounds; by error, no exchange of one weight for another makes it less.
        #[test]
        fn allocations_meet_target_and_bounds_and_the_least_error(
            values in prop::collection::vec(prop::collection::vec(0u8..20, 1..40), 1..5),
            sparsity in 0.0..=1.0f64,
            room in (0.0..=1.0f64, 0.0..=1.0f64),
        ) {
            let tensors: Vec<Magnitudes> =
                values.iter().map(|v| of(&v.iter().map(|x| f32::from(*x)).collect::<Vec<_>>())).collect();
            let tensors: Vec<&Magnitudes> = tensors.iter().collect();
            let bounds = (sparsity * room.0, sparsity + (1.0 - sparsity) * room.1);
            let all: u64 = tensors.iter().map(|t| t.weights()).sum();
            let outliers: Vec<f64> = tensors.iter().map(|t| t.energy()).collect();
            let owl = Allocation::Owl { outliers: &outliers, lambda: 0.08 };
            for way in [Allocation::Uniform, Allocation::Error, owl] {
                let Ok(taken) = allocate(&tensors, sparsity, way, bounds) else { continue };
                prop_assert_eq!(taken.iter().sum::<u64>(), quota(sparsity, all));
                let within = |(t, k): (&&Magnitudes, &u64)| {
                    let n = t.weights() as f64;
                    *k >= (bounds.0 * n).ceil() as u64 && *k <= (bounds.1 * n).floor() as u64
                };
                prop_assert!(tensors.iter().zip(&taken).all(within), "{:?} {:?} {:?}", way, taken, bounds);
                if way != Allocation::Error { continue }
                let cost = |t: usize, k: u64| {
                    let point = tensors[t].point(k);
                    point.error * point.error
                };
                for (more, fewer) in (0..taken.len()).flat_map(|a| (0..taken.len()).map(move |b| (a, b))) {
                    let (n, m) = (tensors[more].weights() as f64, tensors[fewer].weights() as f64);
                    if more == fewer || taken[more] + 1 > (bounds.1 * n).floor() as u64
                        || taken[fewer] < 1 + (bounds.0 * m).ceil() as u64 { continue }
                    let now = cost(more, taken[more]) + cost(fewer, taken[fewer]);
                    let then = cost(more, taken[more] + 1) + cost(fewer, taken[fewer] - 1);
                    prop_assert!(then >= now - 1e-9, "{now} {then}");
                }
            }
        }
    }
}
