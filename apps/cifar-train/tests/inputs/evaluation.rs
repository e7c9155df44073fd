//! Evaluations of images as people have them.

use super::page::Part;
use super::{common, told};
use ndarray::{Array3, Array4};
use ndarray_npy::write_npy;
use std::fs;
use std::path::Path;

pub(super) fn evaluation(part: &mut Part, d: &Path) {
    let at = d.display();
    let evaluate = |words: &str| told(&format!("evaluate --cache {at}/cache {words}"));
    let grey = |count: usize, side: usize| {
        Array3::from_shape_fn((count, side, side), |(i, j, k)| ((i * 37 + j * 11 + k * 5) % 256) as u8)
    };
    write_npy(d.join("small.npy"), &grey(20, 8)).unwrap();
    write_npy(d.join("wide.npy"), &grey(20, 28)).unwrap();
    write_npy(d.join("one.npy"), &grey(1, 8)).unwrap();
    write_npy(d.join("colours.npy"), &Array4::<u8>::from_elem((20, 3, 8, 8), 7)).unwrap();
    write_npy(d.join("unit.npy"), &grey(20, 8).mapv(|v| f32::from(v) / 255.0)).unwrap();
    write_npy(d.join("nan.npy"), &Array3::<f32>::from_elem((20, 8, 8), f32::NAN)).unwrap();
    let metric = "--data digits --metrics kid-pixels";
    let sizes = |name: &str| evaluate(&format!("--samples {at}/{name}.npy {metric}"));
    part.row("28 x 28 images against 8 x 8", d, sizes("wide"), "28");
    part.row("20 images, KID", d, sizes("small"), "KID");
    part.row("28 x 28 images against 8 x 8, with a warm cache", d, sizes("wide"), "28");
    part.row("colours against grey images", d, sizes("colours"), "error");
    part.row("floats of 0 to 1 against digits of 0 to 16", d, sizes("unit"), "0..1");
    part.row("images of NaN", d, sizes("nan"), "NaN");
    let fd = evaluate(&format!("--samples {at}/small.npy --data digits --metrics fd-pixels,nn"));
    part.row("20 images, Fréchet distance of 64 features", d, fd, "left out");
    let alone = evaluate(&format!("--samples {at}/small.npy --data digits --metrics fd-pixels"));
    part.row("the same, and no other metric", d, alone, "error");
    part.row("one image", d, evaluate(&format!("--samples {at}/one.npy --data digits")), "left out");
    common::succeed(&format!(
        "evaluate --cache {at}/cache --samples digits --data digits --metrics fd-pixels --save-statistics {at}/s.npz"
    ));
    let statistics = |samples: &str, metrics: &str| {
        evaluate(&format!("--samples {samples} --statistics {at}/s.npz --metrics {metrics}"))
    };
    part.row("`--statistics s.npz --metrics fd`, without `--data`", d, statistics("digits", "fd-pixels"), "s.npz");
    part.row("the same with a metric that needs images", d, statistics("digits", "fd-pixels,kid-pixels"), "left out");
    write_npy(d.join("many.npy"), &grey(900, 28)).unwrap();
    part.row("statistics of other features", d, statistics(&format!("{at}/many.npy"), "fd-pixels"), "error");
    fs::write(d.join("broken.npz"), "PK\x03\x04 and no more").unwrap();
    let broken = evaluate(&format!("--samples digits --statistics {at}/broken.npz --metrics fd-pixels"));
    part.row("a broken archive of statistics", d, broken, "broken.npz");
    fs::create_dir_all(d.join("nothing")).unwrap();
    part.row("an empty folder of samples", d, evaluate(&format!("--samples folder:{at}/nothing {metric}")), "error");
    part.row("a folder without `folder:`", d, evaluate(&format!("--samples {at}/nothing {metric}")), "folder:");
    part.row("an archive of samples", d, evaluate(&format!("--samples {at}/samples.zip {metric}")), "archive");
    part.row(
        "more samples than there are",
        d,
        evaluate(&format!("--samples {at}/small.npy --num-samples 50 {metric}")),
        "fewer than",
    );
    samples(part, d);
}

fn samples(part: &mut Part, d: &Path) {
    let at = d.display();
    let config = common::tiny_config(d);
    common::succeed(&format!("train --config {config} --data digits --steps 1 --out {at}/e"));
    let sample = |words: &str| told(&format!("sample --checkpoint {at}/e --num-steps 1 --num-samples 4 {words}"));
    part.row("`sample --npy`", d, sample(&format!("--out {at}/s.png --npy {at}/s.npy")), "s.npy");
    let again = told(&format!("evaluate --cache {at}/cache --samples {at}/s.npy --data digits --metrics kid-pixels"));
    part.row("`evaluate --samples` of its result", d, again, "samples of a network");
    part.row("`--out x.jpg`", d, sample(&format!("--out {at}/s.jpg")), "s.jpg");
    part.row("`--out x.tif`", d, sample(&format!("--out {at}/s.tif")), "s.tif");
    part.row("`--out x.pdf`", d, sample(&format!("--out {at}/s.pdf")), "error");
    part.row(
        "`--class-label` of a class that is not there",
        d,
        sample(&format!("--out {at}/s.png --class-label 10")),
        "error",
    );
    part.row("`--num-samples 0`", d, sample(&format!("--out {at}/s.png --num-samples 0")), "error");
    let huge = told(&format!("sample --checkpoint {at}/e --num-steps 1 --num-samples 99999999999 --out {at}/s.png"));
    // How much is free depends on the machine.
    part.brief("`--num-samples 99999999999`", d, huge, "cannot hold the classes of the samples: they take 745.1 GiB");
}
