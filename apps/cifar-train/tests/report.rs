//! A run as one page, and its data from NumPy's files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed, tiny_config};
use ndarray::{Array1, Array3};
use ndarray_npy::write_npy;
use std::fs;

#[test]
fn a_page_holds_curves_samples_and_configuration_and_needs_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (run, plots) = (dir.path().join("run"), dir.path().join("plots"));
    let flags = "--log-every 1 --sample-every 6";
    succeed(&format!("train --config {} {flags} --out {}", tiny_config(dir.path()), run.display()));
    succeed(&format!("report {} --plots {}", run.display(), plots.display()));
    let page = String::from_utf8(read(run.join("report.html"))).unwrap();
    let shown = [
        "Loss by time, before weighting",
        "Gradient norm",
        "Cost of coupled pairs",
        "step 6",
        "step 12",
        "channel_mult = [1]",
    ];
    assert!(shown.iter().all(|text| page.contains(text)), "{}", page.len());
    assert_eq!((page.matches("<svg").count(), page.matches("data:image/png;base64,").count()), (8, 2));
    assert!(!page.contains("href=") && !page.contains("src=\"http") && !page.contains("<script"));
    for name in ["loss", "loss-by-time", "coupling-gain", "memory"] {
        let png = image::open(plots.join(format!("{name}.png"))).unwrap();
        assert_eq!((png.width(), png.height()), (900, 480));
        assert!(png.to_rgb8().pixels().filter(|p| p.0 != [255; 3]).count() > 1000, "{name} is empty");
        let svg = String::from_utf8(read(plots.join(format!("{name}.svg")))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{name}");
    }
    assert!(fs::read_dir(run.join("tensorboard")).unwrap().count() == 1);
    fs::remove_file(run.join("report.html")).unwrap();
    assert!(fail(&format!("report {}", dir.path().display())).contains("give the --out directory of a run"));
}

#[test]
fn images_come_from_numpy_too_and_may_lie_on_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let digits = fm_data::digits::load();
    let images = Array3::from_shape_vec((1797, 8, 8), digits.pixels.iter().map(|p| 15 * *p).collect()).unwrap();
    write_npy(at("x.npy"), &images).unwrap();
    write_npy(at("y.npy"), &Array1::from_iter(digits.labels.iter().map(|l| i64::from(*l)))).unwrap();
    let train = |data: &str, out: &str| {
        let words = format!(
            "train --config {} --data {data} --image-size 8 --steps 4 --out {}",
            tiny_config(dir.path()),
            at(out)
        );
        succeed(&words)
    };
    let said = train(&format!("{},{}", at("x.npy"), at("y.npy")), "npy");
    assert!(said.contains("1797 images [1, 8, 8], 10 classes"), "{said}");
    let said = train(&at("x.npy"), "unlabelled");
    assert!(said.contains("unconditional"), "{said}");
    let missing =
        fail(&format!("train --config {} --data {} --out {}", tiny_config(dir.path()), at("z.npy"), at("no")));
    assert!(missing.contains("cannot read") && missing.contains("z.npy: No such file"), "{missing}");

    // Wherever the images lie while a run trains, it ends in the same bytes.
    for flags in ["", "--coupling independent --horizontal-flip true"] {
        let of = |keep: &str| {
            let out = at(&format!("{keep}-{}", flags.len()));
            succeed(&format!("train --config {} --data-on-device {keep} {flags} --out {out}", tiny_config(dir.path())));
            let file = |name: &str| read(std::path::Path::new(&out).join(name));
            (file("checkpoints/step-12/model.safetensors"), file("metrics.jsonl"))
        };
        assert!(of("always") == of("never"), "{flags}");
    }
}
