//! A picture as a list of shapes, and how plotters paints it. Shapes know nothing of pixels: a picture is painted at
//! twice its size, so that PNG is sharp and the whole-numbered coordinates of SVG are fine enough.

use crate::report::html::escape;
use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, Circle, DrawingArea, DrawingBackend, FontStyle, IntoDrawingArea, PathElement, Polygon, RGBColor,
    Rectangle, SVGBackend, ShapeStyle, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, register_font};
use std::path::Path;

const REGULAR: &[u8] = include_bytes!("../fonts/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/Roboto-Bold.ttf");
/// Painted at this multiple of the picture's size.
const FINENESS: f64 = 2.0;
/// Texts are taken to be this much wider than in the embedded font: a viewer of SVG uses its own.
const WIDEST_SANS_SERIF: f64 = 1.12;

/// How a backend understands the size and the place of a text.
#[derive(Clone, Copy, Debug)]
struct Medium {
    /// The font size that plotters wants for an em of 1.
    size_of_em: f64,
    /// How far, in ems, plotters' vertical centre has to move down so that capitals and figures stand centred.
    drop: f64,
}

/// Plotters divides the size by 1.24, and hangs the baseline half an x-height below the centre.
const SVG: Medium = Medium { size_of_em: 1.24, drop: 0.08 };
/// The size is the whole height of a line, 1.17 ems of Roboto, and the baseline comes to 0.11 ems below the centre.
const PNG: Medium = Medium { size_of_em: 1.17, drop: 0.24 };

/// Why a plot could not be painted.
#[derive(Debug, thiserror::Error)]
#[error("a plot could not be painted: {0}")]
pub(in crate::report) struct PlotError(String);

/// A colour with a meaning. The hues are Okabe and Ito's, which people with every kind of colour vision tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Ink {
    /// Text and main marks.
    Main,
    /// Secondary text and marks.
    Muted,
    /// Grid lines and grounds.
    Grid,
    /// The ground.
    Paper,
    /// The choice.
    Choice,
    /// A promise, and what breaks it.
    Limit,
    /// The tail.
    Tail,
    /// The median.
    Median,
}

/// Where a text hangs on its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Anchor {
    /// The text starts there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks, and where it hangs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Face {
    /// The em, in units of the picture.
    pub(in crate::report) size: f64,
    /// True for bold type.
    pub(in crate::report) bold: bool,
    /// Colour.
    pub(in crate::report) ink: Ink,
    /// Where it hangs on its point.
    pub(in crate::report) anchor: Anchor,
}

impl Face {
    /// Plain type.
    pub(in crate::report) fn plain(size: f64, ink: Ink, anchor: Anchor) -> Self {
        Self { size, bold: false, ink, anchor }
    }

    /// Bold type.
    pub(in crate::report) fn bold(size: f64, ink: Ink, anchor: Anchor) -> Self {
        Self { size, bold: true, ink, anchor }
    }
}

/// A point, in units of the picture, from its upper left corner.
pub(in crate::report) type Point = (f64, f64);

/// One shape.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) enum Shape {
    /// A line through points.
    Line { points: Vec<Point>, ink: Ink, width: f64, alpha: f64 },
    /// A filled area.
    Area { points: Vec<Point>, ink: Ink, alpha: f64 },
    /// A filled rectangle between two corners.
    Bar { from: Point, to: Point, ink: Ink, alpha: f64 },
    /// A filled circle.
    Dot { at: Point, radius: f64, ink: Ink, alpha: f64 },
    /// A circle's outline on paper.
    Ring { at: Point, radius: f64, ink: Ink, width: f64 },
    /// A line of text, vertically centred on its point.
    Words { at: Point, text: String, face: Face },
}

/// A list of shapes, painted in order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Picture {
    pub(in crate::report) width: f64,
    pub(in crate::report) height: f64,
    pub(in crate::report) shapes: Vec<Shape>,
}

