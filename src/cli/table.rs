//! Tables, and long lists of tensors folded into a few lines.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{IsTerminal, stdout};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent};

use super::term::{Paint, ellipsis, paint};
use super::text::{magnitude, printable};

/// Lines of a folded list that are shown.
const SHOWN: usize = 60;

/// Lines of any list that are shown: a table takes some kB for each, and a hostile file has millions.
const MOST: usize = 50_000;

/// Characters of a cell that are shown.
const WIDEST: usize = 1000;

/// A table with these columns; those in `right` hold numbers.
pub struct Grid {
    table: Table,
    right: &'static [usize],
    hidden: usize,
}

impl Grid {
    pub fn new(header: &[&str], right: &'static [usize]) -> Self {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_style(TableComponent::HeaderLines, '-').set_style(TableComponent::MiddleHeaderIntersections, ' ');
        // On a terminal long cells are wrapped; in a file or a pipe a line stays a line.
        if stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width());
        }
        table.set_header(header);
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        for column in right {
            if let Some(column) = table.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, right, hidden: 0 }
    }

    /// Adds a row, for as long as there are not too many; the others are counted.
    pub fn short_row(&mut self, cells: impl IntoIterator<Item = String>) {
        if self.table.row_count() < SHOWN { self.row(cells) } else { self.hidden += 1 }
    }

    /// Adds a row, for as long as there are not very many.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        if self.table.row_count() >= MOST {
            self.hidden += 1;
            return;
        }
        let cells = cells.into_iter().enumerate().map(|(index, mut text)| {
            if let Some((end, _)) = text.char_indices().nth(WIDEST) {
                text.truncate(end);
                text.push_str(ellipsis());
            }
            let cell = Cell::new(printable(&text));
            if self.right.contains(&index) { cell.set_alignment(CellAlignment::Right) } else { cell }
        });
        let cells: Vec<_> = cells.collect();
        self.table.add_row(cells);
    }
}

/// The table and a line end; nothing where there are no rows.
impl std::fmt::Display for Grid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.table.is_empty() {
            return Ok(());
        }
        // Down to the first line of dashes it is the header.
        let mut header = true;
        for line in self.table.lines() {
            let line = line.trim_end();
            let rule = header && !line.is_empty() && line.chars().all(|c| c == '-' || c == ' ');
            match (rule, header) {
                (true, _) => writeln!(f, "{}", paint(Paint::Faint, line))?,
                (_, true) => writeln!(f, "{}", paint(Paint::Bold, line))?,
                _ => writeln!(f, "{line}")?,
            }
            header &= !rule;
        }
        if self.hidden > 0 {
            writeln!(f, "... and {} more lines", self.hidden)?;
        }
        writeln!(f)
    }
}

fn width() -> u16 {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100).max(40)
}

/// The name with its numbers replaced by `*`: `layers.12.mlp` and `layer_3` have one, `conv1d` and `fc1` have none.
pub fn pattern(name: &str) -> String {
    let mut pattern = String::new();
    let mut rest = name;
    let mut after_letter = false;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let before_letter = rest[digits..].starts_with(char::is_alphabetic);
        let taken = if digits > 0 { digits } else { first.len_utf8() };
        pattern.push_str(if digits > 0 && !after_letter && !before_letter { "*" } else { &rest[..taken] });
        after_letter = first.is_alphabetic();
        rest = &rest[taken..];
    }
    pattern
}

/// Groups by key, in the order in which keys first occur. A group of one tensor goes by its own name instead of the
/// pattern.
pub fn groups<'a, T, K: Hash + Eq>(
    items: impl IntoIterator<Item = &'a T>,
    name: impl Fn(&'a T) -> &'a str,
    key: impl Fn(&'a T) -> K,
) -> Vec<(String, Vec<&'a T>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for item in items {
        let place = *places.entry((pattern(name(item)), key(item))).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(item);
    }
    // Before names are made anew: a hostile file has a million groups.
    drop(places);
    let named = groups.into_iter().filter_map(|members| match members[..] {
        [] => None,
        [only] => Some((name(only).to_string(), members)),
        [first, ..] => Some((pattern(name(first)), members)),
    });
    named.collect()
}

/// The smallest and the largest of these magnitudes: `0.01 .. 0.02`.
pub fn range(values: impl IntoIterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => "-".into(),
        [low, .., high] if magnitude(low) != magnitude(high) => format!("{} .. {}", magnitude(low), magnitude(high)),
        [one, ..] => magnitude(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_stand_alone_become_stars() {
        let cases = [
            ("model.layers.12.mlp.weight", "model.layers.*.mlp.weight"),
            ("h.0.ln_1.weight", "h.*.ln_*.weight"),
            ("0", "*"),
            ("conv1d.fc1.3x", "conv1d.fc1.3x"),
            ("é1.12名.7", "é1.12名.*"),
            ("", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(pattern(name), expected);
        }
    }

    #[test]
    fn groups_keep_their_order_and_lone_members_their_name() {
        let items = [("a.0", 1), ("b.7", 1), ("a.1", 1), ("a.2", 2)];
        let groups = groups(&items, |i| i.0, |i| i.1);
        let names: Vec<_> = groups.iter().map(|(name, members)| (name.as_str(), members.len())).collect();
        assert_eq!(names, [("a.*", 2), ("b.7", 1), ("a.2", 1)]);
    }

    #[test]
    fn ranges_name_both_ends_once() {
        assert_eq!(range([]), "-");
        assert_eq!(range([0.5, 0.25, 1.0]), "0.25 .. 1");
        assert_eq!(range([0.5, 0.5]), "0.5");
    }

    #[test]
    fn a_table_prints_hostile_names_harmlessly_and_counts_what_it_leaves_out() {
        let mut grid = Grid::new(&["name", "n"], &[1]);
        for n in 0..SHOWN + 5 {
            grid.short_row(["\u{1b}[2J".to_string(), n.to_string()]);
        }
        let text = grid.to_string();
        assert!(
            !text.contains('\u{1b}') && text.contains("\\u{1b}[2J") && text.ends_with("and 5 more lines\n\n"),
            "{text}"
        );
        assert_eq!(Grid::new(&["name"], &[]).to_string(), "");
    }
}
