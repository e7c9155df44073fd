//! What commands write, and what they accept that they wrote: formats by their endings, classes by
//! their names, samples that are evaluated, folders of weights, and requests that do not fit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, program, read, run, succeed, tiny_config};
use ndarray::Array4;
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A run of two steps on digits.
fn trained(dir: &Path, flags: &str) -> String {
    let run = dir.join("run").display().to_string();
    succeed(&format!("train --config {} --steps 2 --save-every 0 {flags} --out {run}", tiny_config(dir)));
    run
}

/// Both outputs of a command that succeeds.
fn said(words: &str) -> String {
    let output = run(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}\n{text}");
    text
}

#[test]
fn a_file_has_the_format_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    let sample = format!("sample --checkpoint {run} --num-steps 1 --num-samples 4");
    for (name, format) in [
        ("a.png", image::ImageFormat::Png),
        ("a.jpg", image::ImageFormat::Jpeg),
        ("a.JPEG", image::ImageFormat::Jpeg),
        ("a.bmp", image::ImageFormat::Bmp),
        ("a.webp", image::ImageFormat::WebP),
        ("a.tiff", image::ImageFormat::Tiff),
        ("a.gif", image::ImageFormat::Gif),
    ] {
        succeed(&format!("{sample} --out {d}/{name}"));
        assert_eq!(image::guess_format(&read(dir.path().join(name))).unwrap(), format, "{name}");
    }
    succeed(&format!("data digits --picture {d}/m.jpg"));
    assert_eq!(image::guess_format(&read(dir.path().join("m.jpg"))).unwrap(), image::ImageFormat::Jpeg);
    // The run is not opened before: its path does not matter.
    let nothing = "sample --checkpoint no-such-run";
    for (flags, ending) in [
        ("--out x.pdf", ".png, .jpg, .bmp, .webp, .tiff or .gif"),
        ("--out x.npy", ".png, .jpg"),
        ("--out x", ".png, .jpg"),
        ("--out x.png --gif b.png", "end it in .gif"),
        ("--out x.png --npy a.csv", "end it in .npy"),
        ("--out x.png --trajectory a.npz", "end it in .npy"),
    ] {
        let error = fail(&format!("{nothing} {flags}"));
        assert!(error.contains("names no format of") && error.contains(ending), "{error}");
    }
    // A pipe has no name to go by.
    let output = program().args(format!("{sample} --out /dev/stdout").split_whitespace()).output().unwrap();
    assert!(output.stdout.starts_with(b"\x89PNG"), "{:?}", &output.stdout[..8.min(output.stdout.len())]);
}

#[test]
fn classes_have_names_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    for (k, class) in ["cat", "dog"].iter().enumerate() {
        fs::create_dir_all(d.join("pets").join(class)).unwrap();
        let image = image::RgbImage::from_pixel(8, 8, image::Rgb([90 * k as u8; 3]));
        image.save(d.join(format!("pets/{class}/1.png"))).unwrap();
    }
    let run = trained(d, &format!("--data folder:{}/pets --conditional true --batch-size 2", d.display()));
    let sample = |class: &str| {
        format!(
            "sample --checkpoint {run} --num-steps 1 --num-samples 2 --out {}/s.png --class-label {class}",
            d.display()
        )
    };
    for class in ["dog", "1"] {
        let text = succeed(&sample(class));
        assert!(text.contains("class 1 (dog)"), "{text}");
    }
    for class in ["bird", "2", "-1"] {
        let error = fail(&sample(class).replace("--class-label ", "--class-label="));
        assert!(error.contains("give a name or a number from 0 to 1 (cat, dog)"), "{error}");
    }
    write_npy(d.join("x.npy"), &Array4::<f32>::zeros((2, 3, 8, 8))).unwrap();
    let velocity = |classes: &str, out: &str| {
        let at = d.display();
        format!("velocity {at}/x.npy --checkpoint {run} --at 0.5 --classes {classes} --out {at}/{out}.npy")
    };
    for (classes, out) in [("dog,cat", "names"), ("1,0", "numbers"), ("2,2", "null")] {
        succeed(&velocity(classes, out));
    }
    let bytes = |name: &str| read(d.join(format!("{name}.npy")));
    assert!(bytes("names") == bytes("numbers") && bytes("names") != bytes("null"));
    assert!(fail(&velocity("3,0", "v")).contains("from 0 to 2"));
}

