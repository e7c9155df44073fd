//! `evaluate` through the real binary: every metric on every extractor against what public
//! implementations recorded (`reference/evaluate.py`), which writes docs/metrics.md; and
//! evaluations that stop, go on, grow and sweep.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use common::{fail, program, read, succeed, tiny_config};
use fm_models::interchange::{self, About};
use image::RgbImage;
use ndarray::{Array3, Array4, Axis, s};
use ndarray_npy::write_npy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Images of each side, and of those that Inception sees.
const HALF: usize = 890;
const FEW: usize = 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn digits() -> Array3<u8> {
    let set = fm_data::digits::load();
    Array3::from_shape_vec((set.len(), 8, 8), set.pixels).unwrap()
}

/// Red as it is, green upside down, blue dark: 0 to 240.
fn colours(digits: &Array3<u8>) -> Array4<u8> {
    Array4::from_shape_fn((digits.len_of(Axis(0)), 3, 32, 32), |(n, c, y, x)| match c {
        0 => 15 * digits[[n, y / 4, x / 4]],
        1 => 15 * digits[[n, (31 - y) / 4, x / 4]],
        _ => (15 * digits[[n, y / 4, x / 4]]) / 2,
    })
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// A metric on some features: its flag, the key of the result, and the recorded answer with the
/// tolerance that it is held to.
struct Row {
    flags: &'static str,
    images: &'static str,
    keys: &'static [&'static str],
    recorded: &'static str,
    by: &'static str,
    tolerance: f64,
}

const fn row(
    flags: &'static str,
    images: &'static str,
    keys: &'static [&'static str],
    recorded: &'static str,
    by: &'static str,
    tolerance: f64,
) -> Row {
    Row { flags, images, keys, recorded, by, tolerance }
}

const RESNET: &str = "the network in PyTorch's functions, then";
const INCEPTION: &str = "pytorch-fid's network, then";
const TABLE: [Row; 19] = [
    row("fd-pixels", "grey", &["fd"], "pixels", "pytorch-fid's distance", 1e-6),
    row("kid-pixels", "grey", &["kid"], "pixels", "clean-fid's kernel distance", 1e-9),
    row("energy-pixels", "grey", &["energy"], "pixels", "SciPy's `cdist`", 1e-6),
    row("pr-pixels", "grey", &["precision", "recall"], "pixels", "prdc, k = 3", 1e-12),
    row("dc-pixels", "grey", &["density", "coverage"], "pixels", "prdc, k = 5", 1e-12),
    row("fd-resnet20", "colour", &["fd"], "resnet20", "pytorch-fid's distance", 1e-4),
    row("kid-resnet20", "colour", &["kid"], "resnet20", "clean-fid's kernel distance", 1e-4),
    row("pr-resnet20", "colour", &["precision", "recall"], "resnet20", "prdc, k = 3", 2e-3),
    row("dc-resnet20", "colour", &["density", "coverage"], "resnet20", "prdc, k = 5", 2e-3),
    row("is-resnet20", "colour", &["is"], "resnet20", "torchmetrics' inception score", 1e-5),
    row(
        "kid-inception --protocol pytorch-fid",
        "few",
        &["kid"],
        "inception pytorch-fid",
        "clean-fid's kernel distance",
        1e-3,
    ),
    row(
        "pr-inception --protocol pytorch-fid",
        "few",
        &["precision", "recall"],
        "inception pytorch-fid",
        "prdc, k = 3",
        1e-12,
    ),
    row(
        "dc-inception --protocol pytorch-fid",
        "few",
        &["density", "coverage"],
        "inception pytorch-fid",
        "prdc, k = 5",
        1e-12,
    ),
    row(
        "is-inception --protocol pytorch-fid",
        "few",
        &["is"],
        "inception pytorch-fid",
        "torchmetrics' inception score",
        1e-5,
    ),
    row(
        "kid-inception --protocol clean-fid",
        "few",
        &["kid"],
        "inception clean-fid",
        "clean-fid's resize and kernel distance",
        1e-3,
    ),
    row(
        "pr-inception --protocol clean-fid",
        "few",
        &["precision", "recall"],
        "inception clean-fid",
        "prdc, k = 3",
        1e-12,
    ),
    row(
        "dc-inception --protocol clean-fid",
        "few",
        &["density", "coverage"],
        "inception clean-fid",
        "prdc, k = 5",
        1e-12,
    ),
    row(
        "is-inception --protocol clean-fid",
        "few",
        &["is"],
        "inception clean-fid",
        "torchmetrics' inception score",
        1e-5,
    ),
    row("nn", "grey", &["copies"], "copies", "SciPy's `cdist` and NumPy's percentile", 1e-12),
];

