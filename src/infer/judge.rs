//! How right outputs are.

use crate::{Error, Result};

/// How many vectors are given the class that they have: of `outputs` numbers for each vector, the first that is the largest.
///
/// # Errors
/// [`Error::View`] where the numbers are not `outputs` for each label, or a label is no output.
pub fn accuracy(given: &[f32], outputs: u64, labels: &[u32]) -> Result<u64> {
    let bad = |problem| Err(Error::View { what: "labels", problem });
    if given.len() as u64 != outputs * labels.len() as u64 || outputs == 0 {
        return bad(format!("{} numbers, {} labels need {outputs} each", given.len(), labels.len()));
    }
    if let Some(at) = labels.iter().position(|label| u64::from(*label) >= outputs) {
        return bad(format!("label {at} is {}, the network tells {outputs} classes apart", labels[at]));
    }
    let right = given.chunks_exact(outputs as usize).zip(labels).filter(|(one, label)| {
        let mut largest = 0;
        for (i, x) in one.iter().enumerate() {
            if *x > one[largest] || one[largest].is_nan() {
                largest = i;
            }
        }
        largest == **label as usize
    });
    Ok(right.count() as u64)
}

/// `‖a − b‖ / ‖b‖` by Euclid, in `f64`; 0 where both are zero, NaN where a number is.
///
/// # Panics
/// If they have different lengths.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "outputs of one network for the same vectors");
    let square = |x: f64| x * x;
    let apart: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let all: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    if apart == 0.0 { 0.0 } else { (apart / all).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_largest_number_is_the_class() {
        let given = [0.0, 1.0, 1.0, 3.0, -1.0, 2.0, f32::NAN, -5.0, -6.0];
        assert_eq!(accuracy(&given, 3, &[1, 0, 1]).unwrap(), 3);
        assert_eq!(accuracy(&given, 3, &[2, 0, 0]).unwrap(), 1);
        let short = accuracy(&given, 3, &[1, 0]).unwrap_err().to_string();
        assert!(short.contains('9') && short.contains('2'), "{short}");
        let no_class = accuracy(&given, 3, &[1, 3, 1]).unwrap_err().to_string();
        assert!(no_class.contains("label 1 is 3") && no_class.contains("3 classes"), "{no_class}");
    }

    #[test]
    fn distance_is_relative() {
        assert_eq!(distance(&[3.0, 4.0], &[0.0, 0.0]), f64::INFINITY);
        assert_eq!(distance(&[0.0, 0.0], &[3.0, 4.0]), 1.0);
        assert_eq!(distance(&[0.0], &[0.0]), 0.0);
        assert!(distance(&[f32::NAN], &[1.0]).is_nan());
    }
}
