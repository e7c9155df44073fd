//! Files of weights, of this project and of others.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_models::interchange::{self, About};
use fm_models::{ModelConfig, features, mlp::MlpConfig};
use std::path::Path;
use tch::{Device, Tensor};

const FOLDER: &str = "crates/fm-models/tests/reference/wrapped";

/// Instructions of pickles, and names that they import.
const PICKLE: &[&str] = &[
    "ctorch._utils\n_rebuild_tensor_v2\n",
    "ctorch\nFloatStorage\n",
    "ccollections\nOrderedDict\n",
    "cbuiltins\neval\n",
    "cos\nsystem\n",
    "(",
    ")",
    "}",
    "]",
    "t",
    "u",
    "s",
    "e",
    "l",
    "d",
    "0",
    "1",
    "2",
    "R",
    "b",
    "Q",
    "N",
    ".",
    "q\0",
    "h\0",
    "K\u{1}",
    "J\0\0\0\u{7f}",
    "M\0\u{1}",
    "X\u{1}\0\0\0a",
    "\u{7f}",
    "net.0.weight",
    "I1\n",
    "F1.5\n",
    "V\n",
    "ema_model",
    "state_dict",
    "byteorder",
    "data.pkl",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"F32\"",
    "\"F16\"",
    "\"I64\"",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\"flow_matching\"",
    "\"net.0.weight\"",
    "\"kind\"",
    "\"mlp\"",
    "\"unet\"",
    "\"dit\"",
    "null",
    "true",
    "\\u0000",
    "1e400",
];

pub(super) const ZIP: Target = Target {
    name: "pt",
    seeds: || small(".pt", |bytes| bytes.starts_with(b"PK")),
    words: PICKLE,
    finish: Finish::Repair(finish::zip),
    read,
};

pub(super) const LEGACY: Target = Target {
    name: "pt-legacy",
    seeds: || [small(".pt", |bytes| !bytes.starts_with(b"PK")), seeds::files(FOLDER, &[".pkl"])].concat(),
    words: PICKLE,
    finish: Finish::Nothing,
    read,
};

pub(super) const SAFETENSORS: Target =
    Target { name: "safetensors", seeds: || vec![file()], words: JSON, finish: Finish::Nothing, read };

/// Headers, to which length and values are added.
pub(super) const HEADER: Target = Target {
    name: "safetensors-header",
    seeds: || vec![header(&file())],
    words: JSON,
    finish: Finish::Pack(with_values),
    read,
};

/// Descriptions that files of this project have, as a JSON text in the header.
pub(super) const DESCRIPTION: Target = Target {
    name: "description",
    seeds: || vec![serde_json::to_vec(&about()).unwrap_or_default()],
    words: JSON,
    finish: Finish::Pack(described),
    read,
};

pub(super) const SHARDS: Target = Target {
    name: "shards",
    seeds: || {
        seeds::texts(&[
            r#"{"metadata":{"total_size":9},"weight_map":{"net.0.weight":"a.safetensors","net.0.bias":"b.safetensors"}}"#,
            r#"{"weight_map":{"x":"a.safetensors"}}"#,
        ])
    },
    words: &[
        "\"weight_map\"",
        "a.safetensors",
        "b.safetensors",
        "../",
        "/dev/zero",
        "/",
        "\\u0000",
        "{",
        "}",
        ",",
        ":",
        "\"",
    ],
    finish: Finish::Nothing,
    read: shards,
};

pub(super) const INCEPTION: Target = Target {
    name: "inception",
    seeds: || vec![file()],
    words: JSON,
    finish: Finish::Nothing,
    read: |bytes| {
        let path = scratch::file("weights/inception.safetensors", bytes);
        accepted(features::inception::Inception::open(&path, Device::Cpu))
    },
};

/// Files of the tests of fm-models that are small.
fn small(end: &str, keep: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut files = seeds::files(FOLDER, &[end]);
    files.retain(|file| file.len() < 6000 && keep(file));
    files
}

fn about() -> About {
    let config = MlpConfig { dim: 2, widths: vec![3], ..MlpConfig::default() };
    let data = serde_json::json!({"shape": [2], "classes": []});
    About { program: "fuzz".into(), model: Some(ModelConfig::Mlp(config)), data, ..About::default() }
}

#[allow(clippy::expect_used, reason = "nothing fails in memory")]
fn file() -> Vec<u8> {
    let tensor = |shape: &[i64]| Tensor::ones(shape, (tch::Kind::Float, Device::Cpu));
    let tensors = [
        ("net.0.weight", tensor(&[3, 3])),
        ("net.0.bias", tensor(&[3])),
        ("net.2.weight", tensor(&[2, 3])),
        ("net.2.bias", tensor(&[2])),
    ];
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    interchange::safetensors(&tensors, &about()).expect("tensors on the host")
}

fn header(file: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap_or(&[0; 8])) as usize;
    file.get(8..8 + length).unwrap_or_default().to_vec()
}

/// A header before the values of [`file`].
fn with_values(header: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, &1f32.to_le_bytes().repeat(9 + 3 + 6 + 2)].concat()
}

fn described(text: &[u8]) -> Vec<u8> {
    let mut header: serde_json::Value = serde_json::from_slice(&header(&file())).unwrap_or_default();
    header["__metadata__"]["flow_matching"] = String::from_utf8_lossy(text).into();
    with_values(header.to_string().as_bytes())
}

fn read(bytes: &[u8]) -> bool {
    let weights = interchange::parse(bytes, Path::new("w.pt"), None);
    accepted(weights.and_then(|weights| {
        let found = interchange::recognise(&weights)?;
        interchange::check_size(&weights, &found.config)
    }))
}

fn shards(bytes: &[u8]) -> bool {
    for name in ["a", "b"] {
        scratch::file(
            &format!("weights/{name}.safetensors"),
            &finish::safetensors(
                format!(r#"{{"net.0.{name}":{{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}}}"#).as_bytes(),
            ),
        );
    }
    let index = scratch::file("weights/model.safetensors.index.json", bytes);
    // Reading tensors is enough: they are of no network.
    match interchange::read(&index, None) {
        Err(error @ interchange::InterchangeError::Unknown { .. }) => !accepted::<(), _>(Err(error)),
        other => accepted(other),
    }
}