impl Ink {
    fn colour(self) -> RGBColor {
        match self {
            Self::Main => RGBColor(0x1F, 0x29, 0x33),
            Self::Muted => RGBColor(0x5F, 0x6C, 0x7B),
            Self::Grid => RGBColor(0xE1, 0xE5, 0xEA),
            Self::Paper => RGBColor(0xFF, 0xFF, 0xFE),
            Self::Choice => RGBColor(0x00, 0x72, 0xB2),
            Self::Limit => RGBColor(0xD5, 0x5E, 0x00),
            Self::Tail => RGBColor(0xCC, 0x79, 0xA7),
            Self::Median => RGBColor(0x00, 0x9E, 0x73),
        }
    }
}

/// How wide a text is, in units of the picture.
pub(in crate::report) fn width_of(text: &str, size: f64, bold: bool) -> f64 {
    register_fonts();
    // Plotters tells whole pixels: a text eight times as large tells the width finely enough.
    font(size * PNG.size_of_em * 8.0, bold).box_size(text).map_or_else(
        // Without a font nothing is painted at all; half an em for each character keeps the arithmetic going.
        |_| size * 0.5 * text.chars().count() as f64,
        |(width, _)| f64::from(width) / 8.0 * WIDEST_SANS_SERIF,
    )
}

fn font(size: f64, bold: bool) -> FontDesc<'static> {
    FontDesc::new(FontFamily::SansSerif, size, if bold { FontStyle::Bold } else { FontStyle::Normal })
}

/// Plotters keeps fonts by name; registering one again replaces it by itself.
fn register_fonts() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
            // A font that cannot be read shows as an error of the first text painted with it.
            // The generic family: viewers of SVG use their own sans serif, PNG uses what is registered here.
            let _ = register_font(FontFamily::SansSerif.as_str(), style, bytes);
        }
    });
}

impl Picture {
    /// An empty picture.
    pub(in crate::report) fn new(width: f64, height: f64) -> Self {
        let ground = Shape::Bar { from: (0.0, 0.0), to: (width, height), ink: Ink::Paper, alpha: 1.0 };
        Self { width, height, shapes: vec![ground] }
    }

    /// Adds a line.
    pub(in crate::report) fn line(&mut self, points: Vec<Point>, ink: Ink, width: f64, alpha: f64) {
        self.shapes.push(Shape::Line { points, ink, width, alpha });
    }

    /// Adds a dashed straight line.
    pub(in crate::report) fn dashes(&mut self, from: Point, to: Point, ink: Ink) {
        const DASH: f64 = 6.0;
        const GAP: f64 = 4.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |d: f64| (from.0 + (to.0 - from.0) * d / length, from.1 + (to.1 - from.1) * d / length);
        let mut start = 0.0;
        while start < length {
            self.line(vec![at(start), at((start + DASH).min(length))], ink, 1.5, 1.0);
            start += DASH + GAP;
        }
    }

    /// Adds a text.
    pub(in crate::report) fn words(&mut self, at: Point, text: impl Into<String>, face: Face) {
        self.shapes.push(Shape::Words { at, text: text.into(), face });
    }