#[test]
fn velocities_are_finite_and_of_known_classes() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), "--conditional false"));
    let velocity = format!("velocity {d}/x.npy --checkpoint {run} --at 0.5 --out {d}/v.npy");
    write_npy(dir.path().join("x.npy"), &Array4::from_elem((2, 1, 8, 8), 1e30f32)).unwrap();
    let error = fail(&velocity);
    assert!(error.contains("largest input is 1e30") && !dir.path().join("v.npy").exists(), "{error}");
    write_npy(dir.path().join("x.npy"), &Array4::from_elem((2, 1, 8, 8), 1f32)).unwrap();
    assert!(fail(&format!("{velocity} --classes 1,2")).contains("this network has no classes; drop --classes"));
    succeed(&velocity);
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn samples_of_a_run_are_evaluated_from_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    succeed(&format!("sample --checkpoint {run} --num-steps 4 --num-samples 100 --out {d}/s.png --npy {d}/s.npy"));
    let values: Array4<f32> = read_npy(dir.path().join("s.npy")).unwrap();
    assert!(values.iter().filter(|v| v.abs() > 1.25).count() > values.len() / 100, "the range tells itself");
    let measured = |from: &str, out: &str| {
        let flags = format!("--metrics fd,kid,pr,energy,nn --cache {d}/cache --json {d}/{out}.json");
        let text = said(&format!("evaluate {from} {flags}"));
        (json(&dir.path().join(format!("{out}.json")))["metrics"].clone(), text)
    };
    let value = |found: &Value, key: &str| found[key]["value"].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    let (plain, text) = measured(&format!("--samples {d}/s.npy --data digits"), "plain");
    assert!(text.contains("read as samples of a network, with -1..1 as black..white"), "{text}");
    let (ranged, _) = measured(&format!("--samples {d}/s.npy:range=-1..1 --data digits"), "ranged");
    let (direct, _) = measured(&format!("--checkpoint {run} --num-steps 4 --num-samples 100"), "direct");
    for key in ["fd-pixels", "kid-pixels", "energy-pixels"] {
        let [plain, ranged, direct] = [&plain, &ranged, &direct].map(|found| value(found, key));
        assert_eq!(plain, ranged, "{key}");
        // Bytes against 17 levels.
        assert!((plain / direct - 1.0).abs() < 0.02, "{key} is {plain} of the file and {direct} of the model");
    }
    assert_eq!(value(&plain, "copies"), value(&direct, "copies"));
    // The kernel (x y / d + 1)^3 of pixels in [0, 1] is at most 8.
    assert!(value(&plain, "kid-pixels").abs() < 8.0, "{plain}");
    // The same images in other levels are at no distance.
    let set = fm_data::digits::load();
    let bytes = set.pixels.iter().map(|p| (f64::from(*p) * 255.0 / 16.0).round() as u8).collect();
    write_npy(dir.path().join("digits.npy"), &Array4::from_shape_vec((set.len(), 1, 8, 8), bytes).unwrap()).unwrap();
    let (same, _) = measured(&format!("--samples {d}/digits.npy --data digits"), "same");
    assert!(value(&same, "fd-pixels") < 1e-3 && value(&same, "copies") > 0.99, "{same}");
}

#[test]
fn metrics_that_cannot_be_computed_are_left_out_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    let from = format!("evaluate --checkpoint {run} --num-steps 1 --cache {d}/cache --json {d}/e.json");
    let text = succeed(&format!("{from} --num-samples 1"));
    let found = json(&dir.path().join("e.json"))["metrics"].clone();
    for key in ["fd-pixels", "kid-pixels", "pr-pixels"] {
        assert!(text.contains(&format!("{key} is left out: cannot")), "{text}");
        assert!(
            found[key]["value"].is_null() && found[key]["reason"].as_str().unwrap().contains("give more"),
            "{found}"
        );
    }
    assert!(found["copies"]["value"].is_number(), "{found}");
    succeed(&format!("{from} --num-samples 3 --metrics pr,kid"));
    let found = json(&dir.path().join("e.json"))["metrics"].clone();
    assert!(found["kid-pixels"]["value"].is_number() && found["pr-pixels"]["value"].is_null(), "{found}");
    succeed(&format!("{from} --num-samples 40 --metrics fd,kid"));
    let found = json(&dir.path().join("e.json"))["metrics"].clone();
    assert!(found["kid-pixels"]["value"].is_number() && found["fd-pixels"]["value"].is_null(), "{found}");
    let error = fail(&format!("{from} --num-samples 40 --metrics fd"));
    assert!(error.contains("no metric can be computed; fd-pixels: cannot estimate a covariance"), "{error}");
    let images = format!("evaluate --samples digits --cache {d}/cache");
    succeed(&format!("{images} --data digits --metrics fd --save-statistics {d}/st.npz"));
    let text = succeed(&format!("{images} --statistics {d}/st.npz --metrics fd,kid"));
    assert!(text.contains("FD-pixels") && text.contains("kid is left out: there are no images"), "{text}");
}

