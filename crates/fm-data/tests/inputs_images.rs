//! Image files and folders as people have them: formats, damage, metadata and sizes.
//! `inputs_image_folders.rs` has the layouts of folders.

#![cfg(feature = "images")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_data::folder::{self, MOST_PIXELS};
use std::fs;
use std::path::{Path, PathBuf};

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/images")
}

fn asset(name: &str) -> Vec<u8> {
    fs::read(assets().join(name)).unwrap()
}

/// Name, width, height and RGB pixels of every asset, as Pillow reads them.
fn expected() -> Vec<(String, [usize; 2], Vec<u8>)> {
    let text = fs::read_to_string(assets().join("expected.csv")).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [width, height] = [1, 2].map(|i| fields[i].parse().unwrap());
        (fields[0].to_string(), [height, width], fields[3].as_bytes().chunks(2).map(byte).collect())
    };
    text.lines().map(row).collect()
}

/// Planes of interleaved pixels.
fn planes(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied()).collect()
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// Writes a file of this name into a new folder.
fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// The error of a file, which names it and is the same for `read`, `load` and, if `header`,
/// `sizes`.
fn refusal(name: &str, bytes: &[u8], header: bool) -> String {
    let (dir, path) = written(name, bytes);
    let text = folder::read(&path).unwrap_err().to_string();
    assert!(text.contains(name) && text.chars().count() <= 300, "{text}");
    assert_eq!(folder::load(dir.path(), 4).unwrap_err().to_string(), text);
    if header {
        assert_eq!(folder::list(dir.path()).unwrap().sizes().unwrap_err().to_string(), text);
    }
    text
}

#[test]
fn every_format_has_the_pixels_that_pillow_reads() {
    let rows = expected();
    assert!(rows.len() > 35);
    for (name, [height, width], pixels) in rows {
        let (found, shape) = folder::read(&assets().join(&name)).unwrap();
        assert_eq!(shape, [3, height, width], "{name}");
        // Decoders of lossy formats round differently, and upsample colours with other filters.
        let most = match name.as_str() {
            "subsampled.jpg" | "lossy.webp" => 24,
            "cmyk.jpg" => 6,
            _ if name.contains("jp") || name.ends_with(".webp") && name.starts_with("lossy") => 4,
            _ => 0,
        };
        let difference = largest_difference(&found, &planes(&pixels));
        assert!(difference <= most, "{name}: {difference} levels");
    }
}

#[test]
fn content_decides_and_not_the_suffix() {
    let pairs = [
        ("rgb.jpg", "a.png"),
        ("rgb.png", "a.jpeg"),
        ("lossless.webp", "a.JPG"),
        ("rgb.tif", "a.gif"),
        ("rgb.bmp", "a.pgm"),
        ("levels.pgm", "a.bmp"),
        ("one.gif", "a.webp"),
        ("rgb.png", "no_suffix"),
    ];
    for (from, name) in pairs {
        let (dir, path) = written(name, &asset(from));
        assert_eq!(folder::read(&path).unwrap(), folder::read(&assets().join(from)).unwrap(), "{from} as {name}");
        assert_eq!(folder::files(dir.path()).unwrap(), [path]);
    }
}

#[test]
fn files_that_are_not_images_are_named_with_what_they_are() {
    let heic = [&b"\0\0\0\x18ftypheic\0\0\0\0"[..], &[0; 40]].concat();
    let rows: [(&[u8], &str); 12] = [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s12--00.png\n", "a git-annex pointer"),
        (b"\n<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"<head></head><HTML>", "an HTML page"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing"),
        (b"", "an empty file"),
        (&[0; 700], "a file of zero bytes"),
        (b"{\"error\": \"not found\"}", "a text"),
        (b"BM is how this text begins", "a text"),
        (b"PK\x03\x04\x14\0", "a zip archive"),
        (&heic, "a HEIC image"),
        (b"\x01\x02\x03\x04\x05", "data of an unknown kind"),
    ];
    for (bytes, what) in rows {
        for name in ["a.png", "b.JPEG", "c.webp", "d.tif"] {
            let text = refusal(name, bytes, true);
            assert!(text.contains(&format!("it is not an image but {what}")), "{text}");
        }
    }
    assert!(refusal("a.png", rows[0].0, true).ends_with("run `git lfs pull` where it was cloned"));
}

