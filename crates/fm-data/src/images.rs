//! Sets of labelled images of one size, stored as bytes.
//!
//! Pixels have values 0..=`levels` and are normalised to [-1, 1] as 2 p / levels - 1 when a batch
//! is made, so that the set stays small.
//!
//! ```
//! let digits = fm_data::digits::load();
//! let mut row = vec![0f32; 64];
//! digits.write_normalised(0, false, &mut row);
//! assert_eq!(row[2], 2.0 * 5.0 / 16.0 - 1.0); // pixel value 5 of 0..=16
//! assert_eq!(digits.denormalise(&row)[2], 5);
//! ```

use crate::DataError;
use fm_core::data::{Dataset, Pick};

/// Labelled images of one size. [`ImageSet::new`] checks that the parts match.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSet {
    /// Channels (1 or 3), height, width; all above 0.
    pub shape: [usize; 3],
    /// The largest pixel value, above 0: 255, or 16 for the digits.
    pub levels: u8,
    /// Pixels, ordered by image, then channel, then row.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u16>,
    /// The name of each class.
    pub classes: Vec<String>,
}

impl ImageSet {
    /// An image set of the given parts.
    ///
    /// # Errors
    /// As [`ImageSet::check`].
    pub fn new(
        shape: [usize; 3],
        levels: u8,
        pixels: Vec<u8>,
        labels: Vec<u16>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let set = Self { shape, levels, pixels, labels, classes };
        set.check()?;
        Ok(set)
    }

