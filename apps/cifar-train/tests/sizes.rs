//! `sample --size` and `--trajectory`, through the real program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, succeed};
use ndarray::{Array4, Array5, ArrayD, Axis, s};
use ndarray_npy::{read_npy, write_npy};
use std::fs;
use std::path::Path;

const UNET: &str = "channels = 64\nchannel_mult = [0.5, 1]\nres_blocks = 1\nattention_at = [2]\ndropout = 0.0\n\
                    middle_attention = false\nout_kernel = 1\n";
const DIT: &str =
    "kind = \"dit\"\nwidth = 32\ndepth = 2\nheads = 2\npatch = 2\naffine_norm = true\nexact_gelu = true\n";

/// A few steps on the digits.
fn train(d: &Path, name: &str, model: &str) -> String {
    let config = d.join(format!("{name}.toml"));
    fs::write(&config, format!("preset = \"quickstart\"\n[model]\n{model}")).unwrap();
    let run = d.join(name).display().to_string();
    let small = "--steps 20 --batch-size 8 --lr 3e-3 --warmup-steps 0 --sample-every 0 --num-workers 0";
    succeed(&format!("train --config {} {small} --out {run}", config.display()));
    run
}

fn values(d: &Path, name: &str) -> Array4<f32> {
    read_npy(d.join(name)).unwrap()
}

#[test]
fn a_network_of_squares_draws_rectangles() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    for (name, model) in [("unet", UNET), ("dit", DIT)] {
        let run = train(d, name, model);
        let sample = |flags: &str| {
            succeed(&format!("sample --checkpoint {run} --num-steps 4 --out {}/s.png {flags}", d.display()))
        };
        sample(&format!("--num-samples 3 --size 8x12 --npy {0}/wide.npy --gif {0}/wide.gif", d.display()));
        let wide = values(d, "wide.npy");
        assert_eq!(wide.dim(), (3, 1, 8, 12));
        let picture = image::open(d.join("s.png")).unwrap();
        assert!(picture.width() > picture.height(), "{name}: {} x {}", picture.width(), picture.height());
        // The size of the training is what it draws without the flag.
        sample(&format!("--num-samples 3 --npy {}/plain.npy", d.display()));
        sample(&format!("--num-samples 3 --size 8 --npy {}/same.npy", d.display()));
        assert_eq!(values(d, "plain.npy"), values(d, "same.npy"), "{name}");
        sample("--class-grid --samples-per-class 2 --size 12x8");
        // The first samples do not depend on their number.
        sample(&format!("--num-samples 5 --batch-size 2 --size 8x12 --npy {}/more.npy", d.display()));
        let more = values(d, "more.npy");
        let off = (&more.slice(s![..3, .., .., ..]) - &wide).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
        assert!(off < 1e-4, "{name}: {off}");
        // A file of weights has the same network.
        succeed(&format!("convert {run} {}/{name}.safetensors", d.display()));
        succeed(&format!(
            "sample --checkpoint {0}/{name}.safetensors --num-samples 3 --num-steps 4 --size 8x12 --out {0}/s.png --npy {0}/file.npy",
            d.display()
        ));
        assert_eq!(values(d, "file.npy"), wide, "{name}");
        let wrong = |size: &str| fail(&format!("sample --checkpoint {run} --size {size} --out {}/x.png", d.display()));
        assert!(wrong("8x13").contains("not divisible by 2; give a height and a width that are"), "{}", wrong("8x13"));
        let large = wrong("60000x60000");
        assert!(large.contains("GiB are free") || large.contains("at most 2^31 values"), "{large}");
    }
}

