//! Pictures: grids of images, animations, curves, and the plane. Text in bitmaps is drawn in an embedded font, so no system font is needed.

mod curve;
mod grid;
mod plane;

pub use curve::{Curves, Panel, panels};
pub use grid::{Grid, save_gif, save_png};
pub use plane::{Layer, Plane, Point, around, ink, reach, scatter, side_by_side};

use anyhow::anyhow;
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::error::Error;
use std::path::Path;

/// Something that can be drawn as pixels and as vectors.
pub trait Chart {
    /// Width and height.
    fn size(&self) -> (u32, u32);

    /// Draws it.
    ///
    /// # Errors
    /// Those of the backend.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), Box<dyn Error>>
    where
        B::ErrorType: 'static;
}

/// A chart as the text of an SVG.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(chart: &impl Chart) -> anyhow::Result<String> {
    use_embedded_font();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, chart.size()).into_drawing_area();
        chart.draw(&area).map_err(|e| anyhow!("cannot draw: {e}"))?;
    }
    Ok(text)
}

/// Writes a chart as SVG, if the file's name ends so, or as PNG.
fn save_chart(path: &Path, chart: &impl Chart) -> anyhow::Result<()> {
    if path.extension().is_some_and(|e| e == "svg") {
        return Ok(fm_train::files::write(path, svg(chart)?.as_bytes())?);
    }
    use_embedded_font();
    let size = chart.size();
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        chart.draw(&area).map_err(|e| anyhow!("cannot draw {}: {e}", path.display()))?;
    }
    save_png(path, &canvas)
}

/// Makes the embedded font known under the name that charts ask for.
fn use_embedded_font() {
    // Registering twice, or a font that does not parse, only costs the text.
    let _ = register_font("sans-serif", FontStyle::Normal, fonts::HACK_REGULAR);
}