    /// The picture as an SVG element of its own, with `description` for those who cannot see it.
    pub(in crate::report) fn svg(&self, description: &str) -> Result<String, PlotError> {
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, self.pixels()).into_drawing_area();
        self.paint(&area, SVG)?;
        drop(area);
        // The painted size is FINENESS times the shown one: only the view box keeps it.
        let (width, height) = self.pixels();
        let start = text.find("<svg").ok_or_else(|| PlotError("no SVG came out".to_owned()))?;
        let end = start + text[start..].find('>').ok_or_else(|| PlotError("the SVG is cut off".to_owned()))?;
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<desc>{}</desc>{}",
            self.width,
            self.height,
            escape(description),
            text[end + 1..].trim_end()
        ))
    }

    /// Paints the picture as PNG into a file whose name must end in `.png`.
    pub(in crate::report) fn save_png(&self, path: &Path) -> Result<(), PlotError> {
        self.paint(&BitMapBackend::new(path, self.pixels()).into_drawing_area(), PNG)
    }

    fn pixels(&self) -> (u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pictures are small and positive")]
        let pixel = |length: f64| (length * FINENESS).round().clamp(1.0, 10_000.0) as u32;
        (pixel(self.width), pixel(self.height))
    }

    fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, medium: Medium) -> Result<(), PlotError> {
        register_fonts();
        for shape in &self.shapes {
            paint(area, shape, medium).map_err(|error| PlotError(error.to_string()))?;
        }
        area.present().map_err(|error| PlotError(error.to_string()))
    }
}

fn pixel((x, y): Point) -> (i32, i32) {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the size of a picture and a margin")]
    let one = |length: f64| (length * FINENESS).round().clamp(-10_000.0, 20_000.0) as i32;
    (one(x), one(y))
}

fn stroke(width: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=100")]
    let stroke = (width * FINENESS).round().clamp(1.0, 100.0) as u32;
    stroke
}

fn paint<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    shape: &Shape,
    medium: Medium,
) -> Result<(), plotters::drawing::DrawingAreaErrorKind<DB::ErrorType>> {
    let fill = |ink: Ink, alpha: f64| ShapeStyle { color: ink.colour().mix(alpha), filled: true, stroke_width: 0 };
    match shape {
        Shape::Line { points, ink, width, alpha } => {
            let style = ShapeStyle { color: ink.colour().mix(*alpha), filled: false, stroke_width: stroke(*width) };
            area.draw(&PathElement::new(points.iter().copied().map(pixel).collect::<Vec<_>>(), style))
        }
        Shape::Area { points, ink, alpha } => {
            area.draw(&Polygon::new(points.iter().copied().map(pixel).collect::<Vec<_>>(), fill(*ink, *alpha)))
        }
        Shape::Bar { from, to, ink, alpha } => {
            area.draw(&Rectangle::new([pixel(*from), pixel(*to)], fill(*ink, *alpha)))
        }
        Shape::Dot { at, radius, ink, alpha } => {
            area.draw(&Circle::new(pixel(*at), stroke(*radius), fill(*ink, *alpha)))
        }
        Shape::Ring { at, radius, ink, width } => {
            area.draw(&Circle::new(pixel(*at), stroke(*radius), fill(*ink, 1.0)))?;
            area.draw(&Circle::new(pixel(*at), stroke(*radius - *width), fill(Ink::Paper, 1.0)))
        }
        Shape::Words { at, text, face } => {
            let hang = match face.anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let font = font(face.size * medium.size_of_em * FINENESS, face.bold);
            let at = (at.0, at.1 + face.size * medium.drop);
            let colour = face.ink.colour();
            let style = TextStyle::from(font).color(&colour).pos(Pos::new(hang, VPos::Center));
            area.draw(&Text::new(text.clone(), pixel(at), style))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_fonts_can_be_read_and_hold_every_sign_the_plots_use() {
        for character in "0123456789.,$%·–—−×≤≥→’“”…µABCxyz".chars() {
            assert!(width_of(&character.to_string(), 12.0, false) > 0.0, "{character}");
        }
        assert!(width_of("wide text", 12.0, true) > width_of("wide", 12.0, true));
    }

    #[test]
    fn the_description_and_the_texts_cannot_break_out_of_the_svg() {
        let mut picture = Picture::new(100.0, 50.0);
        picture.words((10.0, 10.0), "<script>alert(1)</script>&", Face::plain(12.0, Ink::Main, Anchor::Start));
        let svg = picture.svg("\"><script>").unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert!(document.descendants().all(|node| node.tag_name().name() != "script"));
        assert!(!svg.contains("<script"));
    }
}