/// Arrays and built-in sets are resized when a flag or their name asks for it, and never otherwise.
#[test]
fn images_of_every_kind_are_resized() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    let stripes = Array4::from_shape_fn((40, 1, 6, 10), |(i, _, y, x)| ((i + 7 * y + 20 * x) % 256) as u8);
    write_npy(dir.path().join("x.npy"), &stripes).unwrap();
    for (name, flag, shape) in [
        ("digits", "", "1 x 8 x 8"),
        ("digits", "--image-size 16", "1 x 16 x 16"),
        ("digits@12", "", "1 x 12 x 12"),
        ("digits@12", "--image-size 16", "1 x 16 x 16"),
        (&format!("{d}/x.npy"), "--image-size 4", "1 x 4 x 4"),
        (&format!("{d}/x.npy@5"), "", "1 x 5 x 5"),
    ] {
        let said = succeed(&format!("data {name} {flag}"));
        assert!(said.contains(&format!("images of {shape},")), "{name} {flag}: {said}");
    }
    // The run, its samples and its evaluation are of that size; the image_size of a file is for
    // folders.
    let config = dir.path().join("unet.toml");
    fs::write(&config, format!("preset = \"quickstart\"\nimage_size = 4\n[model]\n{UNET}")).unwrap();
    let flags = "--steps 2 --batch-size 4 --warmup-steps 0 --sample-every 0 --image-size 16";
    succeed(&format!("train --config {} {flags} --out {d}/run", config.display()));
    assert!(fs::read_to_string(dir.path().join("run/config.toml")).unwrap().contains("data = \"digits@16\""));
    succeed(&format!("sample --checkpoint {d}/run --num-samples 2 --num-steps 2 --out {d}/s.png --npy {d}/s.npy"));
    assert_eq!(values(dir.path(), "s.npy").dim(), (2, 1, 16, 16));
    let said = succeed(&format!(
        "evaluate --checkpoint {d}/run --num-samples 8 --metrics kid --num-steps 2 --cache {d}/cache"
    ));
    assert!(said.contains("8 samples"), "{said}");
    let refused = fail("data digits@0");
    assert!(refused.contains("a side has 1 to 4096 pixels; give another size"), "{refused}");
}

#[test]
fn a_trajectory_has_the_states_at_equal_times() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let run = train(d, "dit", DIT);
    let at = |name: &str| d.join(name).display().to_string();
    for flags in ["--num-steps 99", "--solver dopri5 --rtol 1e-4 --atol 1e-4", "--solver midpoint --num-steps 7"] {
        let (npy, states, png) = (at("x.npy"), at("states.npy"), at("x.png"));
        succeed(&format!(
            "sample --checkpoint {run} --num-samples 5 --batch-size 2 --size 8x12 {flags} --npy {npy} --trajectory {states} --out {png}"
        ));
        let states: Array5<f32> = read_npy(states).unwrap();
        assert_eq!(states.dim(), (100, 5, 1, 8, 12), "{flags}");
        let drawn = values(d, "x.npy");
        assert_eq!(states.index_axis(Axis(0), 99), drawn, "{flags}");
        // At t = 0 they are the source: standard normal values, the same for every solver.
        let noise = states.index_axis(Axis(0), 0);
        let spread = noise.mapv(|v| v * v).mean().unwrap();
        assert!((spread - 1.0).abs() < 5.0 * (2.0f32 / 480.0).sqrt(), "{spread}");
        // Without a trajectory the samples are the same.
        succeed(&format!(
            "sample --checkpoint {run} --num-samples 5 --batch-size 2 --size 8x12 {flags} --npy {npy} --out {png}"
        ));
        let off = (&values(d, "x.npy") - &drawn).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
        assert!(off < 1e-5, "{flags}: {off}");
    }
    // Euler with 99 steps is at every time after a step: x + h v, with v of the program itself.
    let sample = |flags: &str| {
        format!("sample --checkpoint {run} --num-samples 2 --cfg-scale 1 --class-label 3 {flags} --out {}", at("x.png"))
    };
    succeed(&sample(&format!("--solver euler --num-steps 99 --trajectory {}", at("states.npy"))));
    let states: Array5<f32> = read_npy(d.join("states.npy")).unwrap();
    ndarray_npy::write_npy(d.join("now.npy"), &states.index_axis(Axis(0), 50).to_owned()).unwrap();
    succeed(&format!(
        "velocity {} --checkpoint {run} --at {} --classes 3,3 --out {}",
        at("now.npy"),
        50.0 / 99.0,
        at("v.npy")
    ));
    let v: ArrayD<f32> = read_npy(d.join("v.npy")).unwrap();
    let next = &states.index_axis(Axis(0), 50) + &(v / 99.0);
    let off = (&next - &states.index_axis(Axis(0), 51)).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
    assert!(off < 1e-5, "{off}");
    succeed(&sample(&format!("--trajectory-times 3 --trajectory {} --gif {}", at("few.npy"), at("x.gif"))));
    assert_eq!(read_npy::<_, Array5<f32>>(d.join("few.npy")).unwrap().dim(), (3, 2, 1, 8, 8));
    for (flags, says) in [
        ("--sde sigma", "drop --sde"),
        ("--trajectory-times 1", "choose 2 to 10000"),
        ("--trajectory-times 10000 --num-samples 100000000", "GiB are free"),
    ] {
        let error =
            fail(&format!("sample --checkpoint {run} --trajectory {} {flags} --out {}", at("no.npy"), at("no.png")));
        assert!(error.contains(says), "{flags}: {error}");
    }
    assert!(!d.join("no.npy").exists());
}
