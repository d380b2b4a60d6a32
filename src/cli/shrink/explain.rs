//! What hangs together, folded: couplings that differ in numbers only are one drawing.

use std::collections::HashMap;
use std::fmt::Write;

use lopper::checkpoint::TensorInfo;
use lopper::shrink::{Coupling, Couplings, Place};

use super::super::table::pattern;
use super::super::term::{Paint, paint, unicode};
use super::super::text::{count, printable, shape};

/// Drawings that are shown as text.
const MOST: usize = 40;

/// Couplings as they are drawn.
pub struct Drawn {
    /// Who says so.
    pub by: String,
    pub groups: Vec<Group>,
}

/// Couplings that are alike.
#[derive(PartialEq)]
pub struct Group {
    pub name: String,
    pub couplings: u64,
    /// So many neurons, heads or layers of each, in words.
    pub units: String,
    pub lines: Vec<Line>,
}

/// A tensor of each of them.
#[derive(Clone, PartialEq)]
pub struct Line {
    pub name: String,
    pub shape: Vec<u64>,
    pub dtype: String,
    pub place: Place,
    pub consumes: bool,
}

impl Drawn {
    pub fn new(couplings: &Couplings, tensors: &[TensorInfo]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut places: HashMap<(String, u64), Vec<usize>> = HashMap::new();
        for coupling in &couplings.list {
            let lines = lines(coupling, tensors);
            let name = if couplings.list.len() > 1 { pattern(&coupling.name) } else { coupling.name.clone() };
            let alike = places.entry((name.clone(), coupling.units)).or_default();
            match alike.iter().find(|at| groups[**at].lines == lines) {
                Some(at) => groups[*at].couplings += 1,
                None => {
                    alike.push(groups.len());
                    let (per, kind) = (couplings.per_unit(), couplings.kind.name());
                    let units = match per {
                        1 => format!("{} {kind}s", count(coupling.units)),
                        _ => format!("{} {kind}s in groups of {per}", count(coupling.units * per)),
                    };
                    groups.push(Group { name, couplings: 1, units, lines });
                }
            }
        }
        for group in groups.iter_mut().filter(|group| group.couplings == 1) {
            // One by itself goes by its own name.
            let own = couplings.list.iter().find(|c| pattern(&c.name) == group.name || c.name == group.name);
            own.into_iter().for_each(|own| group.name.clone_from(&own.name));
        }
        Self { by: couplings.by.clone(), groups }
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", printable(&self.by));
        for group in self.groups.iter().take(MOST) {
            let times = if group.couplings == 1 { String::new() } else { format!("{} times ", count(group.couplings)) };
            let heading = format!("{}: {times}{}", printable(&group.name), group.units);
            let names: Vec<(String, String)> =
                group.lines.iter().map(|line| (printable(&line.name), shape(&line.shape))).collect();
            let wide =
                |of: fn(&(String, String)) -> &String| names.iter().map(|n| of(n).chars().count()).max().unwrap_or(0);
            let (wide_name, wide_shape) = (wide(|n| &n.0), wide(|n| &n.1));
            let _ = writeln!(text, "{}", paint(Paint::Bold, &heading));
            for (number, (line, (name, shape))) in group.lines.iter().zip(&names).enumerate() {
                let does = if line.consumes { "takes" } else { "makes" };
                let places = match line.place {
                    Place::Whole(_) => "whole".to_owned(),
                    Place::Rows(1) | Place::Columns(1) => line.place.to_string(),
                    Place::Rows(group) | Place::Columns(group) => format!("{} by {group}", line.place),
                };
                let link =
                    if let Place::Whole(_) = line.place { "" } else { link(number, group.lines.len(), line.consumes) };
                let row = format!("  {does}  {name:wide_name$}  {shape:wide_shape$}  {places:14} {link}");
                let _ = writeln!(text, "{}", row.trim_end());
            }
            text.push('\n');
        }
        if self.groups.len() > MOST {
            let _ = writeln!(text, "... and {} more", self.groups.len() - MOST);
        }
        text
    }
}

/// What joins the lines of a drawing.
fn link(number: usize, all: usize, takes: bool) -> &'static str {
    let (end, unicode) = (number + 1 == all, unicode());
    match (takes, number, end) {
        (false, 0, _) if unicode => "──┐",
        (false, ..) if unicode => "──┤",
        (true, _, false) if unicode => "◄─┤",
        (true, _, true) if unicode => "◄─┘",
        (false, ..) => "--+",
        (true, ..) => "<-+",
    }
}

/// Its tensors; those of whole layers folded.
fn lines(coupling: &Coupling, tensors: &[TensorInfo]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut known: HashMap<(String, Vec<u64>), ()> = HashMap::new();
    for member in &coupling.members {
        let info = &tensors[member.tensor];
        let (name, dtype) = (pattern(&info.name), info.dtype.to_string());
        let place = match member.place {
            Place::Whole(_) => Place::Whole(0),
            place => place,
        };
        if place == Place::Whole(0) && known.insert((name.clone(), info.shape.clone()), ()).is_some() {
            continue;
        }
        lines.push(Line { name, shape: info.shape.clone(), dtype, place, consumes: member.consumes });
    }
    lines
}
