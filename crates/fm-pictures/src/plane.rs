//! Pictures of the plane: points, the paths of particles, arrows of a field, and densities, over
//! equal axes.

use super::curve::short;
use super::font::use_embedded_font;
use anyhow::anyhow;
use fm_cli::outputs::save_picture;
use image::RgbImage;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf32;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// A point of the plane.
pub type Point = (f32, f32);

/// The colours of data, source, samples and fields.
pub mod ink {
    use plotters::style::RGBColor;
    /// Data and other given points.
    pub const DATA: RGBColor = RGBColor(120, 128, 140);
    /// The source.
    pub const SOURCE: RGBColor = RGBColor(32, 105, 190);
    /// Samples of a model.
    pub const SAMPLES: RGBColor = RGBColor(214, 73, 51);
    /// Fields and paths.
    pub const FIELD: RGBColor = RGBColor(45, 62, 80);
}

/// Something drawn in the plane; later ones lie on top.
#[derive(Debug, Clone)]
pub enum Layer {
    /// Points, with a name in the legend.
    Points(String, Vec<Point>, RGBColor),
    /// Lines through points.
    Paths(Vec<Vec<Point>>, RGBColor),
    /// Arrows from a point to another.
    Arrows(Vec<(Point, Point)>, RGBColor),
    /// Values on a square grid over the whole plane, row by row from below; the largest is darkest.
    Heat(Vec<f32>, usize),
}

/// One square of the plane.
#[derive(Debug, Clone)]
pub struct Plane {
    /// What it shows.
    pub title: String,
    /// Both axes go from this to this.
    pub span: (f32, f32),
    /// What is on it.
    pub layers: Vec<Layer>,
}

/// Side of a square, in pixels, and the height of its title.
const SIDE: u32 = 480;
const TITLE: u32 = 34;

/// Half the side of a square around 0 that shows these points, except the farthest 0.5 %, with a
/// margin.
pub fn reach<'p>(points: impl IntoIterator<Item = &'p Point>) -> f32 {
    let mut sizes: Vec<f32> = points.into_iter().map(|p| p.0.abs().max(p.1.abs())).filter(|r| r.is_finite()).collect();
    sizes.sort_by(f32::total_cmp);
    sizes.get(sizes.len().saturating_sub(1) * 995 / 1000).copied().unwrap_or(1.0).max(1e-6) * 1.12
}

/// The axis of a square around 0 with this half side.
pub fn around(reach: f32) -> (f32, f32) {
    (-reach, reach)
}

/// Planes beside each other.
///
/// # Errors
/// When the drawing library fails.
pub fn side_by_side(planes: &[Plane]) -> anyhow::Result<RgbImage> {
    use_embedded_font();
    let size = (SIDE * planes.len().max(1) as u32, SIDE + TITLE);
    let mut canvas = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut canvas, size).into_drawing_area();
        let draw = || -> Result<(), Box<dyn Error>> {
            area.fill(&WHITE)?;
            for (place, plane) in area.split_evenly((1, planes.len().max(1))).iter().zip(planes) {
                draw(place, plane)?;
            }
            Ok(area.present()?)
        };
        draw().map_err(|e| anyhow!("cannot draw: {e}; please report this"))?;
    }
    Ok(canvas)
}

/// Points in the plane, several sets in different colours.
///
/// # Errors
/// When the file cannot be written.
pub fn scatter(path: &Path, title: &str, sets: &[(&str, Vec<Point>)]) -> anyhow::Result<()> {
    let colours = [ink::DATA, ink::SAMPLES, ink::SOURCE];
    let layer = |((name, points), colour): (&(&str, Vec<Point>), RGBColor)| {
        Layer::Points((*name).into(), points.clone(), colour)
    };
    let layers = sets.iter().zip(colours).map(layer).collect();
    let span = around(reach(sets.iter().flat_map(|(_, points)| points)));
    save_picture(path, &side_by_side(&[Plane { title: title.into(), span, layers }])?)
}

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf32, RangedCoordf32>>;

fn draw<B: DrawingBackend>(place: &DrawingArea<B, Shift>, plane: &Plane) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let (low, high) = plane.span;
    let mut chart = ChartBuilder::on(place)
        .caption(&plane.title, ("sans-serif", 17))
        .margin(10)
        .x_label_area_size(22)
        .y_label_area_size(30)
        .build_cartesian_2d(low..high, low..high)?;
    let axes = &mut chart.configure_mesh();
    axes.disable_mesh().x_labels(5).y_labels(5).axis_style(BLACK.mix(0.35)).label_style(("sans-serif", 11));
    let number = |value: &f32| short(&f64::from(*value));
    axes.x_label_formatter(&number).y_label_formatter(&number).draw()?;
    let mut named = 0;
    for layer in &plane.layers {
        match layer {
            Layer::Points(name, points, colour) => {
                dots(&mut chart, name, points, *colour)?;
                named += usize::from(!name.is_empty());
            }
            Layer::Paths(paths, colour) => {
                for path in paths {
                    let _ = chart.draw_series(LineSeries::new(path.iter().copied(), colour.mix(0.22)))?;
                }
            }
            Layer::Arrows(arrows, colour) => {
                for (from, to) in arrows {
                    let _ = chart.draw_series(arrow(*from, *to, *colour))?;
                }
            }
            Layer::Heat(values, side) => heat(&mut chart, values, *side, plane.span)?,
        }
    }
    if named > 1 {
        let labels = &mut chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).label_font(("sans-serif", 13));
        labels.border_style(BLACK.mix(0.15)).background_style(WHITE.mix(0.85)).draw()?;
    }
    Ok(())
}