/// A cut JPEG, GIF or WebP has pixels for a decoder that fills up the rest.
#[test]
fn cut_files_are_refused_in_every_format() {
    for (name, ..) in expected() {
        let bytes = asset(&name);
        let text = refusal(&name, &bytes[..bytes.len() * 2 / 3], false);
        let tells = text.contains("is cut short") || name.ends_with(".pgm") || name.ends_with(".tif");
        assert!(tells || text.contains("does not decode"), "{name}: {text}");
        let (_dir, path) = written(&name, &bytes);
        let whole = folder::read(&assets().join(&name)).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        for end in (0..bytes.len()).rev() {
            file.set_len(end as u64).unwrap();
            match folder::read(&path) {
                Err(e) => assert!(e.to_string().contains(&name), "{name} cut to {end} bytes: {e}"),
                // A last number of a text may be cut, and a TIFF file may end with a spare byte.
                Ok(found) => {
                    let spare =
                        name == "levels.pgm" && end + 2 >= bytes.len() || name.ends_with(".tif") && found == whole;
                    assert!(spare, "{name} cut to {end} of {} bytes is read", bytes.len());
                }
            }
        }
    }
}

/// A cut JPEG that was closed with an end marker is refused, unless only bits that fill up its last
/// byte are cut.
#[test]
fn cut_jpeg_files_with_an_end_are_refused() {
    let mut refused = 0;
    for (name, ..) in expected().into_iter().filter(|(name, ..)| name.ends_with(".jpg")) {
        let bytes = asset(&name);
        let whole = folder::read(&assets().join(&name)).unwrap();
        let scan = bytes.windows(2).position(|pair| pair == b"\xff\xda").unwrap();
        for end in scan..bytes.len() - 2 {
            let (_dir, path) = written(&name, &[&bytes[..end], b"\xff\xd9"].concat());
            match folder::read(&path) {
                Err(e) => refused += usize::from(e.to_string().contains("is cut short")),
                Ok(found) => assert!(found == whole, "{name} cut to {end} of {} bytes is read", bytes.len()),
            }
        }
    }
    assert!(refused > 2000, "{refused}");
}

/// A JPEG file without its Huffman tables, and with this segment after the first marker.
fn without_tables(name: &str, segment: &[u8]) -> Vec<u8> {
    let (bytes, mut at) = (asset(name), 2);
    let mut kept = [&bytes[..2], segment].concat();
    while bytes[at + 1] != 0xda {
        let next = at + 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        // The first segment would say that the file is no frame of a video.
        if bytes[at + 1] != 0xc4 && bytes[at + 1] != 0xe0 {
            kept.extend(&bytes[at..next]);
        }
        at = next;
    }
    kept.extend(&bytes[at..]);
    kept
}

/// Frames of motion JPEG use the Huffman tables of the specification, which these files have.
#[test]
fn jpeg_files_without_tables_use_those_of_the_specification() {
    const VIDEO: &[u8] = b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";
    for name in ["rgb.jpg", "subsampled.jpg", "grey.jpg", "restarts.jpg"] {
        for segment in [&b""[..], VIDEO] {
            let bytes = without_tables(name, segment);
            assert!(!bytes.windows(2).any(|pair| pair == b"\xff\xc4"), "{name}");
            let whole = folder::read(&assets().join(name)).unwrap();
            let (_dir, path) = written(name, &bytes);
            assert!(folder::read(&path).unwrap() == whole, "{name} has other pixels");
            let (_dir, path) = written(name, &[&bytes[..bytes.len() - 12], b"\xff\xd9"].concat());
            let error = folder::read(&path).unwrap_err().to_string();
            assert!(error.contains("is cut short"), "{name}: {error}");
        }
    }
}

