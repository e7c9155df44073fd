//! Images, arrays, weights and evaluations as people have them, through the real binary; writes
//! parts of docs/inputs.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../common/mod.rs"]
mod common;
mod evaluation;
#[path = "../../../../crates/fm-models/tests/common/mod.rs"]
mod made;
#[path = "../../../../tests/support/page.rs"]
mod page;
mod weights;

use common::{run, succeed};
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use ndarray::{Array1, Array3, Array4};
use ndarray_npy::write_npy;
use page::Part;
use std::fs;
use std::path::Path;

/// Exit code, and both outputs.
fn told(words: &str) -> (i32, String) {
    let output = run(words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

/// A picture with a gradient, so that a cut part is missed.
fn picture(path: &Path, side: u32, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(side, side, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]));
    image.save_with_format(path, format).unwrap();
}

#[test]
fn images_as_people_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let mut part = Part::new("images");
    folders(&mut part, d);
    files(&mut part, d);
    arrays(&mut part, d);
    part.check();
}

#[test]
fn weights_as_people_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = Part::new("weights");
    weights::weights(&mut part, dir.path());
    part.check();
}

#[test]
fn evaluations_as_people_start_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = Part::new("evaluation");
    evaluation::evaluation(&mut part, dir.path());
    part.check();
}

fn folders(part: &mut Part, d: &Path) {
    for name in ["a/1.png", "a/deeper/2.png", "b/3.png", ".ipynb_checkpoints/4.png", "__MACOSX/5.png", "loose.png"] {
        picture(&d.join("mixed").join(name), 16, ImageFormat::Png);
    }
    let words = format!("data folder:{}/mixed", d.display());
    part.row("class folders with a deeper folder", d, told(&words), "3 images in 2 classes");
    part.row("`.ipynb_checkpoints`, `__MACOSX` and a loose image beside class folders", d, told(&words), "left out");
    for k in [0, 1, 2, 10, 11] {
        picture(&d.join(format!("numbers/{k}/x.png")), 8, ImageFormat::Png);
    }
    part.row("class folders 0, 1, 2, 10, 11", d, told(&format!("data folder:{}/numbers", d.display())), "2       2: 1");
    fs::create_dir(d.join("numbers/12")).unwrap();
    part.row("a class folder without images", d, told(&format!("data folder:{}/numbers", d.display())), "left out");
    fs::remove_dir(d.join("numbers/12")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(d.join("mixed"), d.join("mixed/a/up")).unwrap();
        part.row("a link to the parent folder", d, told(&words), "3 images in 2 classes");
        fs::remove_file(d.join("mixed/a/up")).unwrap();
    }
    let train = |folder: &str, flags: &str| {
        told(&format!(
            "train --preset quickstart --data folder:{}/{folder} {flags} --dry-run --out {0}/run",
            d.display()
        ))
    };
    part.row("photos of 16 x 16 with a preset for 8 x 8", d, train("mixed", ""), "[3, 16, 16]");
    picture(&d.join("sizes/a/1.png"), 24, ImageFormat::Png);
    picture(&d.join("sizes/a/2.png"), 40, ImageFormat::Png);
    part.row("photos of several sizes", d, train("sizes", ""), "--image-size");
    part.row("the same with `--image-size 16`", d, train("sizes", "--image-size 16"), "[3, 16, 16]");
}

