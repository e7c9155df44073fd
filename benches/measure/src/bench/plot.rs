//! Curves with logarithmic axes, as SVG.

use super::contest::cell;
use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::error::Error;

/// Times over sizes, and the exponent of the fitted power law.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) axis: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) exponent: f64,
}

const COLUMNS: usize = 3;
const SIZE: (u32, u32) = (320, 250);

/// All panels as the text of an SVG.
pub(super) fn panels(panels: &[Panel]) -> anyhow::Result<String> {
    // The font is used only for the widths of texts.
    let _ = register_font("sans-serif", FontStyle::Normal, fonts::HACK_REGULAR);
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let mut text = String::new();
    let draw = |text: &mut String| -> Result<(), Box<dyn Error>> {
        let size = (SIZE.0 * COLUMNS as u32, SIZE.1 * rows as u32);
        let area = SVGBackend::with_string(text, size).into_drawing_area();
        area.fill(&WHITE)?;
        for (place, panel) in area.split_evenly((rows, COLUMNS)).iter().zip(panels) {
            let range = |of: fn(&(f64, f64)) -> f64| {
                let (low, high) =
                    panel.points.iter().map(of).fold((f64::INFINITY, 0f64), |(l, h), v| (l.min(v), h.max(v)));
                low / 1.4..high * 2.0
            };
            let mut chart = ChartBuilder::on(place)
                .caption(&panel.title, ("sans-serif", 12))
                .margin(8)
                .x_label_area_size(34)
                .y_label_area_size(52)
                .build_cartesian_2d(range(|p| p.0).log_scale(), range(|p| p.1).log_scale())?;
            let mesh = &mut chart.configure_mesh();
            mesh.x_labels(4)
                .y_labels(4)
                .light_line_style(WHITE)
                .x_desc(format!("{}, exponent {:.2}", panel.axis, panel.exponent));
            mesh.y_desc("ms").label_style(("sans-serif", 10)).draw()?;
            // The line passes through the mean of the points.
            let n = panel.points.len() as f64;
            let middle = |of: fn(&(f64, f64)) -> f64| panel.points.iter().map(|p| of(p).ln()).sum::<f64>() / n;
            let (x, y) = (middle(|p| p.0), middle(|p| p.1));
            let law = panel.points.iter().map(|p| (p.0, (y + panel.exponent * (p.0.ln() - x)).exp()));
            chart.draw_series(LineSeries::new(law, RGBColor(200, 60, 40).stroke_width(1)))?;
            chart.draw_series(panel.points.iter().map(|p| {
                // The label of a point: its size and its time.
                let label = Text::new(format!("{}: {}", p.0, cell(p.1)), (5, 2), ("sans-serif", 9));
                EmptyElement::at(*p) + Circle::new((0, 0), 3, RGBColor(20, 90, 180).filled()) + label
            }))?;
        }
        Ok(area.present()?)
    };
    draw(&mut text).map_err(|e| anyhow!("cannot draw: {e}"))?;
    Ok(text)
}
