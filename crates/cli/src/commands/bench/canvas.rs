//! What a plot is drawn on: lines, bars, points and words, as SVG or PNG.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io::Write;

/// The width of a plot.
pub const WIDTH: i32 = 1100;
/// Pixels of a PNG for each unit: it is looked at on screens of all kinds.
const PNG_SCALE: i32 = 2;
const FONT: &str = "sans-serif";

/// How a plot is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Svg,
    Png,
}

/// Where a text stands: it begins, has its middle or ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

/// A picture, whatever it is stored as.
pub trait Canvas {
    /// A line through points.
    fn line(&self, points: &[(i32, i32)], colour: RGBColor, width: u32) -> Result<()>;
    /// A filled rectangle.
    fn bar(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()>;
    /// A point.
    fn dot(&self, at: (i32, i32), colour: RGBColor) -> Result<()>;
    /// A text, with its middle at this height.
    fn text(&self, text: &str, at: (i32, i32), size: i32, c: RGBColor, align: Align) -> Result<()>;
    /// How wide a text is.
    fn width(&self, text: &str, size: i32) -> Result<i32>;
}

/// Draws a picture of `height` pixels and writes it to `out` in the given format. `paint` makes the
/// drawing calls.
pub fn draw(
    out: &mut impl Write,
    format: Format,
    height: i32,
    background: RGBColor,
    paint: impl Fn(&dyn Canvas) -> Result<()>,
) -> Result<()> {
    // Both need it: one to draw letters, the other to know how wide words are.
    plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| anyhow!("the font cannot be read"))?;
    let size = |scale: i32| ((WIDTH * scale) as u32, (height * scale) as u32);
    match format {
        Format::Svg => {
            let mut text = String::new();
            paint_on(SVGBackend::with_string(&mut text, size(1)), 1, background, paint)?;
            out.write_all(text.as_bytes())?;
        }
        Format::Png => {
            let (wide, high) = size(PNG_SCALE);
            let mut pixels = vec![0; wide as usize * high as usize * 3];
            let backend = BitMapBackend::with_buffer(&mut pixels, (wide, high));
            paint_on(backend, PNG_SCALE, background, paint)?;
            let mut encoder = png::Encoder::new(out, wide, high);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header()?.write_image_data(&pixels)?;
        }
    }
    Ok(())
}

/// Fills the backend with the background colour, and lets `paint` draw on it. Coordinates and sizes
/// are multiplied by `scale`.
fn paint_on<DB: DrawingBackend>(
    backend: DB,
    scale: i32,
    background: RGBColor,
    paint: impl Fn(&dyn Canvas) -> Result<()>,
) -> Result<()> {
    let area = backend.into_drawing_area();
    area.fill(&background).map_err(|e| anyhow!("{e}"))?;
    let drawn = Drawn { area, scale };
    paint(&drawn)?;
    drawn.area.present().map_err(|e| anyhow!("{e}"))
}

struct Drawn<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    scale: i32,
}

impl<DB: DrawingBackend> Drawn<DB> {
    /// Converts a position in the picture to a position of the backend.
    fn scaled(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (x * self.scale, y * self.scale)
    }
    /// Returns the text style for a font size in pixels of the picture.
    fn text_style(&self, size: i32) -> TextStyle<'static> {
        (FONT, size * self.scale).into_font().into()
    }
}

impl<DB: DrawingBackend> Canvas for Drawn<DB> {
    fn line(&self, points: &[(i32, i32)], colour: RGBColor, width: u32) -> Result<()> {
        let points: Vec<_> = points.iter().map(|at| self.scaled(*at)).collect();
        let style = colour.stroke_width(width * self.scale as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(|e| anyhow!("{e}"))
    }
    fn bar(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()> {
        let corners = [self.scaled(from), self.scaled(to)];
        self.area.draw(&Rectangle::new(corners, colour.filled())).map_err(|e| anyhow!("{e}"))
    }
    fn dot(&self, at: (i32, i32), colour: RGBColor) -> Result<()> {
        let circle = Circle::new(self.scaled(at), 3 * self.scale, colour.filled());
        self.area.draw(&circle).map_err(|e| anyhow!("{e}"))
    }
    fn text(&self, text: &str, at: (i32, i32), size: i32, c: RGBColor, align: Align) -> Result<()> {
        let across = match align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = self.text_style(size).color(&c).pos(Pos::new(across, VPos::Center));
        let text = Text::new(text.to_owned(), self.scaled(at), style);
        self.area.draw(&text).map_err(|e| anyhow!("{e}"))
    }
    fn width(&self, text: &str, size: i32) -> Result<i32> {
        let size = self.area.estimate_text_size(text, &self.text_style(size));
        Ok(size.map_err(|e| anyhow!("{e}"))?.0 as i32 / self.scale)
    }
}
