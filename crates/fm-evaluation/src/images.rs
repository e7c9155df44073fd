//! Images to evaluate: a set in memory, or a folder that is read file by file.

use anyhow::{bail, ensure};
use fm_core::budget::{self, limits};
use fm_core::rng::{Key, Stream, fill_normal};
use fm_data::{ImageSet, folder};
use fm_train::TrainError;
use fm_train::files::{sha256, sha256_of};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Images of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The largest value.
    pub levels: u8,
    /// The values, image after image.
    pub pixels: Vec<u8>,
}

impl Batch {
    /// Number of images.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.pixels.len() / self.shape.iter().product::<usize>().max(1)
    }

    /// The pixels as shares of the largest value, in [0, 1]: images of different levels agree.
    pub fn fractions(&self) -> Vec<f32> {
        let top = f32::from(self.levels.max(1));
        self.pixels.iter().map(|p| f32::from(*p) / top).collect()
    }

    /// Red, green and blue planes in 0 to 255; the planes of a grey image are equal.
    pub fn colours(&self) -> Vec<u8> {
        let full = |p: &u8| (f32::from(*p) * 255.0 / f32::from(self.levels.max(1))).round() as u8;
        let plane = self.shape[1] * self.shape[2];
        if self.shape[0] == 3 {
            return self.pixels.iter().map(full).collect();
        }
        let thrice = |image: &[u8]| std::iter::repeat_n(image.iter().map(full).collect::<Vec<_>>(), 3).flatten();
        self.pixels.chunks_exact(plane.max(1)).flat_map(thrice).collect()
    }
}

/// Origin of images.
#[derive(Debug, Clone)]
enum Origin {
    Set(ImageSet),
    Files(Vec<PathBuf>),
}

/// Images, optionally with mirrored copies or with noise.
#[derive(Debug, Clone)]
pub struct Images {
    /// The name that the user gave.
    pub name: String,
    origin: Origin,
    fingerprint: String,
    mirrored: bool,
    /// Standard deviation of the noise, relative to the range of values.
    noise: f64,
}

impl Images {
    /// The images of a set.
    #[must_use]
    pub fn of_set(name: &str, set: ImageSet) -> Self {
        let values = [&[set.levels], format!("{:?}", set.shape).as_bytes(), &set.pixels].concat();
        Self { name: name.into(), fingerprint: sha256(&values), origin: Origin::Set(set), mirrored: false, noise: 0.0 }
    }

    /// The images of a folder, each of its own size, read when they are needed.
    ///
    /// # Errors
    /// A folder without images, and files that cannot be read.
    pub fn of_folder(name: &str, folder: &Path) -> anyhow::Result<Self> {
        let files = folder::files(folder)?;
        // The hash of the hashes of all files.
        let hash = |f: &PathBuf| {
            let opened = budget::open(f, &limits::IMAGE).and_then(|(file, _)| sha256_of(file));
            opened.map_err(TrainError::io("read", f))
        };
        let each = files.iter().map(|f| Ok(hash(f)?)).collect::<anyhow::Result<String>>()?;
        let fingerprint = sha256(each.as_bytes());
        Ok(Self { name: name.into(), origin: Origin::Files(files), fingerprint, mirrored: false, noise: 0.0 })
    }

    /// Adds a mirrored copy (left to right) of every image, after all originals.
    #[must_use]
    pub fn with_mirrored(self) -> Self {
        Self { mirrored: true, ..self }
    }

    /// Adds Gaussian noise with this standard deviation, relative to the range of values, and
    /// rounds to pixel values.
    #[must_use]
    pub fn with_noise(self, noise: f64) -> Self {
        Self { name: format!("{} + {}% noise", self.name, 100.0 * noise), noise, ..self }
    }