/// Two shards and their index.
fn shards(net: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let bytes = fs::read(net).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    let mut map = HashMap::new();
    for half in 0..2 {
        let name = format!("model-{:05}-of-00002.safetensors", half + 1);
        let some: HashMap<_, _> = tensors.iter().skip(half).step_by(2).map(|(n, view)| (n.clone(), view)).collect();
        map.extend(some.keys().map(|tensor| (tensor.clone(), name.clone())));
        let about = header.metadata().clone();
        fs::write(folder.join(&name), safetensors::serialize(some, about).unwrap()).unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn a_folder_of_weights_is_a_model_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    succeed(&format!("convert {run} {d}/net.safetensors"));
    shards(&dir.path().join("net.safetensors"), &dir.path().join("shards"));
    succeed(&format!("sample --checkpoint {run} --num-samples 2 --num-steps 1 --out {d}/x.png --npy {d}/x.npy"));
    for words in [
        format!("inspect {d}/shards"),
        format!("sample --checkpoint {d}/shards --num-samples 2 --num-steps 1 --out {d}/y.png --npy {d}/y.npy"),
        format!("velocity {d}/x.npy --checkpoint {d}/shards --at 0.5 --out {d}/v.npy"),
        format!("convert {d}/shards {d}/again.safetensors"),
        format!("evaluate --checkpoint {d}/shards --num-samples 8 --num-steps 1 --metrics kid --cache {d}/cache"),
        format!("train --config {d}/tiny.toml --steps 1 --init {d}/shards --dry-run --out {d}/new"),
    ] {
        succeed(&words);
    }
    assert_eq!(read(dir.path().join("x.npy")), read(dir.path().join("y.npy")));
    // Checkpoints go first: a finished run has weights beside them.
    assert!(succeed(&format!("inspect {run}")).contains("checkpoints/step-2"));
    let missing = fail(&format!("inspect {d}/nowhere"));
    assert!(missing.contains("nowhere: No such file or directory"), "{missing}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(fail(&format!("inspect {d}/empty")).contains("no checkpoint found"));
}

#[test]
fn weights_of_others_are_sampled_as_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    succeed(&format!("convert {run} {d}/net.pt"));
    let size = "--set image_size=[8,8]";
    let sample = |from: &str| format!("sample --checkpoint {from} --num-samples 2 --num-steps 1 --out {d}/s.png");
    let text = said(&format!("{} {size}", sample(&format!("{d}/net.pt"))));
    assert!(text.contains("assumed   guidance = 1") && !text.contains("guidance 3"), "{text}");
    assert!(text.contains("--time-direction data-to-noise"), "{text}");
    let text = said(&format!("{} {size} --cfg-scale 2", sample(&format!("{d}/net.pt"))));
    assert!(!text.contains("assumed   guidance") && text.contains("guidance 2"), "{text}");
    // The configuration of a run has a scale.
    succeed(&format!("convert {run} {d}/net.safetensors"));
    let text = said(&sample(&format!("{d}/net.safetensors")));
    assert!(!text.contains("assumed   guidance") && text.contains("guidance 1.5"), "{text}");
    let convert = |flags: &str| said(&format!("convert {d}/net.pt {d}/back.safetensors {flags}"));
    assert!(convert("").contains("assumed   time_direction"));
    assert!(!convert("--time-direction noise-to-data").contains("assumed   time_direction"));
}

/// A file with two sets of weights.
fn two_sets(net: &Path, path: &Path) {
    let bytes = fs::read(net).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    let named = |set: &'static str| tensors.iter().map(move |(name, view)| (format!("{set}.{name}"), view));
    let all: HashMap<_, _> = named("student").chain(named("other")).collect();
    fs::write(path, safetensors::serialize(all, None).unwrap()).unwrap();
}

/// The weights of a trainer, with numbers beside them and the averages of its optimizer.
fn of_a_trainer(net: &Path, path: &Path) {
    let bytes = fs::read(net).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    let value = 0.18f32.to_le_bytes();
    let number = |shape| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &value).unwrap();
    let named = tensors.iter().map(|(name, view)| (format!("state_dict.model.{name}"), view.clone()));
    let beside = ["state_dict.model.scale_factor", "best_loss"].map(|name| (name.to_owned(), number(Vec::new())));
    let averages =
        tensors.iter().enumerate().map(|(i, (_, view))| (format!("optimizer_states.0.ema.{i}"), view.clone()));
    let all: HashMap<_, _> = named.chain(beside).chain(averages).collect();
    fs::write(path, safetensors::serialize(all, None).unwrap()).unwrap();
}

