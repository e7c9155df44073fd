//! Line charts and scatter plots.

use super::{save_png, use_embedded_font};
use anyhow::anyhow;
use image::RgbImage;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (900, 480);

/// Draws y over x as a line. The y axis is fitted to the bulk of the points, so that a steep start does not flatten the rest.
///
/// # Errors
/// When there are no finite points, or the file cannot be written.
pub fn curve(path: &Path, title: &str, labels: (&str, &str), points: &[(f64, f64)]) -> anyhow::Result<()> {
    use_embedded_font();
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let mut ys: Vec<f64> = finite.iter().map(|p| p.1).collect();
    ys.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (ys.first(), ys.get((ys.len().max(1) - 1) * 98 / 100)) else {
        return Err(anyhow!("there is nothing to draw: no finite points"));
    };
    let pad = 0.05 * (high - low).max(1e-9);
    let last = finite.iter().map(|p| p.0).fold(f64::MIN_POSITIVE, f64::max);
    let mut canvas = RgbImage::new(SIZE.0, SIZE.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, SIZE).into_drawing_area();
        let draw = || -> Result<(), Box<dyn std::error::Error>> {
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(title, ("sans-serif", 20))
                .margin(14)
                .x_label_area_size(40)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..last, low - pad..high + pad)?;
            chart.configure_mesh().x_desc(labels.0).y_desc(labels.1).light_line_style(WHITE).draw()?;
            chart.draw_series(LineSeries::new(finite.iter().copied(), RGBColor(20, 90, 180).stroke_width(2)))?;
            Ok(area.present()?)
        };
        draw().map_err(|e| anyhow!("cannot draw {title}: {e}"))?;
    }
    save_png(path, &canvas)
}

/// One chart among several.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Lines by name.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Draws panels side by side over t in [0, 1], each from 0 to the bulk of its values.
///
/// # Errors
/// When the file cannot be written.
pub fn panels(path: &Path, panels: &[Panel]) -> anyhow::Result<()> {
    use_embedded_font();
    let size = (420 * panels.len().max(1) as u32, 360);
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        let draw = || -> Result<(), Box<dyn std::error::Error>> {
            area.fill(&WHITE)?;
            for (place, panel) in area.split_evenly((1, panels.len().max(1))).iter().zip(panels) {
                draw_panel(place, panel)?;
            }
            Ok(area.present()?)
        };
        draw().map_err(|e| anyhow!("cannot draw {}: {e}", path.display()))?;
    }
    save_png(path, &canvas)
}

fn draw_panel<B: DrawingBackend>(
    place: &DrawingArea<B, plotters::coord::Shift>,
    panel: &Panel,
) -> Result<(), Box<dyn std::error::Error>>
where
    B::ErrorType: 'static,
{
    const COLOURS: [RGBColor; 3] = [RGBColor(20, 90, 180), RGBColor(200, 60, 40), RGBColor(40, 140, 60)];
    let mut ys: Vec<f64> =
        panel.lines.iter().flat_map(|(_, line)| line).map(|p| p.1).filter(|y| y.is_finite()).collect();
    ys.sort_by(f64::total_cmp);
    let top = ys.get(ys.len().saturating_sub(1) * 97 / 100).copied().unwrap_or(1.0).max(1e-9) * 1.3;
    let mut chart = ChartBuilder::on(place)
        .caption(&panel.title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..1.0, 0.0..top)?;
    chart.configure_mesh().x_desc("t").x_labels(6).y_labels(6).light_line_style(WHITE).draw()?;
    for ((name, line), colour) in panel.lines.iter().zip(COLOURS) {
        let inside = line.iter().copied().filter(|p| p.1.is_finite()).map(|(t, y)| (t, y.min(top)));
        let entry = chart.draw_series(LineSeries::new(inside, colour.stroke_width(2)))?.label(name);
        entry.legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    let labels = &mut chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperMiddle)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// Draws points in the plane, several sets in different colours, over one square of equal axes.
///
/// # Errors
/// When the file cannot be written.
pub fn scatter(path: &Path, title: &str, sets: &[(&str, Vec<(f32, f32)>)]) -> anyhow::Result<()> {
    use_embedded_font();
    let all = sets.iter().flat_map(|(_, points)| points);
    let reach = all.fold(1e-6f32, |m, p| m.max(p.0.abs()).max(p.1.abs())) * 1.05;
    let size = (640, 680);
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        let draw = || -> Result<(), Box<dyn std::error::Error>> {
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(title, ("sans-serif", 20))
                .margin(10)
                .x_label_area_size(24)
                .y_label_area_size(36)
                .build_cartesian_2d(-reach..reach, -reach..reach)?;
            chart.configure_mesh().disable_mesh().draw()?;
            for ((name, points), colour) in sets.iter().zip([RGBColor(150, 150, 150), RGBColor(200, 60, 40)]) {
                let dots = points.iter().map(|p| Circle::new(*p, 2, colour.mix(0.6).filled()));
                let entry = chart.draw_series(dots)?.label(*name);
                entry.legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
            }
            chart.configure_series_labels().border_style(BLACK.mix(0.3)).background_style(WHITE).draw()?;
            Ok(area.present()?)
        };
        draw().map_err(|e| anyhow!("cannot draw {title}: {e}"))?;
    }
    save_png(path, &canvas)
}
