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

/// Two numbers above 0 with `between` between them.
pub fn pair(text: &str, between: char) -> Option<(u32, u32)> {
    let (one, two) = text.split_once(between)?;
    let number = |text: &str| text.parse().ok().filter(|n| *n > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    Some((number(one)?, number(two)?))
}

/// `bitmask`, `ell`, `ell:32`, `csr`, `macko`, `2:4`, `16x16`.
pub fn format(text: &str) -> Result<Format, String> {
    match (text, pair(text, ':'), pair(text, 'x')) {
        ("bitmask", ..) => Ok(Format::Bitmask),
        ("csr", ..) => Ok(Format::Csr),
        ("macko", ..) => Ok(Format::Macko),
        ("ell", ..) => Ok(Format::SlicedEll { slice: 8 }),
        (_, Some((keep, of)), _) => Ok(Format::Nm { keep, of }),
        (_, _, Some((rows, cols))) => Ok(Format::Block { rows, cols }),
        _ => match text.strip_prefix("ell:").and_then(|slice| slice.parse().ok()) {
            Some(slice) => Ok(Format::SlicedEll { slice }),
            None => Err("give macko, bitmask, ell, ell:ROWS, csr, N:M such as 2:4, or blocks such as 16x16".into()),
        },
    }
}

/// How weights are stored: in one form, or in every one that holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    All,
    One(Storage),
}

/// `all`, `auto`, `dense`, or a format.
pub fn form(text: &str) -> Result<Form, String> {
    match text {
        "all" => Ok(Form::All),
        "auto" => Ok(Form::One(Storage::Auto { columns: 1 })),
        "dense" => Ok(Form::One(Storage::Dense)),
        _ => match format(text) {
            Ok(format) => Ok(Form::One(Storage::Sparse(format))),
            Err(_) => {
                Err("give auto, all, dense, bitmask, ell, csr, macko, N:M such as 2:4, or blocks such as 4x4".into())
            }
        },
    }
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
    fn formats_are_words_or_numbers() {
        assert_eq!((format("2:4"), format("csr")), (Ok(Format::Nm { keep: 2, of: 4 }), Ok(Format::Csr)));
        assert_eq!(format("macko"), Ok(Format::Macko));
        assert_eq!(format("16x8"), Ok(Format::Block { rows: 16, cols: 8 }));
        assert_eq!(format("ell:32"), Ok(Format::SlicedEll { slice: 32 }));
        for bad in ["", "dense", "ell:", "2:", ":4", "0:4", "ELL", "+2:4", "2:4:8"] {
            assert!(format(bad).is_err(), "{bad}");
        }
        assert_eq!((form("all"), form("dense")), (Ok(Form::All), Ok(Form::One(Storage::Dense))));
        assert!(form("sparse").is_err() && form("csr") == Ok(Form::One(Storage::Sparse(Format::Csr))));
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
