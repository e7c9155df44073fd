//! Files that training programs write: old formats, wrappers, averages, shards, and files of
//! others. `reference/wrapped/make.py` makes most of them with PyTorch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, values};
use fm_models::interchange::{self, About, Concerns, InterchangeError, Weights, recognise};
use fm_models::{ModelConfig, dit::DitConfig, mlp::MlpConfig, unet::UNetConfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

fn wrapped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/wrapped").join(name)
}

/// Names and values of the network that every file holds, plus a constant.
fn expect(weights: &Weights, plus: f64) {
    let found: Vec<(&str, Vec<f64>)> = weights.tensors.iter().map(|(name, t)| (name.as_str(), values(t))).collect();
    let want = [
        ("net.0.bias", vec![5.0, 6.0]),
        ("net.0.weight", vec![1.0, 2.0, 3.0, 4.0]),
        ("net.2.bias", vec![9.0]),
        ("net.2.weight", vec![7.0, 8.0]),
    ]
    .map(|(name, values)| (name, values.iter().map(|v| v + plus).collect::<Vec<_>>()));
    assert_eq!(found, want);
    let config = recognise(weights).unwrap().config;
    let (store, _) = build(&config);
    interchange::load(&store, config.kind(), &weights.tensors).unwrap();
    assert_eq!(values(&store.variables()["net.2.bias"]), [9.0 + plus]);
}

