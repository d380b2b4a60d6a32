//! HTML pages: one file each, nothing from a network, light and dark, of any width. Tables sort; charts are SVG.

pub mod bench;
mod chart;
pub mod compare;
pub mod contrast;
pub mod inspect;
pub mod prune;
pub mod shrink;
pub mod sweep;

use std::fmt::Write;

use anyhow::Result;

pub use chart::{Axis, Chart, Series, Shape};

use super::file::NewFile;
use super::text::printable;

/// A page that is being written.
pub struct Page {
    title: String,
    body: String,
}

/// A cell of a table.
pub struct Cell {
    text: String,
    value: Option<String>,
    class: &'static str,
}

/// Rows of a table, at most: a browser takes seconds for more.
const MOST_ROWS: usize = 20_000;

impl Page {
    /// One with this title and a line below it.
    pub fn new(title: &str, about: &str) -> Self {
        let body = format!("<h1>{}</h1>\n<p class=\"faint\">{}</p>\n", escaped(title), escaped(about));
        Self { title: title.to_owned(), body }
    }

    /// Numbers with their names.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.body += "<dl>\n";
        for (name, value) in facts {
            self.add(format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value)));
        }
        self.body += "</dl>\n";
    }

    pub fn heading(&mut self, text: &str) {
        self.add(format_args!("<h2>{}</h2>\n", escaped(text)));
    }

    pub fn paragraph(&mut self, text: &str) {
        self.add(format_args!("<p>{}</p>\n", escaped(text)));
    }

    /// Text as it is typed.
    pub fn verbatim(&mut self, text: &str) {
        let lines: Vec<String> = text.lines().map(escaped).collect();
        self.add(format_args!("<pre>{}</pre>\n", lines.join("\n")));
    }

    /// A chart, what it shows, and a key where there are several series.
    pub fn chart(&mut self, chart: &Chart, caption: &str) {
        let caption = escaped(caption);
        self.add(format_args!("<figure role=\"group\" aria-label=\"{caption}\">\n{}", chart.svg()));
        if chart.series.len() > 1 {
            self.body += "<ul class=\"key\">";
            for (n, series) in chart.series.iter().enumerate() {
                let color = n % chart::COLORS;
                self.add(format_args!(
                    "<li><i style=\"background:var(--c{color})\"></i>{}</li>",
                    escaped(&series.name)
                ));
            }
            self.body += "</ul>\n";
        }
        self.add(format_args!("<figcaption>{caption}</figcaption></figure>\n"));
    }

    /// A drawing that is made already, and what it shows.
    pub fn drawing(&mut self, svg: &str, caption: &str) {
        let caption = escaped(caption);
        self.add(format_args!(
            "<figure role=\"group\" aria-label=\"{caption}\">\n{svg}<figcaption>{caption}</figcaption></figure>\n"
        ));
    }

    /// A table; columns in `numbers` sort by value.
    pub fn table(&mut self, header: &[&str], numbers: &[usize], rows: impl IntoIterator<Item = Vec<Cell>>) {
        self.body += "<div class=\"scroll\"><table>\n<thead><tr>";
        for (column, name) in header.iter().enumerate() {
            let class = if numbers.contains(&column) { " class=\"number\"" } else { "" };
            self.add(format_args!("<th scope=\"col\"{class}><button type=\"button\">{}</button></th>", escaped(name)));
        }
        self.body += "</tr></thead>\n<tbody>\n";
        let mut hidden = 0usize;
        for (number, row) in rows.into_iter().enumerate() {
            if number >= MOST_ROWS {
                hidden += 1;
                continue;
            }
            self.body += "<tr>";
            for (column, cell) in row.into_iter().enumerate() {
                let class = if numbers.contains(&column) { "number" } else { cell.class };
                let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
                let value = cell.value.map_or_else(String::new, |value| format!(" data-v=\"{value}\""));
                self.add(format_args!("<td{class}{value}>{}</td>", escaped(&cell.text)));
            }
            self.body += "</tr>\n";
        }
        self.body += "</tbody></table></div>\n";
        if hidden > 0 {
            self.paragraph(&format!("… and {hidden} more"));
        }
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("a String takes what it is given");
    }

    /// Writes the whole file.
    pub fn write(&self, file: NewFile) -> Result<()> {
        file.write(|to| to.write_all(self.html().as_bytes()))
    }

    fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
             <style>\n{}</style>\n{}<p class=\"faint\">lopper {}</p>\n<script>\n{}</script>\n</html>\n",
            escaped(&self.title),
            include_str!("style.css"),
            self.body,
            env!("CARGO_PKG_VERSION"),
            include_str!("sort.js")
        )
    }
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, class: "" }
    }

    /// A number as it is shown, and by which it sorts; `-` where there is none.
    pub fn number(value: Option<f64>, shown: impl Fn(f64) -> String) -> Self {
        let text = value.map_or_else(|| "-".into(), shown);
        Self {
            text,
            value: Some(value.filter(|v| v.is_finite()).map_or_else(String::new, |v| v.to_string())),
            class: "",
        }
    }

    /// A line of bars.
    pub fn spark(text: String) -> Self {
        Self { text, value: None, class: "spark" }
    }
}

/// The text with nothing in it that HTML, or a reader's eye, would take for something else.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_inert() {
        let name = "</td><script>alert('x')</script>\u{202e}&amp;\"";
        let mut page = Page::new(name, name);
        page.table(&[name], &[], [vec![Cell::text(name)]]);
        page.facts(&[(name, name.into())]);
        page.verbatim(name);
        let series = vec![Series { name: name.into(), points: vec![(0.0, 1.0)], shape: Shape::Line }];
        let axis = |label: &'static str| Axis { label, range: 0.0..1.0, show: |v| v.to_string() };
        page.chart(&Chart { x: axis("x"), y: axis("y"), series, mark: None }, name);
        let html = page.html();
        assert!(!html.contains("<script>alert") && !html.contains('\u{202e}'), "{html}");
        assert_eq!(html.matches("<script>").count(), 1);
    }
}