fn files(part: &mut Part, d: &Path) {
    let formats = [
        ("jpg", ImageFormat::Jpeg),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("gif", ImageFormat::Gif),
        ("tif", ImageFormat::Tiff),
        ("ppm", ImageFormat::Pnm),
    ];
    for (suffix, format) in formats {
        picture(&d.join(format!("formats/a.{suffix}")), 8, format);
    }
    let folder = |name: &str| told(&format!("data folder:{}/{name}", d.display()));
    part.row("JPEG, WebP, BMP, GIF, TIFF and PNM files", d, folder("formats"), "6 images");
    fs::create_dir(d.join("clear")).unwrap();
    for (name, opacity) in [("clear", 90), ("opaque", 255)] {
        let image = RgbaImage::from_fn(8, 8, |x, y| Rgba([(x * 9) as u8, (y * 9) as u8, 40, opacity]));
        image.save(d.join(format!("clear/{name}.png"))).unwrap();
    }
    part.row(
        "a PNG with transparent pixels, and an opaque one with alpha",
        d,
        folder("clear"),
        "of 1 image (clear.png)",
    );
    picture(&d.join("names/\u{1b}[31mred/1.png"), 8, ImageFormat::Png);
    picture(&d.join("names/\u{202e}der/2.png"), 8, ImageFormat::Png);
    part.row("class names with terminal escapes and marks of direction", d, folder("names"), "\\u{202e}der");
    picture(&d.join("suffix/jpeg.png"), 32, ImageFormat::Jpeg);
    part.row("a JPEG named `.png`", d, folder("suffix"), "1 images of 3 x 32 x 32");
    for (suffix, format) in [("jpg", ImageFormat::Jpeg), ("gif", ImageFormat::Gif), ("webp", ImageFormat::WebP)] {
        let path = d.join(format!("cut-{suffix}/x.{suffix}"));
        picture(&path, 64, format);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let input = format!("two thirds of a {} file", suffix.to_uppercase());
        part.row(&input, d, folder(&format!("cut-{suffix}")), &format!("x.{suffix}"));
        if suffix == "jpg" {
            fs::create_dir(d.join("closed")).unwrap();
            fs::write(d.join("closed/x.jpg"), [&bytes[..bytes.len() * 2 / 3], b"\xff\xd9"].concat()).unwrap();
            part.row("the same with an end marker after it", d, folder("closed"), "x.jpg");
        }
    }
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/fm-data/tests/assets/images");
    fs::create_dir(d.join("noise")).unwrap();
    let noise = fs::read(assets.join("noise.jpg")).unwrap();
    fs::write(d.join("noise/x.jpg"), [&noise[..noise.len() * 2 / 3], b"\xff\xd9"].concat()).unwrap();
    part.row("a progressive JPEG cut in a later scan, with an end marker", d, folder("noise"), "x.jpg");
    for (input, file) in [
        ("CMYK in a JPEG", "cmyk.jpg"),
        ("an animated PNG", "frames.png"),
        ("a TIFF of several pages", "frames.tif"),
        ("16 bits per value", "sixteen.png"),
    ] {
        fs::create_dir(d.join(file)).unwrap();
        fs::copy(assets.join(file), d.join(file).join(file)).unwrap();
        let says = if file.starts_with("frames") { "only the first" } else { "1 images of" };
        part.row(input, d, folder(file), says);
    }
    part.row("an archive as the folder", d, told(&format!("data {}/photos.tar.gz", d.display())), "archive");
    part.row("an image as the data", d, told(&format!("data {}/suffix/jpeg.png", d.display())), "image");
    part.row("`folder:` of a file", d, folder("suffix/jpeg.png"), "not a folder");
    part.row("a folder without `folder:`", d, told(&format!("data {}/suffix", d.display())), "folder:");
    fs::create_dir_all(d.join("pointer")).unwrap();
    fs::write(d.join("pointer/x.png"), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n").unwrap();
    part.row("a Git LFS pointer named `.png`", d, folder("pointer"), "LFS");
}

fn arrays(part: &mut Part, d: &Path) {
    let data = |name: &str| told(&format!("data {}/{name}", d.display()));
    let ramp = |top: f32| Array3::from_shape_fn((6, 8, 8), |(i, j, k)| top * ((i + j + k) as f32 / 19.0));
    write_npy(d.join("unit.npy"), &ramp(1.0)).unwrap();
    part.row("float images in [0, 1]", d, data("unit.npy"), "0 to 1");
    write_npy(d.join("both.npy"), &ramp(2.0).mapv(|v| v - 1.0)).unwrap();
    part.row("float images in [-1, 1], as `sample --npy` writes them", d, data("both.npy"), "-1 to 1");
    write_npy(d.join("bytes.npy"), &ramp(255.0)).unwrap();
    part.row("float images in 0 to 255", d, data("bytes.npy"), "bytes.npy");
    write_npy(d.join("images.npy"), &Array3::<u8>::from_elem((6, 8, 8), 200)).unwrap();
    write_npy(d.join("labels.npy"), &Array1::from(vec![1i64, 2, 3, 1, 2, 3])).unwrap();
    let labelled = told(&format!("data {0}/images.npy,{0}/labels.npy", d.display()));
    part.row("labels 1 to 3", d, labelled, "labels.npy");
    let mut header = b"\x93NUMPY\x01\x00\x46\x00".to_vec();
    let shape = format!("{:<69}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 8, 8), }");
    header.splice(8..10, u16::try_from(shape.len()).unwrap().to_le_bytes());
    header.extend(shape.bytes());
    fs::write(d.join("claim.npy"), header).unwrap();
    part.row("a `.npy` of 80 bytes that claims 64 TiB", d, data("claim.npy"), "claim.npy");
    write_npy(d.join("wide.npy"), &ramp(0.0).mapv(|v| v as u8)).unwrap();
    let pixels = "--data digits --metrics kid-pixels --cache";
    let compared = told(&format!("evaluate --samples {0}/wide.npy {pixels} {0}/cache", d.display()));
    part.row("pixels of 0 to 255 compared with digits of 0 to 16", d, compared, "6 images of");

    let config = common::tiny_config(d);
    succeed(&format!("train --config {config} --data digits --out {}/run", d.display()));
    let velocity = |name: &str, at: &str| {
        told(&format!("velocity --checkpoint {0}/run {0}/{name} --at {at} --classes 1,2 --out {0}/v.npy", d.display()))
    };
    write_npy(d.join("none.npy"), &Array4::<f32>::zeros((0, 1, 8, 8))).unwrap();
    part.row("an empty batch for `velocity`", d, velocity("none.npy", "0.5"), "no images");
    write_npy(d.join("wide64.npy"), &Array4::<f64>::zeros((2, 1, 8, 8))).unwrap();
    part.row("float64 images for `velocity`", d, velocity("wide64.npy", "0.5"), "wrote");
    part.row("`velocity --at nan`", d, velocity("wide64.npy", "nan"), "--at has a time");
    let many = told(&format!("sample --checkpoint {0}/run --class-label 1000 --out {0}/s.png", d.display()));
    part.row("`--class-label 1000`", d, many, "error");
}

/// The numbers of a run's classes stay when the folder gets another order.
#[test]
fn a_resumed_run_keeps_the_numbers_of_its_classes() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    for name in ["2", "10"] {
        picture(&d.join(format!("photos/{name}/x.png")), 8, ImageFormat::Png);
    }
    let config = common::tiny_config(d);
    let run = format!("{}/run", d.display());
    let data = format!("--data folder:{}/photos --conditional true", d.display());
    succeed(&format!("train --config {config} {data} --steps 4 --out {run}"));
    let classes = || {
        let told = succeed(&format!("inspect {run}"));
        told.lines().find(|line| line.contains("classes")).unwrap().trim().to_owned()
    };
    assert!(classes().ends_with("2: 2, 10"), "{}", classes());
    // A folder that no longer has a class keeps its number; a new one is refused.
    fs::remove_dir_all(d.join("photos/2")).unwrap();
    let refused = common::fail(&format!("train --resume --steps 8 --out {run}"));
    assert!(refused.contains("changed since the run began") && refused.contains("--allow-changed-data"), "{refused}");
    succeed(&format!("train --resume --steps 8 --out {run} --allow-changed-data"));
    assert!(classes().ends_with("2: 2, 10"), "{}", classes());
    // Without a change, the flag is not needed.
    succeed(&format!("train --resume --steps 9 --out {run}"));
    picture(&d.join("photos/11/x.png"), 8, ImageFormat::Png);
    let error = common::fail(&format!("train --resume --steps 12 --out {run} --allow-changed-data"));
    assert!(error.contains("'11'"), "{error}");
}
