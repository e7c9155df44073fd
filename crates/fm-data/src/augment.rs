//! Random crops, rotations and translations of images.
//!
//! In this order, each only if it is set:
//!
//! - a crop: the image is padded by p pixels on each side by reflection (without repeating the
//!   edge), and a window of the image's size is cut out at an offset uniform on {-p, ..., p}^2;
//! - a rotation about the centre by an angle that is uniform on [-degrees, degrees], and a
//!   translation by whole pixels, uniform on {-t, ..., t}^2: bilinear, with black outside.
//!
//! A row holds (C, H, W) values in [-1, 1]; black is -1. The operations are those of
//! `numpy.pad(mode="reflect")` and of
//! `scipy.ndimage.affine_transform(order=1, mode="grid-constant")`.
//!
//! ```
//! use fm_data::augment::{Change, ImageAugment};
//! let images = ImageAugment { shape: [1, 1, 4], ..ImageAugment::default() };
//! let mut row = [0.0f32, 0.1, 0.2, 0.3];
//! images.change(&mut row, Change { crop: [0, 2], ..Change::default() });
//! assert_eq!(row, [0.2, 0.3, 0.2, 0.1]); // a window two pixels to the right, with reflection
//! images.change(&mut row, Change { shift: [0, 1], ..Change::default() });
//! assert_eq!(row, [-1.0, 0.2, 0.3, 0.2]);
//! ```

use crate::DataError;
use fm_core::data::Augment;
use rand::{Rng, RngCore};

/// Bounds of the random changes of images of one shape. The default changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[doc(alias = "RandomCrop")]
#[doc(alias = "RandomRotation")]
#[doc(alias = "RandomAffine")]
pub struct ImageAugment {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Padding of the crop in pixels, below both sides; 0 for none.
    pub crop: usize,
    /// Largest angle in degrees, from 0 to 180.
    pub rotation: f64,
    /// Largest translation in pixels, below both sides.
    pub translation: usize,
}

/// One change of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// Offset of the cropped window, down and to the right.
    pub crop: [i64; 2],
    /// Angle in degrees, counter-clockwise.
    pub degrees: f64,
    /// Translation of the image, down and to the right.
    pub shift: [i64; 2],
}

/// The value of black.
const BLACK: f32 = -1.0;

impl ImageAugment {
    /// Whether any transformation is set.
    pub fn is_active(&self) -> bool {
        self.crop > 0 || self.rotation > 0.0 || self.translation > 0
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`DataError::Option`] for an angle outside [0, 180], and pixels that are not fewer than
    /// those of a side.
    pub fn validate(&self) -> Result<(), DataError> {
        let side = self.shape[1].min(self.shape[2]);
        let pixels = |what, given: usize| {
            let remedy =
                format!("images of {} x {} take 0 to {}", self.shape[1], self.shape[2], side.saturating_sub(1));
            let good = given == 0 || given < side;
            if good { Ok(()) } else { Err(DataError::Option { what, given: given.to_string(), remedy }) }
        };
        pixels("padding of random crops", self.crop)?;
        pixels("pixels of random translations", self.translation)?;
        if (0.0..=180.0).contains(&self.rotation) {
            return Ok(());
        }
        let (given, remedy) = (self.rotation.to_string(), "give 0 to 180".into());
        Err(DataError::Option { what: "degrees of random rotations", given, remedy })
    }

    /// Draws a change within the bounds.
    pub fn draw(&self, rng: &mut dyn RngCore) -> Change {
        let mut pair = |most: usize| {
            let most = i64::try_from(most).unwrap_or(0);
            if most == 0 { [0, 0] } else { [rng.random_range(-most..=most), rng.random_range(-most..=most)] }
        };
        let (crop, shift) = (pair(self.crop), pair(self.translation));
        let degrees = if self.rotation > 0.0 { rng.random_range(-self.rotation..=self.rotation) } else { 0.0 };
        Change { crop, degrees, shift }
    }

    /// Applies a change to a row of (C, H, W) values.
    ///
    /// # Panics
    /// "a row holds C H W values": if `row` has another length.
    pub fn change(&self, row: &mut [f32], change: Change) {
        let [channels, height, width] = self.shape;
        assert_eq!(row.len(), channels * height * width, "a row holds C H W values");
        for plane in row.chunks_exact_mut((height * width).max(1)) {
            if change.crop != [0, 0] {
                crop(plane, [height, width], change.crop);
            }
            if change.degrees != 0.0 || change.shift != [0, 0] {
                turn(plane, [height, width], change);
            }
        }
    }
}

impl Augment for ImageAugment {
    fn apply(&self, row: &mut [f32], rng: &mut dyn RngCore) {
        self.change(row, self.draw(rng));
    }
}

/// A place outside of 0..side, reflected at the first and the last place.
fn reflected(place: i64, side: usize) -> usize {
    let last = side as i64 - 1;
    if last <= 0 {
        return 0;
    }
    let place = place.rem_euclid(2 * last);
    (if place > last { 2 * last - place } else { place }) as usize
}

fn crop(plane: &mut [f32], [height, width]: [usize; 2], [down, right]: [i64; 2]) {
    let old = plane.to_vec();
    for (i, line) in plane.chunks_exact_mut(width).enumerate() {
        let from = reflected(i as i64 + down, height) * width;
        for (j, value) in line.iter_mut().enumerate() {
            *value = old[from + reflected(j as i64 + right, width)];
        }
    }
}

/// The value at p of the result is that of the image at R (p - c - shift) + c.
fn turn(plane: &mut [f32], [height, width]: [usize; 2], change: Change) {
    let old = plane.to_vec();
    let (sin, cos) = change.degrees.to_radians().sin_cos();
    let centre = [(height as f64 - 1.0) / 2.0, (width as f64 - 1.0) / 2.0];
    let at = |i: f64, j: f64| {
        let inside = i >= 0.0 && j >= 0.0 && i < height as f64 && j < width as f64;
        if inside { old[i as usize * width + j as usize] } else { BLACK }
    };
    for (i, line) in plane.chunks_exact_mut(width).enumerate() {
        for (j, value) in line.iter_mut().enumerate() {
            let (y, x) = (i as f64 - centre[0] - change.shift[0] as f64, j as f64 - centre[1] - change.shift[1] as f64);
            let (y, x) = (cos * y + sin * x + centre[0], cos * x - sin * y + centre[1]);
            let (top, left) = (y.floor(), x.floor());
            let (low, right) = ((y - top) as f32, (x - left) as f32);
            let upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right;
            let lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right;
            *value = upper * (1.0 - low) + lower * low;
        }
    }
}
