//! Output files: the extension of the name selects the format.
//!
//! The parsers are for flags, so a name with an unsuitable extension is refused before a command
//! begins. A pipe or a device has no extension, and gets the first format of its kind.
//!
//! ```
//! use fm_cli::outputs::{Format, Kind};
//! use std::path::Path;
//! assert_eq!(Format::of(Path::new("a.JPG"), Kind::Picture)?, Format::Jpeg);
//! let error = Format::of(Path::new("a.pdf"), Kind::Picture).unwrap_err().to_string();
//! assert!(error.contains("a.pdf names no format of a picture; end it in .png, .jpg"), "{error}");
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::{Context, bail};
use clap::builder::{PathBufValueParser, TypedValueParser};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use ndarray::{ArrayBase, Data, Dimension};
use ndarray_npy::{WritableElement, WriteNpyExt};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A picture as PNG.
    Png,
    /// A picture as JPEG.
    Jpeg,
    /// A picture as BMP.
    Bmp,
    /// A picture as WebP, without loss.
    Webp,
    /// A picture as TIFF.
    Tiff,
    /// A picture or an animation as GIF.
    Gif,
    /// A drawing of lines and text as SVG.
    Svg,
    /// A NumPy array.
    Npy,
    /// A text file with commas.
    Csv,
}

/// The kind of content of a file, which determines its possible formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pixels.
    Picture,
    /// A chart, as pixels or as lines.
    Chart,
    /// Several pictures, one after the other.
    Animation,
    /// Numbers.
    Array,
    /// Lines of text.
    Lines,
    /// Numbers, as text or as an array.
    Table,
}

/// The extensions of each format, the usual one first.
const ENDINGS: [(&str, Format); 11] = [
    ("png", Format::Png),
    ("jpg", Format::Jpeg),
    ("jpeg", Format::Jpeg),
    ("bmp", Format::Bmp),
    ("webp", Format::Webp),
    ("tiff", Format::Tiff),
    ("tif", Format::Tiff),
    ("gif", Format::Gif),
    ("svg", Format::Svg),
    ("npy", Format::Npy),
    ("csv", Format::Csv),
];

impl Kind {
    /// The formats of this kind; the first is that of pipes and devices.
    fn formats(self) -> &'static [Format] {
        use Format::{Bmp, Csv, Gif, Jpeg, Npy, Png, Svg, Tiff, Webp};
        match self {
            Self::Picture => &[Png, Jpeg, Bmp, Webp, Tiff, Gif],
            Self::Chart => &[Png, Svg, Jpeg, Bmp, Webp, Tiff, Gif],
            Self::Animation => &[Gif],
            Self::Array => &[Npy],
            Self::Lines => &[Csv],
            Self::Table => &[Csv, Npy],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Picture => "a picture",
            Self::Chart => "a chart",
            Self::Animation => "an animation",
            Self::Array => "an array",
            Self::Lines => "a text file",
            Self::Table => "a table",
        }
    }
}

impl Format {
    /// The format of a name's extension.
    ///
    /// # Errors
    /// A name without an extension of this kind.
    pub fn of(path: &Path, kind: Kind) -> anyhow::Result<Self> {
        let formats = kind.formats();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let named = ENDINGS.iter().find(|(text, format)| *text == ending && formats.contains(format));
        if let Some((_, format)) = named {
            return Ok(*format);
        }
        if is_stream(path) {
            return Ok(formats[0]);
        }
        let usual = |format: &Format| ENDINGS.iter().find(|(_, f)| f == format).map(|(text, _)| format!(".{text}"));
        let endings: Vec<String> = formats.iter().filter_map(usual).collect();
        let endings = crate::program::listing(endings.iter().map(String::as_str), "or");
        bail!("{} names no format of {}; end it in {endings}", path.display(), kind.name())
    }

    fn of_image(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Bmp => ImageFormat::Bmp,
            Self::Webp => ImageFormat::WebP,
            Self::Tiff => ImageFormat::Tiff,
            Self::Gif => ImageFormat::Gif,
            Self::Png | Self::Svg | Self::Npy | Self::Csv => ImageFormat::Png,
        }
    }
}

/// Whether a path is a pipe or a device. Standard output can be redirected to a file whose name is
/// not known here.
fn is_stream(path: &Path) -> bool {
    let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    special || path.starts_with("/dev") || path.starts_with("/proc/self/fd")
}

fn parser(kind: Kind) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path| Format::of(&path, kind).map(|_| path))
}

/// A flag's parser for the name of a picture.
pub fn picture() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Picture)
}

/// A flag's parser for the name of a chart.
pub fn chart() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Chart)
}

/// A flag's parser for the name of an animation.
pub fn animation() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Animation)
}

/// A flag's parser for the name of an array.
pub fn array() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Array)
}

/// A flag's parser for the name of a text file.
pub fn lines() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Lines)
}

/// A flag's parser for the name of a table.
pub fn table() -> impl TypedValueParser<Value = PathBuf> {
    parser(Kind::Table)
}

/// Quality of a JPEG, of 100: small images with hard edges suffer at the usual 75.
const QUALITY: u8 = 95;

/// Writes a picture in the format of its name, whole or not at all.
///
/// # Errors
/// A name that ends in no format of pictures, a picture that the format does not hold, and a file
/// that cannot be written.
pub fn save_picture(path: &Path, image: &RgbImage) -> anyhow::Result<()> {
    let format = Format::of(path, Kind::Picture)?;
    let mut bytes = Cursor::new(Vec::new());
    let encoded = match format {
        Format::Jpeg => image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY)),
        format => image.write_to(&mut bytes, format.of_image()),
    };
    let (width, height) = image.dimensions();
    encoded.with_context(|| {
        format!(
            "cannot write {width} x {height} pixels as {}; end its name in .png, or draw fewer images",
            path.display()
        )
    })?;
    Ok(fm_train::files::output(path, bytes.get_ref())?)
}

/// Writes an array as `.npy`, whole or not at all.
///
/// # Errors
/// A name that does not end in `.npy`, and a file that cannot be written.
pub fn save_array<S, D>(path: &Path, array: &ArrayBase<S, D>) -> anyhow::Result<()>
where
    S: Data,
    S::Elem: WritableElement,
    D: Dimension,
{
    Format::of(path, Kind::Array)?;
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).context("cannot encode the array; please report this")?;
    Ok(fm_train::files::output(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_format_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let image = RgbImage::from_fn(9, 5, |x, y| image::Rgb([(x * 20) as u8, (y * 40) as u8, 7]));
        for (ending, format) in ENDINGS.iter().filter(|(_, format)| Kind::Picture.formats().contains(format)) {
            let path = dir.path().join(format!("a.{}", ending.to_uppercase()));
            save_picture(&path, &image).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), format.of_image(), "{ending}");
            assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8().dimensions(), (9, 5), "{ending}");
        }
        for wrong in ["a.pdf", "a.npy", "a", "a.svg", "png"] {
            let error = save_picture(&dir.path().join(wrong), &image).unwrap_err().to_string();
            assert!(error.contains("end it in .png, .jpg, .bmp, .webp, .tiff or .gif"), "{error}");
        }
    }

    #[test]
    fn streams_have_no_name_to_go_by() {
        for (kind, first) in [(Kind::Picture, Format::Png), (Kind::Array, Format::Npy), (Kind::Table, Format::Csv)] {
            assert_eq!(Format::of(Path::new("/dev/stdout"), kind).unwrap(), first);
        }
    }
}