#[test]
fn every_metric_on_every_extractor_is_what_others_say() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let grey = digits();
    let colour = colours(&grey);
    for (name, first, count) in [("real", 0, HALF), ("fake", HALF, HALF)] {
        write_npy(dir.path().join(format!("grey-{name}.npy")), &grey.slice(s![first..first + count, .., ..])).unwrap();
        for (images, count) in [("colour", count), ("few", FEW)] {
            let some = colour.slice(s![first..first + count, .., .., ..]);
            write_npy(dir.path().join(format!("{images}-{name}.npy")), &some).unwrap();
        }
    }
    let shapes = json(root().join("crates/fm-models/tests/reference/features.json"))["inception"]["shapes"].clone();
    let tensors = weights::inception_weights(&shapes);
    std::fs::write(dir.path().join("w.safetensors"), interchange::safetensors(&tensors, &About::default()).unwrap())
        .unwrap();
    let recorded = json(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/evaluate.json"));

    // One run for all rows on the same features.
    let run = |row: &Row| {
        let rows = TABLE.iter().filter(|other| other.recorded == row.recorded);
        let metrics: Vec<&str> = rows.map(|r| r.flags.split(' ').next().unwrap()).collect();
        let protocol = row.flags.split_once(' ').map_or("", |(_, protocol)| protocol);
        let weights =
            if row.images == "few" { format!("--inception-weights {d}/w.safetensors") } else { String::new() };
        let said = succeed(&format!(
            "evaluate --samples {d}/{0}-fake.npy --data {d}/{0}-real.npy --metrics {1} {protocol} {weights} --cache {d}/cache --json {d}/r.json",
            row.images,
            metrics.join(",")
        ));
        (said, json(dir.path().join("r.json")))
    };
    let mut results: BTreeMap<&str, (String, Value)> = BTreeMap::new();
    let mut lines = String::new();
    for row in &TABLE {
        let (said, result) = results.entry(row.recorded).or_insert_with(|| run(row));
        let Row { flags, images, keys, recorded: part, by, tolerance } = row;
        let metric = flags.split(' ').next().unwrap();
        for key in *keys {
            let want =
                if recorded[part].is_object() { &recorded[part][key] } else { &recorded[part] }.as_f64().unwrap();
            let at = metric.split_once('-').map_or((*key).to_owned(), |(_, on)| format!("{key}-{on}"));
            let got = result["metrics"][&at]["value"]
                .as_f64()
                .unwrap_or_else(|| panic!("{at} is missing in {result}\n{said}"));
            assert!(
                (got - want).abs() <= tolerance * want.abs().max(1e-12),
                "{flags}: {at} is {got}, {by} says {want}"
            );
        }
        // Others' weights never make a number that could be taken for FID.
        assert!(*images != "few" || (!said.contains("FID") && said.contains("inception[")), "{said}");
        let via = match *images {
            "colour" => format!("{RESNET} "),
            "few" => format!("{INCEPTION} "),
            _ => String::new(),
        };
        writeln!(lines, "| `{flags}` | {} | {via}{by} | {tolerance:e} |", keys.join(", ")).unwrap();
    }
    let few = "--metrics pr-pixels,dc-pixels --num-samples 300";
    succeed(&format!(
        "evaluate --samples {d}/grey-fake.npy --data {d}/grey-real.npy {few} --cache {d}/cache --json {d}/r.json"
    ));
    let found = json(dir.path().join("r.json"));
    for key in ["precision", "recall", "density", "coverage"] {
        let (got, want) = (&found["metrics"][format!("{key}-pixels")]["value"], &recorded["pixels, 300 samples"][key]);
        let (got, want) = (got.as_f64().unwrap(), want.as_f64().unwrap());
        assert!((got - want).abs() < 1e-12, "{key} of 300 samples is {got}, prdc says {want}");
    }
    named(&lines);
    let text = format!("{HEAD}{lines}{TAIL}");
    let path = root().join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(String::from_utf8(read(path)).unwrap(), text, "docs/metrics.md is out of date: run with UPDATE_DOCS=1");
}