    /// Number of images, mirrored ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        let once = match &self.origin {
            Origin::Set(set) => set.len(),
            Origin::Files(files) => files.len(),
        };
        if self.mirrored { 2 * once } else { once }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of the first image.
    ///
    /// # Errors
    /// No images, and a file that cannot be read.
    pub fn shape(&self) -> anyhow::Result<[usize; 3]> {
        match &self.origin {
            Origin::Set(set) => Ok(set.shape),
            Origin::Files(files) => match files.first() {
                Some(file) => Ok(folder::read(file)?.1),
                None => bail!("{} has no images; give at least one", self.name),
            },
        }
    }

    /// A description that identifies these images.
    pub fn describe(&self) -> Value {
        json!({ "images": self.fingerprint, "mirrored": self.mirrored, "noise": self.noise })
    }

    /// The hash of all values.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Rows, in batches of equal shape.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self, rows: Range<usize>) -> anyhow::Result<Vec<Batch>> {
        let mut batches: Vec<Batch> = Vec::new();
        for row in rows {
            let image = self.image(row)?;
            match batches.last_mut() {
                Some(last) if last.shape == image.shape => last.pixels.extend(image.pixels),
                _ => batches.push(image),
            }
        }
        Ok(batches)
    }

    fn image(&self, row: usize) -> anyhow::Result<Batch> {
        let once = if self.mirrored { self.len() / 2 } else { self.len() };
        let mut image = match &self.origin {
            Origin::Set(set) => Batch { shape: set.shape, levels: set.levels, pixels: set.image(row % once).to_vec() },
            Origin::Files(files) => {
                let (pixels, shape) = folder::read(&files[row % once])?;
                Batch { shape, levels: 255, pixels }
            }
        };
        if row >= once {
            image.pixels.chunks_exact_mut(image.shape[2]).for_each(<[u8]>::reverse);
        }
        if self.noise > 0.0 {
            let mut noise = vec![0f32; image.pixels.len()];
            fill_normal(&mut Key::new(0, 0, Stream::Data).generator(row), &mut noise);
            let top = f32::from(image.levels);
            for (p, e) in image.pixels.iter_mut().zip(noise) {
                *p = (f32::from(*p) + self.noise as f32 * top * e).round().clamp(0.0, top) as u8;
            }
        }
        Ok(image)
    }

    /// All images in memory, for comparisons with each of them.
    ///
    /// # Errors
    /// Images of several sizes or none, and a file that cannot be read.
    pub fn whole(&self) -> anyhow::Result<ImageSet> {
        if let Origin::Set(set) = &self.origin {
            return Ok(set.clone());
        }
        let batches = self.read(0..self.len())?;
        let [Batch { shape, levels, pixels }] = &batches[..] else {
            bail!("the images of {} differ in size; give --image-size", self.name)
        };
        ensure!(!pixels.is_empty(), "{} has no images; give at least one", self.name);
        let labels = vec![0; self.len()];
        Ok(ImageSet { shape: *shape, levels: *levels, pixels: pixels.clone(), labels, classes: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_images_of_few_levels_become_colours_of_all() {
        let batch = Batch { shape: [1, 1, 2], levels: 16, pixels: vec![0, 16, 5, 8] };
        assert_eq!((batch.rows(), batch.colours()), (2, [[0, 255].repeat(3), [80, 128].repeat(3)].concat()));
        let colour = Batch { shape: [3, 1, 1], levels: 255, pixels: vec![1, 2, 3] };
        assert_eq!(colour.colours(), [1, 2, 3]);
    }

    #[test]
    fn mirrored_images_come_after_all_and_noise_belongs_to_a_row() {
        let digits = Images::of_set(
            "digits",
            "digits".parse::<fm_data::ImageSource>().unwrap().open(0, &mut Vec::new()).unwrap(),
        );
        let (n, both) = (digits.len(), digits.clone().with_mirrored());
        assert_eq!(both.len(), 2 * n);
        let pixels = |images: &Images, row: usize| images.read(row..row + 1).unwrap().remove(0).pixels;
        let mut again = pixels(&both, n + 7);
        assert_eq!((&pixels(&both, 7), pixels(&both, 7) == again), (&pixels(&digits, 7), false));
        again.chunks_exact_mut(8).for_each(<[u8]>::reverse);
        assert_eq!(again, pixels(&digits, 7));
        // 1600 pixels in the middle of the range: their standard deviation is known to 2 %.
        let noisy = digits.clone().with_noise(0.1);
        let rows = noisy.read(0..200).unwrap().remove(0);
        assert_eq!(pixels(&noisy, 150), rows.pixels[150 * 64..151 * 64]);
        let plain = digits.read(0..200).unwrap().remove(0);
        let moved: Vec<f64> = plain
            .pixels
            .iter()
            .zip(&rows.pixels)
            .filter(|(p, _)| (6..=10).contains(*p))
            .map(|(p, q)| (f64::from(*q) - f64::from(*p)).powi(2))
            .collect();
        let deviation = (moved.iter().sum::<f64>() / moved.len() as f64).sqrt();
        // Rounding adds a variance of 1/12.
        assert!(moved.len() > 1000 && (deviation - (1.6f64.powi(2) + 1.0 / 12.0).sqrt()).abs() < 0.1, "{deviation}");
        assert_ne!(digits.describe(), noisy.describe());
        let grey =
            ImageSet { shape: [1, 4, 4], levels: 255, pixels: vec![100; 32], labels: vec![0, 0], classes: vec![] };
        let grey = Images { origin: Origin::Set(grey), ..noisy };
        assert_ne!(pixels(&grey, 0), pixels(&grey, 1));
    }
}