fn dots<B: DrawingBackend>(
    chart: &mut Chart<'_, B>,
    name: &str,
    points: &[Point],
    colour: RGBColor,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    // Many points are fainter, so that their density shows.
    let strength = (60.0 / (points.len().max(1) as f64).sqrt()).clamp(0.25, 0.8);
    let shown = points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
    let entry = chart.draw_series(shown.map(|p| Circle::new(*p, 2, colour.mix(strength).filled())))?;
    if !name.is_empty() {
        entry.label(name).legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
    }
    Ok(())
}

/// A shaft and the two barbs of its head.
fn arrow(from: Point, to: Point, colour: RGBColor) -> Vec<PathElement<Point>> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let barb = |turn: f32| {
        let (sin, cos) = turn.sin_cos();
        (to.0 - 0.35 * (dx * cos - dy * sin), to.1 - 0.35 * (dx * sin + dy * cos))
    };
    vec![
        PathElement::new(vec![from, to], colour.stroke_width(1)),
        PathElement::new(vec![barb(0.5), to, barb(-0.5)], colour.stroke_width(1)),
    ]
}

fn heat<B: DrawingBackend>(
    chart: &mut Chart<'_, B>,
    values: &[f32],
    side: usize,
    (low, high): (f32, f32),
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let most = values.iter().copied().filter(|v| v.is_finite()).fold(f32::MIN_POSITIVE, f32::max);
    let cell = (high - low) / side.max(1) as f32;
    let square = |(k, value): (usize, &f32)| {
        let (x, y) = (low + (k % side) as f32 * cell, low + (k / side) as f32 * cell);
        Rectangle::new([(x, y), (x + cell, y + cell)], shade(value / most).filled())
    };
    let _ = chart.draw_series(values.iter().enumerate().filter(|(_, v)| v.is_finite()).map(square))?;
    Ok(())
}

/// White over yellow and red to dark purple, lightness falling evenly.
fn shade(share: f32) -> RGBColor {
    const STOPS: [[f32; 3]; 6] = [
        [255.0, 255.0, 255.0],
        [252.0, 225.0, 150.0],
        [245.0, 160.0, 80.0],
        [215.0, 75.0, 75.0],
        [130.0, 30.0, 100.0],
        [35.0, 10.0, 60.0],
    ];
    let at = share.clamp(0.0, 1.0).sqrt() * (STOPS.len() - 1) as f32;
    let k = (at as usize).min(STOPS.len() - 2);
    let mix = |i: usize| (STOPS[k][i] + (at - k as f32) * (STOPS[k + 1][i] - STOPS[k][i])) as u8;
    RGBColor(mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_land_where_they_belong() {
        let points = Layer::Points(String::new(), vec![(0.5, 0.5)], ink::SAMPLES);
        let heat = Layer::Heat(vec![0.0, 0.0, 0.0, 1.0], 2);
        let plane = |layers| Plane { title: "x".into(), span: around(1.0), layers };
        let picture = side_by_side(&[plane(vec![points]), plane(vec![heat])]).unwrap();
        assert_eq!(picture.dimensions(), (2 * SIDE, SIDE + TITLE));
        let coloured = |from: u32, test: fn(&[u8; 3]) -> bool| -> Vec<(u32, u32)> {
            let all = (from..from + SIDE).flat_map(|x| (0..SIDE + TITLE).map(move |y| (x, y)));
            all.filter(|(x, y)| test(&picture.get_pixel(*x, *y).0)).collect()
        };
        // The point lies in the upper right quarter of the first plane, and the dark square of the
        // second.
        let red = coloured(0, |p| p[0] > 180 && p[1] < 150);
        assert!(!red.is_empty() && red.iter().all(|(x, y)| *x > SIDE / 2 && *y < (SIDE + TITLE) / 2), "{red:?}");
        let dark = coloured(SIDE, |p| p[0] < 60 && p[1] < 30 && p[2] > 40);
        assert!(dark.len() > 30_000 && dark.iter().all(|(x, y)| *x > SIDE + SIDE / 2 && *y < (SIDE + TITLE) * 6 / 10));
    }

    #[test]
    fn the_reach_leaves_out_a_stray_point() {
        let mut points: Vec<Point> = (0..1000).map(|k| (k as f32 / 1000.0, 0.0)).collect();
        points.push((1e6, 0.0));
        assert!((reach(&points) - 1.12).abs() < 0.02);
        assert!(reach(&[]) > 0.0);
    }
}
