//! Sets of labelled images of one size, kept as bytes.
//!
//! Pixels run 0..=`levels` and are normalised to [-1, 1] as 2 p / levels - 1 when a batch is made, so the set stays small.
//!
//! ```
//! let digits = fm_data::digits::load();
//! let mut row = vec![0f32; 64];
//! digits.write_normalised(0, false, &mut row);
//! assert_eq!(row[2], 2.0 * 5.0 / 16.0 - 1.0); // pixel value 5 of 0..=16
//! assert_eq!(digits.denormalise(&row)[2], 5);
//! ```

use fm_core::data::{Dataset, Pick};

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSet {
    /// Channels (1 or 3), height, width.
    pub shape: [usize; 3],
    /// The largest pixel value: 255, or 16 for the digits.
    pub levels: u8,
    /// Pixels, image after image, each channel after channel, each row after row.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u16>,
    /// The name of each class.
    pub classes: Vec<String>,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values per image.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of image i.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.dim()..(i + 1) * self.dim()]
    }

    /// Image i in [-1, 1], mirrored left to right if `flip`. `out` holds `dim` values.
    pub fn write_normalised(&self, i: usize, flip: bool, out: &mut [f32]) {
        let (width, scale) = (self.shape[2], 2.0 / f32::from(self.levels));
        for (to, from) in out.chunks_exact_mut(width).zip(self.image(i).chunks_exact(width)) {
            let value = |p: &u8| f32::from(*p) * scale - 1.0;
            if flip {
                to.iter_mut().zip(from.iter().rev()).for_each(|(o, p)| *o = value(p));
            } else {
                to.iter_mut().zip(from).for_each(|(o, p)| *o = value(p));
            }
        }
    }

    /// The nearest pixel values of normalised ones, clipped to the range.
    pub fn denormalise(&self, values: &[f32]) -> Vec<u8> {
        let levels = f32::from(self.levels);
        values.iter().map(|v| ((v + 1.0) * 0.5 * levels).round().clamp(0.0, levels) as u8).collect()
    }
}

impl Dataset for ImageSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    fn write(&self, pick: Pick, out: &mut [f32]) {
        self.write_normalised(pick.row, pick.mirrored, out);
    }

    fn class(&self, row: usize) -> Option<i64> {
        (!self.classes.is_empty()).then(|| i64::from(self.labels[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipping_mirrors_each_row_of_each_channel() {
        let set =
            ImageSet { shape: [2, 1, 3], levels: 2, pixels: vec![0, 1, 2, 2, 2, 0], labels: vec![0], classes: vec![] };
        let mut out = [9.0; 6];
        set.write_normalised(0, true, &mut out);
        assert_eq!(out, [1.0, 0.0, -1.0, -1.0, 1.0, 1.0]);
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        let pixels: Vec<u8> = (0..=255).collect();
        let set =
            ImageSet { shape: [1, 16, 16], levels: 255, pixels: pixels.clone(), labels: vec![0], classes: vec![] };
        let mut out = vec![0.0; 256];
        set.write_normalised(0, false, &mut out);
        assert_eq!(set.denormalise(&out), pixels);
        assert_eq!(set.denormalise(&[-7.0, 7.0, f32::NAN]), [0, 255, 0]);
    }
}