const HEAD: &str = "# Metrics\n\
    \n\
    Every metric of `cifar-train evaluate` on every extractor. A test writes this page: run\n\
    `cargo xtask test -- -p cifar-train --test evaluate`, with `UPDATE_DOCS=1` to rewrite it. The test runs the real binary on two halves of\n\
    real handwritten digits and compares the results with recorded results of public implementations\n\
    (`apps/cifar-train/tests/reference/evaluate.py`). For networks, the digits are enlarged to colour images of 32 x 32; Inception gets 20\n\
    images per side and computed weights. A metric without features uses those of `--extractor`.\n\
    \n\
    | `--metrics` | numbers | outside reference | relative tolerance |\n\
    |---|---|---|---|\n";

const TAIL: &str = "| `fd-inception`, `fid` | FD | needs more than 2048 images, so its parts are tested: the network as above, the \
    distance as `fd-pixels`, the preparation as `kid-inception`; `cargo xtask bench metrics --peers` compares the whole on 2,100 images \
    | 1e-4 |\n\
    | `nll` | bits/dim | the command `likelihood`, in every digit, which is tested against closed forms and diffrax in \
    [options.md](options.md) | 1e-9 |\n\
    \n\
    `fid` is `fd-inception` with the weights that define FID: a file whose SHA-256 begins with 6726825d,\n\
    `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid's releases. With other weights, the program rejects `fid`, and the name\n\
    `fd-inception` carries their hash.\n";

/// Whatever the program offers stands in the table.
fn named(lines: &str) {
    let offered = |flags: &str| -> Vec<String> {
        let error = fail(&format!("evaluate --samples digits --data digits {flags}"));
        let list = error.split("choose one of ").nth(1).unwrap_or_else(|| panic!("{error}"));
        list.split([',', ' ', ':', ';']).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    for metric in offered("--metrics bogus") {
        assert!(format!("{lines}{TAIL}").contains(&format!("`{metric}")), "{metric} has no row");
    }
    for extractor in offered("--metrics fd-bogus") {
        assert!(lines.contains(&format!("-{extractor}")), "{extractor} has no row");
    }
}

fn trained(dir: &Path) -> String {
    let run = dir.join("run");
    succeed(&format!("train --config {} --steps 2 --save-every 0 --out {}", tiny_config(dir), run.display()));
    run.display().to_string()
}

#[test]
fn a_killed_evaluation_goes_on_and_ends_with_the_same_digits() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path()));
    let flags = |count: usize, cache: &str, out: &str| {
        format!(
            "evaluate --checkpoint {run} --num-samples {count} --batch-size 20 --num-steps 4 --metrics fd,kid,nn,nll --nll-images 40 --cache {d}/{cache} --json {d}/{out}.json"
        )
    };
    succeed(&flags(400, "whole", "whole"));
    let rows = |cache: &str| -> u64 {
        let stores = std::fs::read_dir(dir.path().join(cache)).into_iter().flatten().flatten();
        stores.filter_map(|s| Some(s.path().join("nfe.f64").metadata().ok()?.len() / 8)).max().unwrap_or(0)
    };
    let mut child = program().args(flags(400, "killed", "killed").split_whitespace()).spawn().unwrap();
    let started = Instant::now();
    while rows("killed") < 60 {
        assert!(started.elapsed() < Duration::from_secs(60), "no rows came");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = rows("killed");
    assert!((60..400).contains(&left), "{left} rows: it was to be killed in between");
    succeed(&flags(400, "killed", "killed"));
    let bytes = |name: &str| read(dir.path().join(format!("{name}.json")));
    assert_eq!(bytes("whole"), bytes("killed"));
    // More samples go on from fewer, whatever was measured of those.
    succeed(&flags(100, "grown", "grown").replace("fd,kid,nn,nll", "nn"));
    succeed(&flags(400, "grown", "grown"));
    assert_eq!(bytes("whole"), bytes("grown"));
    let result = json(dir.path().join("whole.json"));
    assert_eq!((&result["samples"]["nfe"], &result["samples"]["count"]), (&4.0.into(), &400.into()));
    for key in ["checkpoint", "weights", "ema_decay", "solver", "seed", "cfg_scale", "quantised"] {
        assert!(!result["samples"][key].is_null(), "{key}: {result}");
    }
    assert!(result["metrics"]["class_agreement"]["value"].as_f64().is_some(), "{result}");
    // The likelihood is the other command's.
    let said = succeed(&format!("likelihood --checkpoint {run} --num-images 40 --probes 1 --out {d}/bits.csv"));
    let bits: Vec<f64> =
        String::from_utf8(read(dir.path().join("bits.csv"))).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    let mean = bits.iter().sum::<f64>() / 40.0;
    let got = result["metrics"]["bits_per_dim"]["value"].as_f64().unwrap();
    assert!((got / mean - 1.0).abs() < 1e-9, "{got} and {mean}: {said}");
}

