//! Checkpoints: their metadata, and their tensors.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_train::checkpoint::{Meta, Weights, read_meta, read_weights};
use fm_train::files::sha256;

const WORDS: &[&str] = &[
    "\"format\": 5",
    "\"format\": 6",
    "\"files\"",
    "\"meta.json\"",
    "\"../x\"",
    "\"bytes\"",
    "\"sha256\"",
    "\"config\"",
    "\"adaptive\"",
    "null",
    "[",
    "]",
    "{",
    "}",
    ",",
    "1e400",
    "\"decays\"",
    "\\u0000",
];

pub(super) const META: Target = Target {
    name: "checkpoint",
    seeds: || vec![text(&[]), text(b"weights")],
    words: WORDS,
    finish: Finish::Repair(finish::checked_json),
    read: |bytes| {
        scratch::file("checkpoint/meta.json", bytes);
        let meta = read_meta(&scratch::folder("checkpoint"));
        if let Ok(meta) = &meta {
            network(meta);
        }
        accepted(meta)
    },
};

/// Files whose size and hash the metadata have.
pub(super) const TENSORS: Target = Target {
    name: "checkpoint-tensors",
    seeds: || {
        seeds::texts(&[
            r#"{"net.0.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]},"net.0.bias":{"dtype":"F32","shape":[8],"data_offsets":[32,64]}}"#,
            r#"{"__metadata__":{"flow_matching":"{}"},"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}"#,
        ])
    },
    words: &["\"F32\"", "\"I64\"", "\"shape\"", "\"data_offsets\"", "[", "]", "{", "}", ",", "\"__metadata__\"", "0"],
    finish: Finish::Pack(finish::safetensors),
    read: |bytes| {
        scratch::file("tensors/ema.safetensors", bytes);
        scratch::file("tensors/meta.json", &finish::checked_json(&text(bytes)));
        accepted(read_weights(&scratch::folder("tensors"), Weights::Ema))
    },
};

/// What programs compare with the metadata before they build a network.
fn network(meta: &Meta) {
    let (shape, classes) = (meta.data.shape.clone(), meta.data.classes.len() as i64);
    let path = scratch::folder("checkpoint");
    let _ = accepted(meta.check_network(&path, &shape, classes, meta.parameters));
}

/// The metadata of a checkpoint with one file of weights.
fn text(weights: &[u8]) -> Vec<u8> {
    let (bytes, hash) = (weights.len(), sha256(weights));
    let text = format!(
        r#"{{
  "format": 6,
  "program": "fuzz 1",
  "step": 7,
  "parameters": 16,
  "path": "linear",
  "prediction": "velocity",
  "time_direction": "source at t = 0, data at t = 1",
  "data": {{ "shape": [2], "normalisation": "none", "levels": 0, "classes": ["a", "b"] }},
  "ema": {{ "decays": [0.5], "warmup": true }},
  "ema_updates": 7,
  "optimizer_updates": 7,
  "tally": {{ "sums": [0.0, 1.5], "gain": [0.0, 0] }},
  "adaptive": null,
  "threads": 1,
  "config": {{ "steps": 7, "widths": [3, 4], "names": {{ "x": null }} }},
  "files": {{
    "ema.safetensors": {{ "bytes": {bytes}, "sha256": "{hash}" }}
  }}
}}"#
    );
    text.into_bytes()
}
