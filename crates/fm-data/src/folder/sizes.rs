//! Sizes of images, from the headers of their files.

use super::decode;
use crate::DataError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The sizes of a number of images: height and width in pixels, after turning as their metadata
/// say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// The size with the fewest pixels.
    pub smallest: [u32; 2],
    /// The size with the most pixels.
    pub largest: [u32; 2],
    /// The size that most images have; of two such sizes the one with more pixels.
    pub most_common: [u32; 2],
    /// The number of images of the most common size.
    pub images_of_most_common: usize,
    /// The number of different sizes.
    pub different: usize,
    /// The shortest side of all images. A square of at most this side enlarges none of them.
    pub shortest_side: u32,
}

impl Sizes {
    /// Reads the headers of files; `None` if there are none.
    pub(super) fn of(files: &[PathBuf]) -> Result<Option<Self>, DataError> {
        let mut counts = BTreeMap::new();
        for file in files {
            *counts.entry(decode::size(file)?).or_insert(0) += 1;
        }
        Ok(Self::from_counts(&counts))
    }

    fn from_counts(counts: &BTreeMap<[u32; 2], usize>) -> Option<Self> {
        let pixels = |size: &[u32; 2]| u64::from(size[0]) * u64::from(size[1]);
        let (common, images) = counts.iter().max_by_key(|(size, count)| (**count, pixels(size)))?;
        Some(Self {
            smallest: *counts.keys().min_by_key(|size| pixels(size))?,
            largest: *counts.keys().max_by_key(|size| pixels(size))?,
            most_common: *common,
            images_of_most_common: *images,
            different: counts.len(),
            shortest_side: counts.keys().flatten().copied().min()?,
        })
    }

    /// The side of the images, if all are squares of one size.
    pub fn square(&self) -> Option<u32> {
        let [height, width] = self.most_common;
        (self.different == 1 && height == width).then_some(height)
    }
}

impl fmt::Display for Sizes {
    /// Width x height, as image viewers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |[height, width]: [u32; 2]| format!("{width} x {height}");
        if self.different == 1 {
            return write!(f, "all images are {}", text(self.most_common));
        }
        let (smallest, largest, common) = (text(self.smallest), text(self.largest), text(self.most_common));
        write!(f, "{} sizes from {smallest} to {largest}, most often {common} (width x height)", self.different)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_summarised() {
        let counts = [([2, 9], 3), ([4, 4], 3), ([1, 3], 1)].into();
        let sizes = Sizes::from_counts(&counts).unwrap();
        assert_eq!((sizes.smallest, sizes.largest, sizes.most_common), ([1, 3], [2, 9], [2, 9]));
        assert_eq!((sizes.shortest_side, sizes.square()), (1, None));
        assert_eq!(sizes.to_string(), "3 sizes from 3 x 1 to 9 x 2, most often 9 x 2 (width x height)");
        let one = Sizes::from_counts(&[([4, 4], 3)].into()).unwrap();
        assert_eq!((one.square(), one.to_string()), (Some(4), "all images are 4 x 4".into()));
        assert_eq!(Sizes::from_counts(&BTreeMap::new()), None);
    }
}