#[test]
fn sweeps_calibration_and_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path()));
    let from = format!("evaluate --checkpoint {run} --num-samples 100 --cache {d}/cache");
    let said = succeed(&format!(
        "{from} --metrics fd,pr --sweep nfe=1,2,4,6 --sweep-solvers euler,heun,rk4 --plot {d}/sweep.png --json {d}/sweep.json"
    ));
    let cases: Vec<(String, f64)> = json(dir.path().join("sweep.json"))
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["samples"]["solver"].as_str().unwrap().to_owned(), c["samples"]["nfe"].as_f64().unwrap()))
        .collect();
    let nfes: Vec<f64> = cases.iter().map(|(_, nfe)| *nfe).collect();
    assert_eq!(nfes, [1.0, 2.0, 4.0, 6.0, 2.0, 4.0, 6.0, 4.0], "{cases:?}");
    assert!(cases[4].0.starts_with("heun, 1 steps") && said.contains("FD-pixels"), "{said}");
    let picture = image::open(dir.path().join("sweep.png")).unwrap().to_rgb8();
    assert!(picture.pixels().any(|p| p.0 == [200, 60, 40]), "no line of the second solver");

    let from = from.replace("--num-samples 100", "--num-samples 800");
    // As far from its own statistics as numbers carry; noise moves away, and more noise further.
    let stats = format!("{d}/s.npz");
    let said =
        succeed(&format!("{from} --metrics fd --num-steps 2 --save-statistics {stats} --calibrate --json {d}/c.json"));
    let result = json(dir.path().join("c.json"));
    let noise =
        |level: &str| result["calibration"][format!("digits + {level}% noise")]["fd-pixels"]["value"].as_f64().unwrap();
    // One per cent of 16 levels is lost in rounding.
    assert!(noise("1") < noise("10") && noise("10") > 1.5 * noise("3"), "{said}");
    succeed(&format!("{from} --metrics fd --num-steps 2 --statistics {stats} --json {d}/own.json"));
    let own = json(dir.path().join("own.json"))["metrics"]["fd-pixels"]["value"].as_f64().unwrap();
    let far = result["metrics"]["fd-pixels"]["value"].as_f64().unwrap();
    assert!(own.abs() < 1e-5 * far, "{own} beside {far}");
    // Without more samples than features there is no Frechet distance, and the other metrics are
    // there.
    let said = succeed(&format!("evaluate --checkpoint {run} --num-samples 50 --num-steps 2 --cache {d}/cache"));
    assert!(
        said.contains("KID-pixels") && said.contains("class agreement") && said.contains("fd-pixels is left out"),
        "{said}"
    );
    // Images of another size are not compared.
    write_npy(dir.path().join("bare.npy"), &Array3::<u8>::zeros((90, 4, 4))).unwrap();
    let error = fail(&format!("{from} --metrics nn --num-steps 2 --data {d}/bare.npy"));
    assert!(error.contains("give images of that shape"), "{error}");
    // Mirrored real images are other images.
    succeed(&format!("{from} --metrics fd --num-steps 2 --reference-flips --json {d}/flips.json"));
    let flipped = json(dir.path().join("flips.json"));
    assert!(
        flipped["reference"]["count"] == 2 * 1797
            && flipped["reference"]["flips"] == true
            && flipped["metrics"]["fd-pixels"]["value"] != far,
        "{flipped}"
    );
}

/// Folders of images of many sizes: pixels cannot be compared, and are when they are resized.
#[test]
fn folders_against_folders() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    for (name, shift) in [("a", 0u8), ("b", 3)] {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for i in 0..60u32 {
            let side = if i < 30 { 6 } else { 9 };
            let pixel = |x, y| image::Rgb([0, 70, 150].map(|c| (c + 13 * i + 7 * x + 5 * x * y) as u8 / 2 + shift));
            RgbImage::from_fn(side, side, pixel).save(folder.join(format!("{i:02}.png"))).unwrap();
        }
    }
    let words =
        format!("evaluate --samples folder:{d}/a --data folder:{d}/b --metrics kid-pixels,pr-pixels --cache {d}/cache");
    let error = fail(&words);
    assert!(error.contains("these images are [3, 9, 9]") && error.contains("inception"), "{error}");
    let said = succeed(&format!("{words} --image-size 4"));
    assert!(said.contains("60 images of folder:") && said.contains("KID-pixels"), "{said}");
}
