//! Numbers, names and errors as text.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use lopper::Error;

use super::term::ellipsis;

/// Writes to stdout. A reader that has gone away is no failure: `lopper … | head` works.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    printed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes JSON to stdout, as it comes: of a hostile file it may be longer than the file.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    printed(json(value, &mut stdout).and_then(|()| stdout.flush()))
}

/// JSON and a line end.
pub fn json(value: &impl serde::Serialize, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Inert(to), value).map_err(io::Error::from)?;
    to.write_all(b"\n")
}

/// Takes JSON, and escapes what a terminal would obey: JSON itself escapes ASCII control characters only. Such characters
/// are in strings alone, where an escape means the same.
struct Inert<'a, W>(&'a mut W);

impl<W: Write> Write for Inert<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is written comes in whole characters.
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(hostile) => {
                for c in text.chars() {
                    match hostile(c) && c != '\n' {
                        true => {
                            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}"))?
                        }
                        false => write!(self.0, "{c}")?,
                    }
                }
            }
            _ => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).context("cannot print")),
        _ => Ok(()),
    }
}

/// Writes a line to stderr, if anyone listens.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "lopper: {line}");
}

/// Tells an error, and a hint where there is a good one; the exit code is 1.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    if let Some(Error::Cancelled) = error.downcast_ref() {
        tell("stopped; nothing was written");
        return ExitCode::FAILURE;
    }
    let message = chain(error);
    tell(&format!("error: {}", printable(&message)));
    let hint = match error.downcast_ref() {
        Some(Error::Adapter(_)) if !message.contains("lopper devices") => {
            "`lopper devices` lists the adapters that there are"
        }
        Some(Error::Limit { .. }) => "`lopper devices` tells which adapters will do; choose one with --adapter",
        Some(Error::Memory { .. }) => "raise the budget with --memory",
        Some(Error::Shrink(_)) => "`lopper shrink INPUT --explain` shows what hangs together, as far as it is known",
        Some(Error::Rule(_)) => "`lopper prune INPUT --sparsity 0.5 --dry-run` lists the tensors",
        Some(Error::Recipe { .. }) => "`lopper recipe --help` shows a recipe, `lopper prune --help` what its keys mean",
        _ => return ExitCode::FAILURE,
    };
    tell(&format!("hint: {hint}"));
    ExitCode::FAILURE
}

/// The error and its causes, each said once: many messages already end in their cause.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(|cause| cause.to_string()) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

/// What a terminal would obey: control characters, and marks that change the direction of the text or take no room.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with nothing in it that a terminal would obey: names in files are not to be trusted.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => c.escape_debug().to_string(),
            c if hostile(c) => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect()
}

/// Where a run that did not finish has left what it has done, and how to go on from there.
pub fn resumable(kept: &Path) -> String {
    let kept = printable(&kept.display().to_string());
    format!(
        "what is done is kept in {kept}: the same command with --resume goes on from there, with --restart begins anew"
    )
}

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part / whole` as `12.3456 %`. Never says 0 or 100 where it is not: that is what the digits are for.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    match format!("{percent:.4} %") {
        text if part > 0 && text == "0.0000 %" => "> 0.0000 %".into(),
        text if part < whole && text == "100.0000 %" => "< 100.0000 %".into(),
        text => text,
    }
}

/// A number of bytes with three digits and a decimal unit: `1.74 GB`.
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", units[unit])
}

/// Operations per second: `134.5 GFLOPS`, `60.6 TFLOPS`.
pub fn flops(per_second: f64) -> String {
    if per_second < 1e12 {
        format!("{:.1} GFLOPS", per_second / 1e9)
    } else {
        format!("{:.1} TFLOPS", per_second / 1e12)
    }
}

/// Seconds, more exactly where they are few.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{seconds:.3} s") } else { format!("{seconds:.1} s") }
}

/// A magnitude in a table: short, still told apart from its neighbours at a glance.
pub fn magnitude(value: f64) -> String {
    match value {
        v if v == 0.0 || (1e-3..1e5).contains(&v) => {
            format!("{v:.6}").trim_end_matches('0').trim_end_matches('.').into()
        }
        v if v.is_finite() => format!("{v:.4e}"),
        v => v.to_string(),
    }
}

/// The dimensions; where they are very many, the first of them and how many there are.
pub fn shape(dims: &[u64]) -> String {
    match dims.len() {
        0..=32 => format!("{dims:?}"),
        rank => format!("{:?}{} {} dimensions", &dims[..32], ellipsis(), count(rank as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_whatever_a_terminal_would_obey() {
        assert_eq!(printable("a.b\u{1b}[2J\r\n\u{7}\u{202e}é名"), "a.b\\u{1b}[2J\\r\\n\\u{7}\\u{202e}é名");
    }

    #[test]
    fn json_says_the_same_with_nothing_that_a_terminal_would_obey() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{e0041}\n\"é名";
        let mut written = Vec::new();
        json(&[text], &mut written).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(&written).unwrap(), [text]);
        assert!(!written.trim_end().replace('\n', "").contains(hostile) && written.contains("é名"), "{written:?}");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([count(0), count(123), count(1234567)], ["0", "123", "1,234,567"]);
        assert_eq!(percent(1, 3), "33.3333 %");
        assert_eq!([percent(0, 5), percent(5, 5), percent(0, 0)], ["0.0000 %", "100.0000 %", "-"]);
        assert_eq!([percent(1, 1 << 40), percent((1 << 40) - 1, 1 << 40)], ["> 0.0000 %", "< 100.0000 %"]);
        assert_eq!(
            [bytes(999.0), bytes(1.744e9), bytes(99.96e6), bytes(999.9e3)],
            ["999 B", "1.74 GB", "100 MB", "1.00 MB"]
        );
        assert_eq!([flops(134.46e9), flops(60_622.7e9)], ["134.5 GFLOPS", "60.6 TFLOPS"]);
        assert_eq!([magnitude(0.0), magnitude(0.0123), magnitude(448.0)], ["0", "0.0123", "448"]);
        assert_eq!([magnitude(1.5e-9), magnitude(f64::INFINITY), magnitude(f64::NAN)], ["1.5000e-9", "inf", "NaN"]);
    }
}
