//! The page of `lopper shrink`: what hangs together, as a picture.

use std::fmt::Write;
use std::path::Path;

use lopper::shrink::{Place, Report};

use super::super::shrink::{Drawn, Group, Line};
use super::super::text::{bytes, count, magnitude, percent, shape};
use super::{Cell, Page, escaped};

/// Pictures of a page: beyond these a reader sees no more.
const MOST: usize = 40;

/// Tensors of a side of a picture.
const MOST_LINES: usize = 24;

/// A tensor's box, and what lies between two of them.
const BOX: (f64, f64) = (110.0, 64.0);
const GAP: f64 = 44.0;

pub fn page(input: &Path, drawn: &Drawn, report: Option<&Report>) -> Page {
    let mut page = Page::new(&input.display().to_string(), "What hangs together, by lopper shrink");
    let couplings: u64 = drawn.groups.iter().map(|group| group.couplings).sum();
    let mut facts = vec![("known by", drawn.by.clone()), ("couplings", count(couplings))];
    if let Some(report) = report {
        let [before, after] = report.tensor_bytes;
        facts.extend([
            ("tensors before", bytes(before as f64)),
            ("after", bytes(after as f64)),
            ("left", percent(after, before)),
        ]);
    }
    page.facts(&facts);
    for group in drawn.groups.iter().take(MOST) {
        page.heading(&group.name);
        let times = if group.couplings == 1 { String::new() } else { format!("{} times ", count(group.couplings)) };
        let caption = format!("{times}{}: where a unit goes, its place in each of these tensors goes", group.units);
        page.drawing(&picture(group), &caption);
    }
    if drawn.groups.len() > MOST {
        page.paragraph(&format!("… and {} more", drawn.groups.len() - MOST));
    }
    if let Some(report) = report {
        page.heading("Couplings");
        let number = |value: u64| Cell::number(Some(value as f64), |_| count(value));
        let rows = report.couplings.iter().map(|coupling| {
            vec![
                Cell::text(&coupling.name),
                number(coupling.units * report.per_unit),
                number(coupling.kept * report.per_unit),
                Cell::number(coupling.highest_removed, magnitude),
                Cell::number(coupling.lowest_kept, magnitude),
            ]
        });
        let unit = format!("{}s", report.unit);
        page.table(&["coupling", &unit, "kept", "highest score that went", "lowest that stayed"], &[1, 2, 3, 4], rows);
    }
    page
}

/// What makes units on the left, what takes them on the right, and the units between.
fn picture(group: &Group) -> String {
    let side = |consumes: bool| group.lines.iter().filter(move |line| line.consumes == consumes).collect::<Vec<_>>();
    let (makes, takes) = (side(false), side(true));
    let rows = makes.len().max(takes.len()).clamp(1, MOST_LINES) as f64;
    let height = rows * (BOX.1 + GAP) + 12.0;
    let middle = height / 2.0;
    let mut svg = format!("<svg role=\"img\" viewBox=\"0 0 760 {height}\">");
    for (lines, left) in [(&makes, true), (&takes, false)] {
        let first = middle - lines.len().min(MOST_LINES) as f64 * (BOX.1 + GAP) / 2.0;
        for (number, line) in lines.iter().take(MOST_LINES).enumerate() {
            let y = first + number as f64 * (BOX.1 + GAP);
            let x = if left { 40.0 } else { 760.0 - 40.0 - BOX.0 };
            tensor(&mut svg, line, (x, y));
            let (from, to) = if left { (x + BOX.0, 345.0) } else { (415.0, x) };
            let (start, end) = if left { (y + BOX.1 / 2.0, middle) } else { (middle, y + BOX.1 / 2.0) };
            let half = (from + to) / 2.0;
            let _ = write!(
                svg,
                "<path d=\"M{from} {start}C{half} {start} {half} {end} {to} {end}\" fill=\"none\" stroke=\"var(--c1)\" \
                 stroke-width=\"1.5\"/>"
            );
        }
        if lines.len() > MOST_LINES {
            let x = if left { 40 } else { 610 };
            let _ =
                write!(svg, "<text x=\"{x}\" y=\"{}\">… and {} more</text>", height - 4.0, lines.len() - MOST_LINES);
        }
    }
    let _ = write!(svg, "<circle cx=\"380\" cy=\"{middle}\" r=\"35\" fill=\"var(--shade)\" stroke=\"var(--c1)\"/>");
    // The number and what it is of inside, what else there is to say below.
    let mut words = group.units.splitn(3, ' ');
    for (word, down) in [(words.next(), -3.0), (words.next(), 12.0), (words.next(), 50.0)] {
        let word = escaped(word.unwrap_or_default());
        let _ = write!(svg, "<text x=\"380\" y=\"{}\" text-anchor=\"middle\">{word}</text>", middle + down);
    }
    svg += "</svg>\n";
    svg
}

/// A tensor with a unit of it marked.
fn tensor(svg: &mut String, line: &Line, (x, y): (f64, f64)) {
    let (wide, high) = BOX;
    let (mark, places) = match line.place {
        Place::Rows(_) => ((x, y + high * 0.4, wide, high / 8.0), line.place.to_string()),
        Place::Columns(_) => ((x + wide * 0.4, y, wide / 12.0, high), line.place.to_string()),
        Place::Whole(_) => ((x, y, wide, high), "whole".to_owned()),
    };
    let name = line.name.rsplit('.').take(2).collect::<Vec<_>>();
    let short: String = name.into_iter().rev().collect::<Vec<_>>().join(".").chars().take(40).collect();
    let said = format!("{} {} {}, {places}", line.name, line.dtype, shape(&line.shape));
    let _ = write!(
        svg,
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" fill=\"var(--shade)\" \
         stroke=\"var(--faint)\"/><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"var(--c1)\" fill-opacity=\".75\"/>\
         <text x=\"{x}\" y=\"{}\">{}</text><text x=\"{x}\" y=\"{}\" fill-opacity=\".65\">{}, {places}</text></g>",
        escaped(&said),
        mark.0,
        mark.1,
        mark.2,
        mark.3,
        y + high + 14.0,
        escaped(&short),
        y + high + 28.0,
        escaped(&shape(&line.shape)),
    );
}