#[test]
fn bytes_after_a_whole_image_do_not_matter() {
    for (name, ..) in expected() {
        let whole = folder::read(&assets().join(&name)).unwrap();
        for junk in [&b"\0"[..], b"\n\n", &[0xff; 9], &asset("rgb.jpg"), b"<html>"] {
            let (_dir, path) = written(&name, &[&asset(&name), junk].concat());
            assert_eq!(folder::read(&path).unwrap(), whole, "{name} and {}", junk.escape_ascii());
        }
    }
}

/// Turns planes of (height, width) by 90 degrees clockwise.
fn quarter(pixels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    let plane = height * width;
    let at = |c: usize, y: usize, x: usize| pixels[c * plane + (height - 1 - x) * width + y];
    (0..3)
        .flat_map(|c| (0..width).flat_map(move |y| (0..height).map(move |x| (c, y, x))))
        .map(|(c, y, x)| at(c, y, x))
        .collect()
}

#[test]
fn orientation_is_applied_for_training_and_not_for_metrics() {
    let of = |file: &str| planes(&expected().into_iter().find(|(name, ..)| name == file).unwrap().2);
    for (name, quarters) in [("turned.jpg", 1), ("turned.webp", 2), ("turned.png", 3), ("turned.tif", 1)] {
        let upright = of(if name == "turned.jpg" { "rgb.jpg" } else { "rgb.png" });
        let (mut pixels, mut size) = (upright.clone(), [10, 12]);
        for _ in 0..quarters {
            (pixels, size) = (quarter(&pixels, size), [size[1], size[0]]);
        }
        let (dir, path) = written(name, &asset(name));
        let sizes = folder::list(dir.path()).unwrap().sizes().unwrap();
        assert_eq!(sizes.most_common, size.map(|side| side as u32), "{name}");
        // The middle square in the stored size.
        let set = folder::load(dir.path(), 10).unwrap();
        let (left, top) = ((size[1] - 10) / 2, (size[0] - 10) / 2);
        let value = |i: usize| pixels[i / 100 * 120 + (top + i / 10 % 10) * size[1] + left + i % 10];
        let middle: Vec<u8> = (0..300).map(value).collect();
        assert!(largest_difference(&set.pixels, &middle) <= 4, "{name}");
        let stored = folder::read(&path).unwrap();
        if name == "turned.tif" {
            assert_eq!(stored, (pixels, [3, 12, 10]), "Pillow turns TIFF");
        } else {
            assert_eq!(stored.1, [3, 10, 12]);
            assert!(largest_difference(&stored.0, &upright) <= 4, "{name}");
        }
    }
}

/// EXIF data after the pixels of a PNG file, and those of WebP with the prefix of JPEG.
#[test]
fn orientation_is_found_where_programs_put_it() {
    let png = asset("turned.png");
    let at = png.windows(4).position(|kind| kind == b"eXIf").unwrap() - 4;
    let count = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize + 12;
    let mut late = png.clone();
    let chunk: Vec<u8> = late.drain(at..at + count).collect();
    let end = late.len() - 12;
    late.splice(end..end, chunk);
    assert_ne!(late, png);
    let webp = asset("turned.webp");
    let at = webp.windows(4).position(|kind| kind == b"EXIF").unwrap();
    let mut prefixed = webp.clone();
    prefixed.splice(at + 8..at + 8, *b"Exif\0\0");
    prefixed[at + 4] += 6;
    prefixed[4] += 6;
    for (name, bytes, changed) in [("turned.png", png, late), ("turned.webp", webp, prefixed)] {
        let (first, second) = (written(name, &bytes), written(name, &changed));
        assert_eq!(folder::load(first.0.path(), 7).unwrap(), {
            let mut set = folder::load(second.0.path(), 7).unwrap();
            set.classes = folder::load(first.0.path(), 7).unwrap().classes;
            set
        });
        let sizes = |dir: &tempfile::TempDir| folder::list(dir.path()).unwrap().sizes().unwrap();
        assert_eq!(sizes(&first.0), sizes(&second.0));
    }
}

