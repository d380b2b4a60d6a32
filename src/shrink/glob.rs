//! Globs whose stars say what they stand for.

/// A glob in which `*` is any text, also none, and all else is itself.
pub(super) struct Glob<'a> {
    parts: Vec<&'a str>,
}

impl<'a> Glob<'a> {
    pub fn new(glob: &'a str) -> Self {
        Self { parts: glob.split('*').collect() }
    }

    /// What each star stands for in a name that it matches: the shortest text that will do, from the left on.
    pub fn captures<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let (first, rest) = self.parts.split_first()?;
        let mut name = name.strip_prefix(first)?;
        let Some((last, middle)) = rest.split_last() else { return name.is_empty().then(Vec::new) };
        let mut captures = Vec::with_capacity(rest.len());
        for part in middle {
            let at = name.find(part)?;
            captures.push(&name[..at]);
            name = &name[at + part.len()..];
        }
        captures.push(name.strip_suffix(last)?);
        Some(captures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_what_is_between() {
        for (glob, name, expected) in [
            ("a.b", "a.b", Some(&[][..])),
            ("a.b", "a.bc", None),
            ("h.*.w", "h.10.w", Some(&["10"])),
            ("h.*.w", "h..w", Some(&[""])),
            ("h.*.w", "h.w", None),
            ("*.h.*.w", "x.y.h.3.mlp.w", Some(&["x.y", "3.mlp"])),
            ("*", "", Some(&[""])),
            ("**", "ab", Some(&["", "ab"])),
            ("a*a", "a", None),
            ("[a]?*", "[a]?x", Some(&["x"])),
        ] {
            assert_eq!(Glob::new(glob).captures(name).as_deref(), expected, "{glob} {name}");
        }
    }
}
