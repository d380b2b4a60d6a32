//! What stdout can show: colours, and characters beyond ASCII.

use std::env::var_os;
use std::io::{IsTerminal, stdout};
use std::sync::OnceLock;

use clap::ValueEnum;

/// When tables are in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWord {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    Always,
    Never,
}

static COLOR: OnceLock<bool> = OnceLock::new();

/// Once, before anything is printed.
pub fn choose(word: ColorWord) {
    let color = match word {
        ColorWord::Auto => {
            stdout().is_terminal() && wants_color(|name| var_os(name).map(|v| v.to_string_lossy().into()))
        }
        ColorWord::Always => true,
        ColorWord::Never => false,
    };
    // Whoever comes first has chosen.
    let _ = COLOR.set(color);
}

/// Whether a terminal is to be written to in colour, by these variables.
fn wants_color(var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| var(name).is_some_and(|value: String| !value.is_empty());
    // Consoles of Windows before Windows Terminal may print the codes.
    let knows = !cfg!(windows) || set("WT_SESSION") || set("TERM");
    knows && !set("NO_COLOR") && var("TERM").is_none_or(|term| term != "dumb")
}

/// Colours that text has, where there are any.
#[derive(Debug, Clone, Copy)]
pub enum Paint {
    Bold,
    Faint,
    Good,
    Bad,
    Note,
}

/// The text in that colour, if colours were chosen. It must hold no line ends.
pub fn paint(paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Bold => "1",
        Paint::Faint => "2",
        Paint::Good => "1;32",
        Paint::Bad => "1;31",
        Paint::Note => "33",
    };
    if COLOR.get() == Some(&true) { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() }
}

/// Whether characters beyond ASCII are shown as what they are: by the locale, that of POSIX if none is set.
pub fn unicode() -> bool {
    cfg!(windows) || is_utf8(|name| var_os(name).map(|value| value.to_string_lossy().into()))
}

fn is_utf8(var: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(var).find(|value| !value.is_empty());
    locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

/// What stands where text was cut off.
pub fn ellipsis() -> &'static str {
    if unicode() { "…" } else { "..." }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn a_locale_is_that_of_the_first_variable_that_is_set() {
        for utf8 in [&[("LANG", "de_DE.UTF-8")][..], &[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]] {
            assert!(is_utf8(of(utf8)), "{utf8:?}");
        }
        for other in [&[][..], &[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], &[("LANG", "de_DE.ISO-8859-1")]] {
            assert!(!is_utf8(of(other)), "{other:?}");
        }
    }

    #[cfg(not(windows))]
    #[test]
    fn a_terminal_has_colours_unless_someone_says_no() {
        for yes in [&[][..], &[("TERM", "xterm")], &[("NO_COLOR", ""), ("TERM", "xterm")]] {
            assert!(wants_color(of(yes)), "{yes:?}");
        }
        for no in [&[("TERM", "dumb")][..], &[("NO_COLOR", "1"), ("TERM", "xterm")]] {
            assert!(!wants_color(of(no)), "{no:?}");
        }
    }
}