fn read(name: &str, part: Option<&str>) -> Weights {
    interchange::read(&wrapped(name), part).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn refused(path: &Path, part: Option<&str>) -> String {
    let text = match interchange::read(path, part).and_then(|weights| recognise(&weights)) {
        Ok(_) => panic!("{} is read", path.display()),
        Err(error) => error.to_string(),
    };
    assert!(text.chars().count() <= 300 && !text.contains('\n'), "{text}");
    text
}

#[test]
fn files_before_pytorch_1_6_are_read() {
    for (name, part) in [
        ("old.pt", ""),
        ("old-protocol4.pt", ""),
        ("old-protocol1.pt", ""),
        ("old-views.pt", ""),
        ("old-half.pt", "model"),
        ("old-module.pt", ""),
    ] {
        let weights = read(name, None);
        assert_eq!(weights.part, part, "{name}");
        expect(&weights, 0.0);
    }
    assert!(read("old-module.pt", None).modules.iter().any(|class| class.ends_with(".SELU")));
    assert_eq!(read("old-half.pt", None).tensors["net.0.weight"].kind(), Kind::Half);
    expect(&read("views.pt", None), 0.0);
    expect(&read("protocol1.pt", None), 0.0);

    let old = std::fs::read(wrapped("old.pt")).unwrap();
    for length in [20, 100, old.len() - 60, old.len() - 1] {
        let error = interchange::parse(&old[..length], Path::new("x.pt"), None).unwrap_err().to_string();
        assert!(error.contains("cut short") || error.contains("ends early"), "{length}: {error}");
    }
}

#[test]
fn an_old_file_of_a_big_endian_machine_is_read_in_its_order() {
    let old = std::fs::read(wrapped("old.pt")).unwrap();
    let mut big = old.clone();
    let key = big.windows(13).position(|w| w == b"little_endian").unwrap();
    let flag = (key..).find(|i| big[*i] == 0x88).unwrap();
    big[flag] = 0x89;
    // PyTorch itself writes little-endian values everywhere.
    expect(&interchange::parse(&big, Path::new("x.pt"), None).unwrap(), 0.0);
    // The four storages at the end: a count in eight bytes, and values of four.
    let mut at = big.len() - (4 * 8 + 9 * 4);
    while at < big.len() {
        let count = u64::from_le_bytes(big[at..at + 8].try_into().unwrap()) as usize;
        big[at..at + 8].reverse();
        big[at + 8..at + 8 + 4 * count].chunks_exact_mut(4).for_each(<[u8]>::reverse);
        at += 8 + 4 * count;
    }
    expect(&interchange::parse(&big, Path::new("x.pt"), None).unwrap(), 0.0);
}

#[test]
fn wrappers_fall_away_and_averages_come_first() {
    for (name, part, plus) in [
        ("averaged-model.pt", "ema", 100.0),
        ("averaged-by-counter.pt", "other", 100.0),
        ("lightning.pt", "state_dict", 0.0),
        ("lightning-ema.pt", "state_dict.ema", 100.0),
        ("fsdp.pt", "", 0.0),
        ("compiled.pt", "", 0.0),
        ("shadow-diffusers.pt", "ema.shadow_params", 100.0),
        ("shadow-torch-ema.pt", "ema.shadow_params", 100.0),
        ("lit-ema.pt", "state_dict.model_ema", 100.0),
        ("same.pt", "a", 0.0),
    ] {
        let weights = read(name, None);
        let found = weights.part.as_str();
        assert!(found == part || name == "lightning.pt" && found == "state_dict.net", "{name}: {found}");
        expect(&weights, plus);
    }
    for (name, part, plus) in [
        ("averaged-model.pt", "model", 0.0),
        ("averaged-model.pt", "ema", 100.0),
        ("lightning-ema.pt", "state_dict.model", 0.0),
        ("lightning-ema.pt", "state_dict", 100.0),
        ("lightning-ema.pt", "state_dict.ema.module", 100.0),
        ("shadow-torch-ema.pt", "model", 0.0),
        ("shadow-torch-ema.pt", "ema", 100.0),
        ("shadow-short.pt", "model", 0.0),
        ("two.pt", "student", 100.0),
    ] {
        expect(&read(name, Some(part)), plus);
    }
}

#[test]
fn a_choice_that_is_not_clear_is_left_to_the_caller() {
    for (name, parts) in [("two.pt", "teacher, student"), ("two-averages.pt", "ema_fast, ema_slow")] {
        let error = interchange::read(&wrapped(name), None).unwrap_err();
        assert!(matches!(error, InterchangeError::Part { .. }));
        let mut parts: Vec<&str> = parts.split(", ").collect();
        parts.sort_unstable();
        let text = error.to_string();
        assert!(text.contains(&format!("choose one with --part: {}", parts.join(", "))), "{text}");
    }
    let text = refused(&wrapped("shadow-short.pt"), None);
    assert!(text.contains("its averages ema.shadow_params fit no network") && text.contains("--part: model"), "{text}");
    let text = refused(&wrapped("two.pt"), Some("ema"));
    assert!(text.contains("no part 'ema'; it has student, teacher"), "{text}");
}

#[test]
fn objects_beside_the_weights_do_not_matter_and_objects_inside_do() {
    for name in ["objects.pt", "old-objects.pt", "sparse-beside.pt"] {
        let weights = read(name, None);
        assert_eq!(weights.part, "model");
        expect(&weights, 0.0);
    }
    for (name, class) in [("object-inside.pt", "functools.partial"), ("sparse-inside.pt", "tensor.to_dense()")] {
        let text = refused(&wrapped(name), None);
        assert!(text.contains("net.2.weight cannot be read") && text.contains(class), "{text}");
    }
    expect(&read("tagged.pt", None), 0.0);
}

#[test]
fn precisions_are_converted_and_values_that_are_not_finite_are_named() {
    let weights = read("mixed.pt", None);
    assert_eq!(weights.tensors["net.2.weight"].kind(), Kind::Double);
    expect(&weights, 0.0);
    let dir = tempfile::tempdir().unwrap();
    for (value, name) in [(f32::NAN, "net.0.bias"), (f32::INFINITY, "net.2.weight"), (f32::NEG_INFINITY, "net.2.bias")]
    {
        let mut tensors = read("old.pt", None).tensors;
        let _ = tensors.get_mut(name).unwrap().fill_(f64::from(value));
        for (end, bytes) in [
            ("pt", interchange::torch(&tensors).unwrap()),
            ("safetensors", interchange::safetensors(&tensors, &About::default()).unwrap()),
        ] {
            let path = dir.path().join(format!("w.{end}"));
            std::fs::write(&path, bytes).unwrap();
            let text = refused(&path, None);
            assert!(text.contains(&format!("{name} has values that are NaN or infinite")), "{text}");
        }
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    for (name, what) in
        [("numpy.pkl", "pickle of NumPy"), ("dumped.pkl", "pickle.dump"), ("arrays.npz", "NumPy archive")]
    {
        let text = refused(&wrapped(name), None);
        assert!(text.contains(what) && text.contains("torch.save"), "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    for (bytes, what) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"[..], "git lfs pull"),
        (b"<html>", "web page"),
        (b"GGUF\0\0\0\0\0\0\0\0", "GGUF"),
        (b"", "empty"),
        (b"\x80\x02}q\x00.", "pickle without tensors"),
    ] {
        let path = dir.path().join("m.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let text = refused(&path, None);
        assert!(text.contains(what), "{text}");
    }
}

/// Two shards of the network, and their index.
fn shards(dir: &Path, base: &str) {
    let tensors = read("old.pt", None).tensors;
    let mut map = serde_json::Map::new();
    for (i, layer) in ["net.0.", "net.2."].into_iter().enumerate() {
        let name = format!("{base}-{:05}-of-00002.safetensors", i + 1);
        let part: BTreeMap<String, Tensor> =
            tensors.iter().filter(|(k, _)| k.starts_with(layer)).map(|(k, t)| (k.clone(), t.shallow_clone())).collect();
        map.extend(part.keys().map(|key| (key.clone(), name.clone().into())));
        std::fs::write(dir.join(name), interchange::safetensors(&part, &About::default()).unwrap()).unwrap();
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(dir.join(format!("{base}.safetensors.index.json")), index).unwrap();
}

#[test]
fn shards_are_read_by_index_by_folder_and_by_shard() {
    let dir = tempfile::tempdir().unwrap();
    let base = "diffusion_pytorch_model";
    shards(dir.path(), base);
    let path = |name: &str| dir.path().join(name);
    let second = format!("{base}-00002-of-00002.safetensors");
    for name in [format!("{base}.safetensors.index.json"), String::new(), second.clone()] {
        expect(&interchange::read(&path(&name), None).unwrap(), 0.0);
    }
    std::fs::remove_file(path(&format!("{base}.safetensors.index.json"))).unwrap();
    expect(&interchange::read(dir.path(), None).unwrap(), 0.0);
    std::fs::remove_file(path(&second)).unwrap();
    for name in [String::new(), format!("{base}-00001-of-00002.safetensors")] {
        let text = refused(&path(&name), None);
        assert!(text.contains(&format!("{second} are missing")), "{text}");
    }
    for (map, problem) in [
        (r#"{"weight_map": {"a": "../secret.safetensors"}}"#, "not a file beside it"),
        (r#"{"weight_map": {"a": "/etc/passwd"}}"#, "not a file beside it"),
        (r#"{"weight_map": {"a": ".."}}"#, "not a file beside it"),
        (r#"{"weight_map": {}}"#, "has 0 shards"),
        (r#"{"weight_map": 3}"#, "damaged"),
    ] {
        std::fs::write(path("m.index.json"), map).unwrap();
        let text = refused(&path("m.index.json"), None);
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn folders_of_other_libraries_are_read_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let tensors = BTreeMap::from([(name.to_owned(), Tensor::ones([1], (Kind::Float, Device::Cpu)))]);
        interchange::safetensors(&tensors, &About::default()).unwrap()
    };
    std::fs::write(dir.path().join("config.json"), r#"{"_class_name": "UNet2DModel"}"#).unwrap();
    let weights = bytes("down_blocks.0.resnets.0.conv1.weight");
    std::fs::write(dir.path().join("diffusion_pytorch_model.safetensors"), weights).unwrap();
    let text = refused(dir.path(), None);
    assert!(text.contains("config.json names a UNet2DModel") && text.contains("U-Net or autoencoder of diffusers"));
    std::fs::copy(wrapped("old.pt"), dir.path().join("pytorch_model.bin")).unwrap();
    std::fs::remove_file(dir.path().join("diffusion_pytorch_model.safetensors")).unwrap();
    expect(&interchange::read(dir.path(), None).unwrap(), 0.0);

    let pipeline = tempfile::tempdir().unwrap();
    std::fs::write(pipeline.path().join("model_index.json"), "{}").unwrap();
    std::fs::create_dir(pipeline.path().join("transformer")).unwrap();
    assert!(refused(pipeline.path(), None).contains("name the folder transformer in it"));
    let loose = tempfile::tempdir().unwrap();
    std::fs::write(loose.path().join("a.pt"), "").unwrap();
    std::fs::write(loose.path().join("b.ckpt"), "").unwrap();
    assert!(refused(loose.path(), None).contains("name a file in it: a.pt, b.ckpt"));
}

#[test]
fn what_a_file_leaves_open_is_listed() {
    let dit = |channels: i64, learn_sigma: bool, classes: i64| {
        let small = DitConfig { image_size: [4, 4], width: 32, depth: 1, heads: 2, ..DitConfig::default() };
        ModelConfig::Dit(DitConfig { image_channels: channels, learn_sigma, classes, null_class: classes > 0, ..small })
    };
    let unet = ModelConfig::Unet(UNetConfig {
        channels: 32,
        channel_mult: vec![1.0],
        res_blocks: 1,
        attention_at: vec![],
        head_channels: 32,
        learn_sigma: true,
        ..UNetConfig::default()
    });
    let mlp = ModelConfig::Mlp(MlpConfig { dim: 1, widths: vec![2], ..MlpConfig::default() });
    let objective = ["prediction", "path", "time_direction"];
    for (config, more) in [
        (dit(4, true, 10), vec!["time.scale", "heads", "null_class", "guidance", "learned_sigma", "latents"]),
        (dit(3, false, 0), vec!["time.scale", "heads", "pixels"]),
        (unet, vec!["time.scale", "head_channels", "learned_sigma", "pixels", "new_attention_order"]),
        (mlp, vec!["activation"]),
    ] {
        let (store, _) = build(&config);
        let bytes = interchange::torch(&interchange::named(&store)).unwrap();
        let weights = interchange::parse(&bytes, Path::new("w.pt"), None).unwrap();
        let found = recognise(&weights).unwrap();
        let names: Vec<&str> = found.assumed.iter().map(|a| a.name).collect();
        for name in objective.iter().chain(&more) {
            assert!(names.contains(name), "{} lacks {name}: {names:?}", config.kind());
        }
        for absent in ["latents", "learned_sigma", "guidance"] {
            assert_eq!(names.contains(&absent), more.contains(&absent), "{absent}");
        }
        assert!(found.assumed.iter().all(|a| !a.value.is_empty() && a.why.len() > 20));
        // What the network leaves open can be set in its configuration.
        let table = serde_json::to_value(&found.config).unwrap();
        for assumption in found.assumed.iter().filter(|a| a.concerns == Concerns::Network) {
            let pointer = format!("/{}", assumption.name.replace('.', "/"));
            assert!(table.pointer(&pointer).is_some(), "{}", assumption.name);
        }
        // A file of this library that names all of it leaves nothing open but guidance and sigma.
        let about = About {
            model: Some(config.clone()),
            path: "linear".into(),
            prediction: "velocity".into(),
            time_direction: "source at 0".into(),
            data: serde_json::json!({"shape": config.data_shape()}),
            ..About::default()
        };
        let bytes = interchange::safetensors(&interchange::named(&store), &about).unwrap();
        let weights = interchange::parse(&bytes, Path::new("w.safetensors"), None).unwrap();
        let left: Vec<&str> = recognise(&weights).unwrap().assumed.iter().map(|a| a.name).collect();
        assert!(left.iter().all(|name| ["guidance", "learned_sigma"].contains(name)), "{left:?}");
    }
}

#[test]
fn a_description_is_held_against_the_tensors() {
    let config = ModelConfig::Mlp(MlpConfig { dim: 2, widths: vec![8], ..MlpConfig::default() });
    let (store, _) = build(&config);
    let tensors = interchange::named(&store);
    let recognised = |about: About| {
        let bytes = interchange::safetensors(&tensors, &about).unwrap();
        let weights = interchange::parse(&bytes, Path::new("w.safetensors"), None).unwrap();
        recognise(&weights).map(|found| found.config).map_err(|e| e.to_string())
    };
    let described = |data: serde_json::Value, config_of_run: serde_json::Value| About {
        model: Some(config.clone()),
        data,
        config: config_of_run,
        ..About::default()
    };
    let null = serde_json::Value::Null;
    assert_eq!(recognised(described(null.clone(), null.clone())).unwrap(), config);
    let columns = serde_json::json!({"columns": {"mean": [0, 0], "deviation": [1, 1], "names": []}});
    assert_eq!(recognised(described(serde_json::json!({"shape": [2]}), columns)).unwrap(), config);
    for (data, run, problem) in [
        (serde_json::json!({"shape": [3]}), null.clone(), "data.shape is [3]"),
        (serde_json::json!({"shape": [3, 32, 32]}), null.clone(), "data.shape is [3, 32, 32]"),
        (serde_json::json!({"shape": "wide"}), null.clone(), "data.shape is no shape"),
        (null.clone(), serde_json::json!({"columns": {"mean": [0], "deviation": [1, 1]}}), "columns.mean has 1"),
        (null.clone(), serde_json::json!({"columns": {"mean": [0, 1]}}), "columns.deviation has 0"),
        (
            null.clone(),
            serde_json::json!({"columns": {"mean": [0, 1], "deviation": [1, 1], "names": ["a", "b", "c"]}}),
            "columns.names has 3",
        ),
    ] {
        let error = recognised(described(data, run)).unwrap_err();
        assert!(error.contains(problem) && error.chars().count() <= 300, "{error}");
    }
    let other = |model: ModelConfig| recognised(About { model: Some(model), ..About::default() }).unwrap_err();
    let narrow = MlpConfig { dim: 2, widths: vec![7], ..MlpConfig::default() };
    assert!(other(ModelConfig::Mlp(narrow)).contains("it names a mlp with"));
    let huge = MlpConfig { dim: 2, widths: vec![60_000; 8], ..MlpConfig::default() };
    assert!(other(ModelConfig::Mlp(huge)).contains("a mlp of these sizes has"));
    // A network of few weights and a huge table of positions.
    let dit = DitConfig { image_size: [65_536; 2], patch: 1, width: 4, depth: 1, heads: 1, ..DitConfig::default() };
    let (store, _) = build(&ModelConfig::Dit(DitConfig { image_size: [4, 4], ..dit.clone() }));
    let about = About { model: Some(ModelConfig::Dit(dit)), ..About::default() };
    let bytes = interchange::safetensors(&interchange::named(&store), &about).unwrap();
    let weights = interchange::parse(&bytes, Path::new("w.safetensors"), None).unwrap();
    let error = recognise(&weights).unwrap_err().to_string();
    assert!(error.contains("larger than any network here can take"), "{error}");
    let about = About { config: serde_json::json!({"run": {"source": "/dev/zero"}}), ..About::default() };
    assert_eq!(about.source(), Some("/dev/zero"));
}