#[test]
fn weights_of_a_trainer_are_taken_and_its_averages_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    succeed(&format!("convert {run} {d}/net.safetensors"));
    of_a_trainer(&dir.path().join("net.safetensors"), &dir.path().join("trainer.safetensors"));
    for words in [
        format!("inspect {d}/trainer.safetensors"),
        format!("convert {d}/trainer.safetensors {d}/again.pt --set image_size=[8,8]"),
        format!("train --config {d}/tiny.toml --steps 1 --init {d}/trainer.safetensors --dry-run --out {d}/new"),
    ] {
        let text = said(&words);
        assert!(text.contains("took state_dict.model, not averages; the EMA optimizer_states.0.ema"), "{text}");
    }
}

#[test]
fn a_part_of_a_file_can_be_chosen_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    succeed(&format!("convert {run} {d}/net.safetensors"));
    two_sets(&dir.path().join("net.safetensors"), &dir.path().join("two.safetensors"));
    assert!(fail(&format!("inspect {d}/two.safetensors")).contains("choose one with --part"));
    assert!(succeed(&format!("inspect {d}/two.safetensors --part student")).contains("part             student"));
    // The network is stated before the weights are opened; a dry run opens them too.
    let train = |init: &str| format!("train --config {d}/tiny.toml --steps 1 --init {init} --dry-run --out {d}/new");
    let error = fail(&train(&format!("{d}/two.safetensors")));
    assert!(error.contains("two.safetensors NEW.safetensors --part"), "{error}");
    succeed(&format!("convert {d}/two.safetensors {d}/one.safetensors --part student --set image_size=[8,8]"));
    succeed(&train(&format!("{d}/one.safetensors")));
}

/// Makes every weight of a file 1e30.
fn huge(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start..].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&1e30f32.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_run_that_has_nothing_to_draw_or_no_place_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = format!("train --config {} --steps 2", tiny_config(dir.path()));
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    for (out, kind) in [("/dev/null".into(), "it is a device"), (format!("{d}/notes.txt"), "it is a file")] {
        let error = fail(&format!("{train} --out {out}"));
        assert!(error.contains(kind) && error.contains("not a directory; give another path"), "{error}");
    }
    // Of such weights no loss is finite; the run ends with its files, and without a curve.
    succeed(&format!("{train} --out {d}/run"));
    succeed(&format!("convert {d}/run {d}/net.safetensors"));
    huge(&dir.path().join("net.safetensors"));
    let text = said(&format!("{train} --log-every 1 --init {d}/net.safetensors --out {d}/broken"));
    assert!(text.contains("model.safetensors, config.json, metrics.jsonl"), "{text}");
    assert!(!dir.path().join("broken/loss.png").exists(), "{text}");
}

#[test]
fn requests_that_do_not_fit_are_refused_before() {
    let dir = tempfile::tempdir().unwrap();
    let (d, run) = (dir.path().display(), trained(dir.path(), ""));
    for (words, flag) in [
        (
            format!("sample --checkpoint {run} --class-grid --samples-per-class 1000000000 --out {d}/g.png"),
            "--samples-per-class",
        ),
        (format!("sample --checkpoint {run} --num-samples 100000000 --out {d}/g.png"), "number of samples"),
        (
            format!("train --config {d}/tiny.toml --quality-every 5 --quality-samples 1000000000000 --out {d}/q"),
            "--quality-samples",
        ),
    ] {
        let error = fail(&words);
        assert!(error.contains(&format!("give a smaller {flag}")), "{error}");
    }
}
