//! Charts as SVG, drawn by plotters; colours are the page's, values appear where a pointer rests.

use std::fmt::Write;
use std::ops::Range;

use plotters::prelude::*;

use super::escaped;

/// Series that a page has colours for; further ones take them again.
pub const COLORS: usize = 8;

/// A chart of one or more series.
pub struct Chart {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Where a line goes up, and what it means.
    pub mark: Option<(f64, String)>,
}

pub struct Axis {
    pub label: &'static str,
    pub range: Range<f64>,
    pub show: fn(f64) -> String,
}

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub shape: Shape,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    Line,
    /// One at each point.
    Dots,
    /// From 0 up, as wide as this around each point.
    Bars(f64),
}

const SIZE: (u32, u32) = (760, 340);

/// Colours that stand for classes of the style sheet until the drawing is done.
const TEXT: RGBColor = RGBColor(1, 0, 1);
const GRID: RGBColor = RGBColor(1, 0, 2);
const AXIS: RGBColor = RGBColor(1, 0, 3);
const MARK: RGBColor = RGBColor(1, 0, 4);

fn color(series: usize) -> RGBColor {
    RGBColor(2, 0, (series % COLORS) as u8)
}

impl Chart {
    /// The drawing; nothing where there is nothing to draw.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        let mut spots = String::new();
        if self.draw(&mut svg, &mut spots).is_err() {
            return String::new();
        }
        for (color, class) in [(TEXT, ""), (GRID, "grid"), (AXIS, "axis"), (MARK, "mark")] {
            let hex = format!("\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
            let class = if class.is_empty() { String::new() } else { format!("class=\"{class}\"") };
            svg = svg.replace(&format!("fill={hex}"), &class).replace(&format!("stroke={hex}"), &class);
        }
        for series in 0..COLORS {
            svg = svg.replace(&format!("=\"#0200{series:02X}\""), &format!("=\"var(--c{series})\""));
        }
        // A drawing of the page's width.
        let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
        svg = svg.replacen(&size, "role=\"img\" ", 1);
        svg.replace("</svg>", &format!("{spots}</svg>"))
    }

    fn draw(&self, svg: &mut String, spots: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(self.x.range.clone(), self.y.range.clone())?;
        chart
            .configure_mesh()
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|v| (self.x.show)(*v))
            .y_label_formatter(&|v| (self.y.show)(*v))
            .x_labels(10)
            .y_labels(7)
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(("sans-serif", 14, &TEXT))
            .draw()?;
        for (number, series) in self.series.iter().enumerate() {
            let points = || series.points.iter().copied();
            match series.shape {
                Shape::Line => {
                    chart.draw_series(LineSeries::new(points(), color(number).stroke_width(2)))?;
                }
                Shape::Dots => {
                    chart.draw_series(points().map(|point| Circle::new(point, 4, color(number).filled())))?;
                }
                Shape::Bars(width) => {
                    let bar = |(x, y): (f64, f64)| {
                        let corners = [(x - width / 2.0, self.y.range.start), (x + width / 2.0, y)];
                        Rectangle::new(corners, color(number).filled())
                    };
                    chart.draw_series(points().map(bar))?;
                }
            }
        }
        if let Some((x, _)) = &self.mark {
            let ends = [(*x, self.y.range.start), (*x, self.y.range.end)];
            chart.draw_series([PathElement::new(ends, MARK.stroke_width(1))])?;
        }
        // Over everything: what tells its value.
        for series in &self.series {
            for point in &series.points {
                let (x, y) = chart.backend_coord(point);
                let said = format!("{}, {}: {}", series.name, (self.x.show)(point.0), (self.y.show)(point.1));
                let said = escaped(&said);
                match series.shape {
                    Shape::Line | Shape::Dots => {
                        write!(
                            spots,
                            "<circle class=\"spot\" cx=\"{x}\" cy=\"{y}\" r=\"7\"><title>{said}</title></circle>"
                        )?;
                    }
                    Shape::Bars(width) => {
                        let (left, top) = chart.backend_coord(&(point.0 - width / 2.0, self.y.range.end));
                        let (right, bottom) = chart.backend_coord(&(point.0 + width / 2.0, self.y.range.start));
                        let (width, height) = ((right - left).max(1), bottom - top);
                        write!(
                            spots,
                            "<rect class=\"spot\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>\
                             {said}</title></rect>"
                        )?;
                    }
                }
            }
        }
        if let Some((mark, said)) = &self.mark {
            let (x, y) = chart.backend_coord(&(*mark, self.y.range.end));
            let right = *mark > (self.x.range.start + self.x.range.end) / 2.0;
            let anchor = if right { "end" } else { "start" };
            let x = if anchor == "end" { x - 6 } else { x + 6 };
            write!(spots, "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>", y + 12, escaped(said))?;
        }
        root.present()?;
        Ok(())
    }
}
