//! Image files.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_data::folder;

const NONE: Target = Target { name: "", seeds: Vec::new, words: &[], finish: Finish::Nothing, read };

pub(super) const PNG: Target = Target {
    name: "png",
    seeds: || seeds::images(&[".png"]),
    words: &["IHDR", "PLTE", "IDAT", "IEND", "acTL", "fcTL", "fdAT", "eXIf", "tRNS", "iCCP", "gAMA", "zTXt", "iTXt"],
    finish: Finish::Repair(finish::png),
    ..NONE
};

pub(super) const JPEG: Target = Target {
    name: "jpeg",
    seeds: || seeds::images(&[".jpg"]),
    words: &["Exif\0\0", "Adobe", "JFIF\0", "ICC_PROFILE\0", "\u{1}\u{1}", "II*\0", "MM\0*"],
    ..NONE
};

pub(super) const GIF: Target = Target {
    name: "gif",
    seeds: || seeds::images(&[".gif"]),
    words: &["GIF87a", "GIF89a", "NETSCAPE2.0", "!\u{b}", ",", ";"],
    ..NONE
};

pub(super) const WEBP: Target = Target {
    name: "webp",
    seeds: || seeds::images(&[".webp"]),
    words: &["RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "ANIM", "ANMF", "ALPH", "EXIF", "ICCP", "XMP "],
    ..NONE
};

pub(super) const BMP: Target =
    Target { name: "bmp", seeds: || seeds::images(&[".bmp"]), words: &["BM", "BGRs"], ..NONE };

pub(super) const TIFF: Target = Target {
    name: "tiff",
    seeds: || seeds::images(&[".tif"]),
    // The tags of sizes, types, compression, strips and tiles.
    words: &[
        "II*\0",
        "MM\0*",
        "\0\u{1}",
        "\u{1}\u{1}",
        "\u{2}\u{1}",
        "\u{3}\u{1}",
        "\u{11}\u{1}",
        "\u{17}\u{1}",
        "B\u{1}",
    ],
    ..NONE
};

pub(super) const PNM: Target = Target {
    name: "pnm",
    seeds: || seeds::images(&[".pbm", ".pgm", ".ppm"]),
    words: &[
        "P1",
        "P2",
        "P3",
        "P4",
        "P5",
        "P6",
        "P7\n",
        "WIDTH ",
        "HEIGHT ",
        "DEPTH ",
        "MAXVAL ",
        "TUPLTYPE RGB",
        "ENDHDR\n",
        "#",
    ],
    ..NONE
};

fn read(bytes: &[u8]) -> bool {
    let path = scratch::file("images/x.png", bytes);
    let read = folder::read(&path);
    // A folder is listed less often, because that costs more than the image.
    if bytes.len().is_multiple_of(8) {
        let sizes = folder::list(&scratch::folder("images")).and_then(|list| list.sizes());
        assert!(read.is_err() || sizes.is_ok(), "an image is read, but has no size");
    }
    if let Ok((pixels, shape)) = &read {
        assert_eq!(pixels.len(), shape.iter().product::<usize>());
    }
    accepted(read)
}
