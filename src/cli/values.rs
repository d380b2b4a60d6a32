//! Values of options: sizes, shares, magnitudes, units. Uses std and the library alone, so that it can be fuzzed by
//! itself.

use lopper::Format;
use lopper::network::Storage;
use lopper::pruner::{UnitWord, words};

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a number from 0 (none goes) to 1 (all go); 50 % is 0.5".into()),
    }
}

/// A number of 0 or more.
pub fn magnitude(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(magnitude) if magnitude >= 0.0 => Ok(magnitude),
        _ => Err("give a magnitude, a number of 0 or more".into()),
    }
}

/// `GLOB=S`.
pub fn sparsity_for(text: &str) -> Result<(String, f64), String> {
    // The last `=`: a glob may hold one, a number does not.
    let (glob, sparsity) = text.rsplit_once('=').ok_or("give GLOB=S, such as '*.mlp.*=0.7'")?;
    Ok((glob.into(), share(sparsity)?))
}

/// `weight`, `nm`, `row`, `column`, or a block such as `4x4`.
pub fn unit(text: &str) -> Result<UnitWord, String> {
    words::unit(text)
}

/// `auto`, `dense`, `bitmask`, `ell`, `csr`, `2:4`, a block such as `4x4`; none for `all`.
pub fn form(text: &str) -> Result<Option<Storage>, String> {
    let pair = |(a, b): (&str, &str)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?));
    let format = match text {
        "all" => return Ok(None),
        "auto" => return Ok(Some(Storage::Auto { columns: 1 })),
        "dense" => return Ok(Some(Storage::Dense)),
        "bitmask" => Some(Format::Bitmask),
        "ell" => Some(Format::SlicedEll { slice: 8 }),
        "csr" => Some(Format::Csr),
        _ => match (text.split_once(':').and_then(pair), text.split_once('x').and_then(pair)) {
            (Some((keep, of)), _) => Some(Format::Nm { keep, of }),
            (_, Some((rows, cols))) => Some(Format::Block { rows, cols }),
            _ => None,
        },
    };
    let wrong =
        || format!("unknown form `{text}`: give auto, all, dense, bitmask, ell, csr, N:M or a block such as 4x4");
    format.map(|format| Some(Storage::Sparse(format))).ok_or_else(wrong)
}

/// `512MiB`, `2GB`, `1.5 GiB` or a plain number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "give a size such as 512MiB, 2GB or 1048576".to_string();
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), text[split..].to_ascii_lowercase());
    let unit: u64 = match unit.as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * unit as f64;
    if bytes.is_finite() && (0.0..u64::MAX as f64).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_or_refused() {
        assert_eq!(sparsity_for("a=b*=0.5"), Ok(("a=b*".into(), 0.5)));
        for bad in ["a", "a=", "a=2", "a=x", "a=nan"] {
            assert!(sparsity_for(bad).is_err(), "{bad}");
        }
        assert_eq!((share("1"), magnitude("inf")), (Ok(1.0), Ok(f64::INFINITY)));
        for bad in ["-0.1", "50", "nan", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert!(magnitude("nan").is_err() && magnitude("-1").is_err());
    }

    #[test]
    fn units_are_words_or_blocks() {
        assert_eq!(unit("row"), Ok(UnitWord::Row));
        assert_eq!(unit("4x16"), Ok(UnitWord::Block { rows: 4, cols: 16 }));
        for bad in ["", "4", "x", "4x", "4x4x4", "+4x4", "4 x4", "4294967296x1", "0x4", "block", "Row"] {
            assert!(unit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_parsed_or_refused() {
        let good =
            [("0", 0), ("17", 17), ("512MiB", 512 << 20), ("1.5 GiB", 3 << 29), ("2gb", 2_000_000_000), ("1K", 1024)];
        for (text, bytes) in good {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "MiB", "-1", "1XiB", "1e400", "99999999999TiB", "nan", "1 2"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