#[test]
fn further_frames_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["frames.gif", "frames.webp", "frames.png", "frames.tif", "one.gif", "rgb.png"] {
        fs::write(dir.path().join(name), asset(name)).unwrap();
    }
    let (set, summary) = folder::open(dir.path(), 4).unwrap();
    assert_eq!((set.len(), summary.more_frames.count), (6, 4));
    let text = summary.to_string();
    assert!(text.ends_with("first frame is read of 4 images (frames.gif, frames.png, frames.tif, ...)"), "{text}");
    assert_eq!(set.image(0), set.image(4), "the first frame");
}

/// A PNG header with this size and the checksum that belongs to it.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = asset("rgb.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

fn patched(name: &str, at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = asset(name);
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn sizes_beyond_memory_are_refused_before_decoding() {
    let side = 12_000u16;
    let jpeg = asset("rgb.jpg").windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
    let (big, little) = (side.to_be_bytes(), side.to_le_bytes());
    let rows = [
        ("a.png", png_of(12_000, 12_000)),
        ("a.jpg", patched("rgb.jpg", jpeg, &[big, big].concat())),
        ("a.gif", patched("one.gif", 6, &[little, little].concat())),
        ("a.bmp", patched("rgb.bmp", 18, &[little, [0, 0], little, [0, 0]].concat())),
        ("a.ppm", b"P6 12000 12000 255\nabc".to_vec()),
        ("b.pbm", b"P1 12000 12000\n1 0".to_vec()),
    ];
    for (name, bytes) in rows {
        let text = refusal(name, &bytes, false);
        let tells = text.contains(&format!("12000 x 12000 pixels, and an image has at most {MOST_PIXELS}; scale it"));
        assert!(tells, "{text}");
    }
    for (width, height) in [(u32::MAX, 1), (1, u32::MAX), (0, 7), (i32::MAX as u32, i32::MAX as u32)] {
        refusal("a.png", &png_of(width, height), false);
    }
}

#[test]
fn sets_beyond_memory_are_refused_before_any_image_is_read() {
    let dir = tempfile::tempdir().unwrap();
    // Not images: nothing of them is read. 48 MiB each at the largest size.
    for i in 0..30_000 {
        fs::File::create(dir.path().join(format!("{i}.png"))).unwrap();
    }
    let text = folder::load(dir.path(), 4096).unwrap_err().to_string();
    assert!(text.contains("30000 images of 4096 x 4096 take 1406.2 GiB of memory"), "{text}");
}

#[test]
fn sizes_come_from_headers() {
    let dir = tempfile::tempdir().unwrap();
    for (i, (width, height)) in [(40, 30), (40, 30), (7, 9), (64, 64)].into_iter().enumerate() {
        fs::write(dir.path().join(format!("{i}.png")), png_of(width, height)).unwrap();
    }
    let sizes = folder::list(dir.path()).unwrap().sizes().unwrap();
    assert_eq!((sizes.smallest, sizes.largest, sizes.most_common), ([9, 7], [64, 64], [30, 40]));
    assert_eq!((sizes.images_of_most_common, sizes.different, sizes.shortest_side), (2, 3, 7));
    assert_eq!(sizes.to_string(), "3 sizes from 7 x 9 to 64 x 64, most often 40 x 30 (width x height)");
    for name in ["rgb.jpg", "turned.webp", "rgb.bmp", "one.gif", "lzw.tif", "levels.pgm", "sixteen.png"] {
        let (dir, _) = written(name, &asset(name));
        assert_eq!(folder::list(dir.path()).unwrap().sizes().unwrap().largest, [10, 12], "{name}");
    }
    let (dir, _) = written("a.png", &png_of(5, 5));
    assert_eq!(folder::list(dir.path()).unwrap().sizes().unwrap().square(), Some(5));
}
