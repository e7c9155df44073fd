//! Line charts.

use super::chart::{Chart, save_chart};
use super::font::use_embedded_font;
use anyhow::{anyhow, ensure};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// Lines over a common axis. The y axis is fitted to the bulk of the points, so that a steep start
/// does not flatten the rest.
#[derive(Debug, Clone)]
pub struct Curves {
    /// The title.
    pub title: String,
    /// Names of the axes.
    pub labels: (String, String),
    /// Lines by name; a single one needs none.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
    /// Logarithmic axes (y only if all of it is above 0), with a dot at each point: for lines of
    /// few points whose x doubles.
    pub doubling: bool,
    /// A logarithmic y axis, if all of it is above 0.
    pub log_y: bool,
}

impl Curves {
    /// A single line.
    pub fn one(title: &str, labels: (&str, &str), points: Vec<(f64, f64)>) -> Self {
        let labels = (labels.0.into(), labels.1.into());
        Self { title: title.into(), labels, lines: vec![(String::new(), points)], doubling: false, log_y: false }
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|(_, line)| line.iter().copied()).filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// Whether there is a point to draw.
    pub fn has_points(&self) -> bool {
        self.finite().next().is_some()
    }

    /// Whether the x axis and the y axis are logarithmic.
    fn logarithmic(&self) -> (bool, bool) {
        (self.doubling, (self.doubling || self.log_y) && self.finite().all(|(_, y)| y > 0.0))
    }

    /// Where points are drawn.
    fn placed(&self) -> Self {
        let (by_x, by_y) = self.logarithmic();
        let place = |v: f64, by: bool| if by { v.log2() } else { v };
        let moved = |line: &[(f64, f64)]| line.iter().map(|(x, y)| (place(*x, by_x), place(*y, by_y))).collect();
        Self { lines: self.lines.iter().map(|(name, line)| (name.clone(), moved(line))).collect(), ..self.clone() }
    }

    /// Writes them as PNG or SVG, as the file's name says.
    ///
    /// # Errors
    /// When there are no finite points, or the file cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        ensure!(
            self.has_points(),
            "there is nothing to draw in {}: no finite points; train longer, or look for values that are not finite",
            self.title
        );
        save_chart(path, self)
    }

    /// The lowest and highest values shown, and the last x; of lines of few points all are shown.
    fn range(&self) -> (f64, f64, f64) {
        let mut ys: Vec<f64> = self.finite().map(|p| p.1).collect();
        ys.sort_by(f64::total_cmp);
        let low = ys.first().copied().unwrap_or(0.0);
        let bulk = if self.doubling { 100 } else { 98 };
        let high = ys.get((ys.len().max(1) - 1) * bulk / 100).copied().unwrap_or(1.0);
        let pad = 0.05 * (high - low).max(1e-3 * high.abs()).max(1e-9);
        (low - pad, high + pad, self.finite().map(|p| p.0).fold(f64::MIN_POSITIVE, f64::max))
    }
}

impl Chart for Curves {
    fn size(&self) -> (u32, u32) {
        (900, 480)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), Box<dyn Error>>
    where
        B::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let (shown, (by_x, by_y)) = (self.placed(), self.logarithmic());
        let (low, high, last) = shown.range();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 26))
            .margin(14)
            .margin_right(34)
            .x_label_area_size(56)
            .y_label_area_size(104)
            .build_cartesian_2d(0.0..last, low..high)?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc(&self.labels.0).y_desc(&self.labels.1).light_line_style(WHITE);
        // A page shows the chart at two thirds of its size.
        mesh.label_style(("sans-serif", 19)).axis_desc_style(("sans-serif", 21));
        let value = |v: &f64, by: bool| if by { short(&three_digits(v.exp2())) } else { short(v) };
        let (x_label, y_label) = (|v: &f64| value(v, by_x), |v: &f64| value(v, by_y));
        // Doublings, one a label.
        mesh.x_labels(if by_x { last as usize + 1 } else { 10 });
        mesh.x_label_formatter(&x_label).y_label_formatter(&y_label).draw()?;
        let count = shown.lines.len();
        for (k, (name, line)) in shown.lines.iter().enumerate() {
            let colour = colour(k, count);
            let inside = line.iter().copied().filter(|p| p.1.is_finite()).map(|(x, y)| (x, y.clamp(low, high)));
            let points: Vec<(f64, f64)> = inside.collect();
            if self.doubling {
                chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, colour.filled())))?;
            }
            let entry = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            if count > 1 {
                let swatch = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3));
                entry.label(name).legend(swatch);
            }
        }
        if count > 1 {
            let labels = &mut chart.configure_series_labels();
            labels.position(SeriesLabelPosition::UpperRight).label_font(("sans-serif", 18));
            labels.border_style(BLACK.mix(0.3)).background_style(WHITE.mix(0.85)).draw()?;
        }
        Ok(area.present()?)
    }
}

/// The colours of few lines differ as much as possible; those of many go in hue from blue to red.
fn colour(k: usize, count: usize) -> RGBAColor {
    const FEW: [RGBColor; 3] = [RGBColor(20, 90, 180), RGBColor(200, 60, 40), RGBColor(40, 140, 60)];
    match FEW.get(k) {
        Some(colour) if count <= FEW.len() => colour.mix(1.0),
        _ => HSLColor(0.64 * (1.0 - k as f64 / (count - 1).max(1) as f64), 0.8, 0.42).mix(1.0),
    }
}

fn three_digits(value: f64) -> f64 {
    let unit = 10f64.powi(value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32 - 2);
    (value / unit).round() * unit
}

/// A number on an axis, as short as possible.
pub(super) fn short(value: &f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        _ if (1e-2..1e5).contains(&size) => format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').into(),
        _ if size < 1e-12 => "0".into(),
        _ => format!("{value:.1e}"),
    }
}

/// One chart among several.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The title.
    pub title: String,
    /// Lines by name.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
    /// The value at the top; that of the bulk of the lines if `None`.
    pub top: Option<f64>,
}

/// Draws panels side by side over t in [0, 1], each from 0 to its top.
///
/// # Errors
/// When they cannot be drawn.
pub fn panels(panels: &[Panel]) -> anyhow::Result<RgbImage> {
    use_embedded_font();
    let size = (420 * panels.len().max(1) as u32, 360);
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        let draw = || -> Result<(), Box<dyn Error>> {
            area.fill(&WHITE)?;
            for (place, panel) in area.split_evenly((1, panels.len().max(1))).iter().zip(panels) {
                draw_panel(place, panel)?;
            }
            Ok(area.present()?)
        };
        draw().map_err(|e| anyhow!("cannot draw the panels: {e}; please report this"))?;
    }
    Ok(canvas)
}

fn draw_panel<B: DrawingBackend>(place: &DrawingArea<B, Shift>, panel: &Panel) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let mut ys: Vec<f64> =
        panel.lines.iter().flat_map(|(_, line)| line).map(|p| p.1).filter(|y| y.is_finite()).collect();
    ys.sort_by(f64::total_cmp);
    let bulk = || ys.get(ys.len().saturating_sub(1) * 97 / 100).copied().unwrap_or(1.0).max(1e-9) * 1.3;
    let top = panel.top.unwrap_or_else(bulk);
    let mut chart = ChartBuilder::on(place)
        .caption(&panel.title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..1.0, 0.0..top)?;
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc("t").x_labels(6).y_labels(6).light_line_style(WHITE);
    mesh.x_label_formatter(&short).y_label_formatter(&short).draw()?;
    for (k, (name, line)) in panel.lines.iter().enumerate() {
        let colour = colour(k, panel.lines.len());
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
