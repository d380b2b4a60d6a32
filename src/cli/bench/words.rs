//! Words of the benchmark's options.

use lopper::bench::Pattern;
use lopper::{Dtype, Shape};

use crate::values::pair;

/// `4096x11008`: outputs and inputs.
pub fn shape(text: &str) -> Result<Shape, String> {
    let (rows, cols) = pair(text, 'x').ok_or("give ROWSxCOLS, such as 4096x11008")?;
    Ok(Shape::new(rows.into(), cols.into()))
}

/// `random`, `magnitude`, `2:4`, `16x16`.
pub fn pattern(text: &str) -> Result<Pattern, String> {
    match (text, pair(text, ':'), pair(text, 'x')) {
        ("random", ..) => Ok(Pattern::Random),
        ("magnitude", ..) => Ok(Pattern::Magnitude),
        (_, Some((keep, of)), _) => Ok(Pattern::Group { keep, of }),
        (_, _, Some((rows, cols))) => Ok(Pattern::Block { rows, cols }),
        _ => Err("give random, magnitude, N:M such as 2:4, or blocks such as 16x16".into()),
    }
}

/// `f16`, `bf16`, `f32`.
pub fn dtype(text: &str) -> Result<Dtype, String> {
    match text.to_ascii_lowercase().as_str() {
        "f16" => Ok(Dtype::F16),
        "bf16" => Ok(Dtype::BF16),
        "f32" => Ok(Dtype::F32),
        _ => Err("give f16, bf16 or f32".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed_or_refused() {
        assert_eq!(shape("4096x11008"), Ok(Shape::new(4096, 11008)));
        for bad in ["", "4096", "x", "0x5", "4x-1", "4x5x6", "+4x5", "4294967296x1"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
        assert_eq!((pattern("2:4"), pattern("random")), (Ok(Pattern::Group { keep: 2, of: 4 }), Ok(Pattern::Random)));
        for bad in ["", "dense", "ell:", "2:", ":4", "0:4", "ELL"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        assert!(dtype("BF16").is_ok() && dtype("f8").is_err());
    }
}
