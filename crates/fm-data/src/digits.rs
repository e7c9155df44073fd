//! The embedded default data set: 1797 real handwritten digits of 8x8 pixels with values 0..=16.
//!
//! E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
//! Repository, CC BY 4.0.
//!
//! ```
//! let digits = fm_data::digits::load();
//! let zeros = digits.labels.iter().filter(|&&l| l == 0).count();
//! assert_eq!((digits.levels, zeros, digits.classes.len()), (16, 178, 10));
//! ```

use crate::ImageSet;
use flate2::read::GzDecoder;
use std::io::Read;

static PACKED: &[u8] = include_bytes!("../assets/digits.bin.gz");
const RECORD: usize = 65;

/// Unpacks the digits.
#[doc(alias = "load_digits")]
pub fn load() -> ImageSet {
    let mut bytes = Vec::new();
    // The asset is part of the program and a test reads all of it, so a failure here means a broken
    // build.
    let read = GzDecoder::new(PACKED).read_to_end(&mut bytes);
    debug_assert!(read.is_ok());
    let records = bytes.chunks_exact(RECORD);
    ImageSet {
        shape: [1, 8, 8],
        levels: 16,
        labels: records.clone().map(|r| u16::from(r[0])).collect(),
        pixels: records.flat_map(|r| &r[1..]).copied().collect(),
        classes: (0..10).map(|d| d.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asset_is_whole() {
        let digits = load();
        assert_eq!((digits.len(), digits.pixels.len()), (1797, 1797 * 64));
        assert!(digits.pixels.iter().all(|&p| p <= 16) && digits.labels.iter().all(|&l| l < 10));
        // Class counts and pixel sum of scikit-learn's load_digits.
        let counts: Vec<usize> = (0..10).map(|d| digits.labels.iter().filter(|&&l| l == d).count()).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(digits.pixels.iter().map(|&p| u64::from(p)).sum::<u64>(), 561_718);
    }
}
