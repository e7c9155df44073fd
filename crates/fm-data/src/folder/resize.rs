//! Squares of another size: resized to fit the short side, and cropped at the centre.

use super::decode::refused;
use super::memory::reserve;
use crate::{DataError, ImageSet};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, RgbImage};
use std::path::Path;

/// The largest side that images are resized to.
pub const LARGEST_SIZE: u32 = 4096;

/// The largest number of pixels of an image after resizing and before cropping, at 16 bytes each.
const MOST_RESIZED: f64 = (1u64 << 25) as f64;

/// Checks a size that images are resized to.
pub(super) fn check(size: u32) -> Result<(), DataError> {
    if (1..=LARGEST_SIZE).contains(&size) {
        return Ok(());
    }
    Err(DataError::Size { size, most: LARGEST_SIZE })
}

/// An image as a square.
pub(super) fn square(path: &Path, image: RgbImage, size: u32) -> Result<RgbImage, DataError> {
    fits(path, [image.width(), image.height()], size)?;
    Ok(DynamicImage::ImageRgb8(image).resize_to_fill(size, size, FilterType::Lanczos3).into_rgb8())
}

/// A set as squares, with 256 levels; `name` is that of the set in messages.
pub(crate) fn resized(set: &ImageSet, size: u32, name: &str) -> Result<ImageSet, DataError> {
    check(size)?;
    let (place, [channels, height, width]) = (Path::new(name), set.shape);
    let sides = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    fits(place, sides, size)?;
    let mut pixels = reserve(place, set.len(), size)?;
    let scale = |p: &u8| ((u32::from(*p) * 255 + u32::from(set.levels) / 2) / u32::from(set.levels)) as u8;
    for plane in set.pixels.chunks_exact(height * width) {
        let plane = GrayImage::from_raw(sides[0], sides[1], plane.iter().map(scale).collect());
        let plane = DynamicImage::ImageLuma8(plane.unwrap_or_default());
        pixels.extend(plane.resize_to_fill(size, size, FilterType::Lanczos3).into_luma8().into_raw());
    }
    ImageSet::new([channels, size as usize, size as usize], 255, pixels, set.labels.clone(), set.classes.clone())
}

fn fits(path: &Path, sides: [u32; 2], size: u32) -> Result<(), DataError> {
    let [width, height] = sides.map(f64::from);
    if f64::from(size).powi(2) * width.max(height) / width.min(height) > MOST_RESIZED {
        let problem = format!("{width} x {height} is too long and thin to be cropped to a square");
        return Err(refused(path, problem, "remove or replace the file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_resized_as_images_of_a_folder_are() {
        let digits = crate::digits::load();
        let large = resized(&digits, 16, "digits").unwrap();
        assert_eq!((large.shape, large.levels, large.len()), ([1, 16, 16], 255, 1797));
        // The same size changes the levels alone.
        let same = resized(&digits, 8, "digits").unwrap();
        let scaled = |p: &u8| (f64::from(*p) * 255.0 / 16.0).round() as u8;
        assert_eq!(same.pixels, digits.pixels.iter().map(scaled).collect::<Vec<_>>());
        // Each channel as the image of three channels.
        let pixels: Vec<u8> = (0..3 * 6 * 4).map(|k| (k * 37 % 256) as u8).collect();
        let set = ImageSet::new([3, 6, 4], 255, pixels, vec![0], vec!["a".into()]).unwrap();
        let image = RgbImage::from_fn(4, 6, |x, y| {
            image::Rgb([0, 1, 2].map(|c| set.pixels[(c * 6 + y as usize) * 4 + x as usize]))
        });
        let whole = square(Path::new("x"), image, 3).unwrap();
        let own = resized(&set, 3, "x").unwrap();
        assert_eq!(own.pixels, super::super::decode::planes(&whole));
        assert!(resized(&set, 0, "x").is_err() && resized(&set, 5000, "x").is_err());
    }
}