    /// Checks that the parts match.
    ///
    /// # Errors
    /// [`DataError::Images`] for a side or levels of 0, a number of pixels other than `dim` per
    /// label, a pixel above the levels, a label without a class.
    pub fn check(&self) -> Result<(), DataError> {
        let broken = |problem: String| Err(DataError::Images { problem });
        let (images, shape) = (self.labels.len(), self.shape);
        let dim = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n)).filter(|dim| *dim > 0);
        let Some(dim) = dim else { return broken(format!("their shape is {shape:?}")) };
        if self.levels == 0 {
            return broken("their largest pixel value is 0".into());
        }
        if images.checked_mul(dim) != Some(self.pixels.len()) {
            return broken(format!("{images} images of shape {shape:?} have {} pixels", self.pixels.len()));
        }
        if self.levels < u8::MAX
            && let Some(i) = self.pixels.iter().position(|p| *p > self.levels)
        {
            return broken(format!("image {} has a pixel of {}, above {}", i / dim, self.pixels[i], self.levels));
        }
        match self.labels.iter().position(|label| usize::from(*label) >= self.classes.len()) {
            Some(i) if !self.classes.is_empty() => {
                broken(format!("image {i} has label {} of {} classes", self.labels[i], self.classes.len()))
            }
            _ => Ok(()),
        }
    }

    /// The names of the classes without images, in the order of `classes`.
    pub fn empty_classes(&self) -> Vec<&str> {
        let mut empty = vec![true; self.classes.len()];
        for label in &self.labels {
            if let Some(class) = empty.get_mut(usize::from(*label)) {
                *class = false;
            }
        }
        self.classes.iter().zip(empty).filter(|(_, empty)| *empty).map(|(name, _)| name.as_str()).collect()
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values per image.
    pub fn dim(&self) -> usize {
        self.shape.iter().fold(1, |all, n| all.saturating_mul(*n))
    }

    /// The set of these images; classes stay, also those without images.
    ///
    /// # Panics
    /// As [`ImageSet::image`].
    #[must_use]
    pub fn select(&self, images: &[usize]) -> Self {
        Self {
            pixels: images.iter().flat_map(|i| self.image(*i)).copied().collect(),
            labels: images.iter().filter_map(|i| self.labels.get(*i)).copied().collect(),
            classes: self.classes.clone(),
            ..*self
        }
    }

    /// The bytes of image i.
    ///
    /// # Panics
    /// "no image i": if the set has no image with this index, or fewer pixels than
    /// [`ImageSet::check`] requires.
    #[allow(clippy::panic, reason = "documented")]
    pub fn image(&self, i: usize) -> &[u8] {
        let place = || Some(i.checked_mul(self.dim())?..i.checked_add(1)?.checked_mul(self.dim())?);
        match place().and_then(|place| self.pixels.get(place)) {
            Some(image) => image,
            None => panic!("no image {i}: {} pixels in images of {:?}", self.pixels.len(), self.shape),
        }
    }

    /// Image i in [-1, 1], mirrored left to right if `flip`. `out` holds `dim` values.
    ///
    /// # Panics
    /// As [`ImageSet::image`]; "dim values": if `out` has another length; "levels": if the levels
    /// or the width of the set are 0.
    pub fn write_normalised(&self, i: usize, flip: bool, out: &mut [f32]) {
        assert_eq!(out.len(), self.dim(), "a row holds dim values");
        assert!(self.levels > 0 && self.shape[2] > 0, "levels and width of images must be above 0");
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

    /// The nearest pixel values of normalised values, clipped to the valid range.
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
        ImageSet::dim(self)
    }

    fn shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), fm_core::data::DataError> {
        self.write_normalised(pick.row, pick.mirrored, out);
        Ok(())
    }

    fn class(&self, row: usize) -> Option<i64> {
        self.labels.get(row).filter(|_| !self.classes.is_empty()).map(|label| i64::from(*label))
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
    fn parts_that_do_not_belong_together_are_errors() {
        let names = || vec!["a".to_string(), "b".into()];
        let told = |found: Result<ImageSet, DataError>, says: &str| {
            let text = found.unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        };
        assert_eq!(ImageSet::new([1, 1, 2], 3, vec![0, 1, 2, 3], vec![1, 0], names()).unwrap().len(), 2);
        assert_eq!(ImageSet::new([1, 1, 2], 3, vec![0, 1], vec![7], vec![]).unwrap().class(0), None);
        told(ImageSet::new([1, 0, 2], 3, vec![], vec![], vec![]), "shape is [1, 0, 2]");
        told(ImageSet::new([usize::MAX; 3], 3, vec![], vec![], vec![]), "shape is");
        told(ImageSet::new([1, 1, 2], 0, vec![0, 0], vec![0], vec![]), "largest pixel value is 0");
        told(ImageSet::new([1, 1, 2], 3, vec![0, 1, 2], vec![1, 0], names()), "have 3 pixels");
        told(ImageSet::new([1, 1, 2], 3, vec![0, 1, 2, 4], vec![1, 0], names()), "image 1 has a pixel of 4");
        told(ImageSet::new([1, 1, 1], 3, vec![0, 1], vec![1, 2], names()), "image 1 has label 2 of 2 classes");
    }

    #[test]
    fn classes_without_images_are_listed() {
        let names = ["a", "b", "c", "d"].map(String::from).to_vec();
        let set = |labels: &[u16]| ImageSet::new([1, 1, 1], 1, vec![0; labels.len()], labels.to_vec(), names.clone());
        assert_eq!(set(&[2, 0, 2]).unwrap().empty_classes(), ["b", "d"]);
        assert_eq!(set(&[3, 2, 1, 0]).unwrap().empty_classes(), [""; 0]);
        assert_eq!(set(&[]).unwrap().empty_classes().len(), 4);
        let wild = ImageSet { shape: [1, 1, 1], levels: 1, pixels: vec![0], labels: vec![9], classes: vec![] };
        assert!(wild.empty_classes().is_empty());
    }

    #[test]
    fn rows_of_another_length_and_images_that_are_not_there_panic_as_documented() {
        let set = ImageSet::new([1, 1, 2], 3, vec![0, 1], vec![0], vec![]).unwrap();
        let panics = |call: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err();
        assert!([1, usize::MAX].into_iter().all(|i| panics(&|| assert!(!set.image(i).is_empty()))));
        assert!(panics(&|| set.write_normalised(0, false, &mut [0.0; 3])));
        assert!(panics(&|| ImageSet { levels: 0, ..set.clone() }.write_normalised(0, false, &mut [0.0; 2])));
        assert_eq!((set.class(5), ImageSet { shape: [usize::MAX; 3], ..set.clone() }.dim()), (None, usize::MAX));
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
