//! Charts, which are drawn as pixels or as vectors.

use super::font::use_embedded_font;
use anyhow::anyhow;
use fm_cli::outputs::{Format, Kind, save_picture};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
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
        chart.draw(&area).map_err(|e| anyhow!("cannot draw: {e}; please report this"))?;
    }
    Ok(text)
}

/// Writes a chart as SVG, if the file's name ends so, or as pixels.
pub(super) fn save_chart(path: &Path, chart: &impl Chart) -> anyhow::Result<()> {
    if Format::of(path, Kind::Chart)? == Format::Svg {
        return Ok(fm_train::files::output(path, svg(chart)?.as_bytes())?);
    }
    use_embedded_font();
    let size = chart.size();
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        chart.draw(&area).map_err(|e| anyhow!("cannot draw {}: {e}; please report this", path.display()))?;
    }
    save_picture(path, &canvas)
}
