//! Grids of images, upscaled by whole factors so that small images can be seen, with a name before
//! each row.

use super::font::use_embedded_font;
use anyhow::anyhow;
use fm_cli::memory::ensure_fits;
use fm_cli::outputs::{Format, Kind};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbImage, imageops};
use plotters::prelude::*;
use std::path::Path;

/// How images are laid out.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Channels (1 or 3), height, width of an image.
    pub shape: [usize; 3],
    /// The largest pixel value, drawn as white.
    pub levels: u8,
    /// Images per row.
    pub columns: usize,
    /// Names before the rows; empty for none.
    pub row_names: Vec<String>,
}

const GAP: u32 = 2;
const CELL: u32 = 40;
const BACKGROUND: [u8; 3] = [24, 24, 28];

impl Grid {
    /// Width and height of a picture of `count` images, without names.
    fn extent(&self, count: usize) -> [usize; 2] {
        let [_, height, width] = self.shape;
        let (factor, gap) = ((CELL as usize).div_ceil(width.max(1)).max(1), GAP as usize);
        let side = |n: usize, cell: usize| n.saturating_mul(cell.saturating_mul(factor) + gap).saturating_add(gap);
        [side(self.columns, width), side(count.div_ceil(self.columns.max(1)), height)]
    }

    /// Fails if a picture of `count` images does not fit into memory, before anything is drawn.
    ///
    /// # Errors
    /// The memory that the picture needs and that there is.
    pub fn ensure_fits(&self, count: usize) -> anyhow::Result<()> {
        // The pixels, and the file.
        ensure_fits("the picture", &self.extent(count), 6, "number of samples")
    }

    /// Draws images given as planes of bytes, one after the other.
    ///
    /// # Errors
    /// When the row names cannot be drawn.
    pub fn draw(&self, pixels: &[u8]) -> anyhow::Result<RgbImage> {
        let [channels, height, width] = self.shape;
        let count = pixels.len() / (channels * height * width).max(1);
        let factor = CELL.div_ceil(width as u32).max(1);
        let (cell_width, cell_height) = (width as u32 * factor + GAP, height as u32 * factor + GAP);
        let rows = count.div_ceil(self.columns.max(1)) as u32;
        let longest = self.row_names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as u32;
        let margin = if longest == 0 { 0 } else { 9 * longest + 12 };
        let size = (margin + self.columns as u32 * cell_width + GAP, rows * cell_height + GAP);
        let mut canvas = RgbImage::from_pixel(size.0, size.1, image::Rgb(BACKGROUND));
        for (i, image) in pixels.chunks_exact(channels * height * width).enumerate() {
            let (column, row) = ((i % self.columns) as u32, (i / self.columns) as u32);
            let big =
                imageops::resize(&self.to_rgb(image), width as u32 * factor, height as u32 * factor, imageops::Nearest);
            let (x, y) = (margin + column * cell_width + GAP, row * cell_height + GAP);
            imageops::replace(&mut canvas, &big, i64::from(x), i64::from(y));
        }
        self.write_names(&mut canvas, cell_height)?;
        Ok(canvas)
    }

    fn to_rgb(&self, planes: &[u8]) -> RgbImage {
        let [channels, height, width] = self.shape;
        let stretch = |v: u8| (u16::from(v) * 255 / u16::from(self.levels.max(1))).min(255) as u8;
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let at = |c: usize| stretch(planes[(c.min(channels - 1) * height + y as usize) * width + x as usize]);
            image::Rgb([at(0), at(1), at(2)])
        })
    }

    fn write_names(&self, canvas: &mut RgbImage, cell_height: u32) -> anyhow::Result<()> {
        use_embedded_font();
        let size = canvas.dimensions();
        let area = BitMapBackend::with_buffer(canvas, size).into_drawing_area();
        for (row, name) in self.row_names.iter().enumerate() {
            let y = (row as u32 * cell_height + cell_height / 2) as i32 - 7;
            let style = ("sans-serif", 15).into_font().color(&WHITE);
            area.draw(&Text::new(name.clone(), (6, y), style))
                .map_err(|e| anyhow!("cannot write row names: {e}; please report this"))?;
        }
        area.present().map_err(|e| anyhow!("cannot write row names: {e}; please report this"))
    }
}

/// Writes an animation that repeats for ever, with a pause at its last frame.
///
/// # Errors
/// A name that does not end in `.gif`, and when it cannot be encoded or written.
pub fn save_gif(path: &Path, frames: Vec<RgbImage>) -> anyhow::Result<()> {
    Format::of(path, Kind::Animation)?;
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite)?;
        let last = frames.len().saturating_sub(1);
        for (i, frame) in frames.into_iter().enumerate() {
            let milliseconds = if i == last { 2000 } else { 70 };
            let rgba = image::DynamicImage::ImageRgb8(frame).to_rgba8();
            encoder.encode_frame(Frame::from_parts(rgba, 0, 0, Delay::from_numer_denom_ms(milliseconds, 1)))?;
        }
    }
    Ok(fm_train::files::output(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_land_in_their_cells() {
        let grid = Grid { shape: [1, 1, 2], levels: 16, columns: 2, row_names: vec![] };
        let picture = grid.draw(&[0, 16, 8, 4]).unwrap();
        assert_eq!(picture.dimensions(), (2 * 42 + 2, 22 + 2));
        // Cells of 20 by 20: the second image's pixels are 8 and 4 of 16.
        let at = |x, y| picture.get_pixel(x, y).0[0];
        assert_eq!([at(2, 2), at(22, 2), at(44, 10), at(64, 10), at(0, 0)], [0, 255, 127, 63, 24]);
    }

    #[test]
    fn row_names_are_drawn_in_a_margin() {
        let grid = Grid { shape: [1, 2, 2], levels: 1, columns: 1, row_names: vec!["cat".into()] };
        let picture = grid.draw(&[1, 1, 1, 1]).unwrap();
        let lit =
            (0..39).flat_map(|x| (0..42).map(move |y| (x, y))).filter(|&(x, y)| picture.get_pixel(x, y).0[0] > 200);
        assert!(lit.count() > 20, "no text in the margin");
    }
}
