//! A teacher's pairs: their description, and a shard.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_train::files::sha256;
use fm_train::pairs::{PairSet, TeacherPairs};

const SHARD_FILE: &str = "shard-00000.safetensors";

pub(super) const INDEX: Target = Target {
    name: "pairs",
    seeds: || vec![text(2, shard().as_slice())],
    words: &[
        "\"count\"",
        "\"shard_size\"",
        "\"shape\"",
        "\"classes\"",
        "\"conditional\"",
        "true",
        "[",
        "]",
        "{",
        "}",
        ",",
        "1e400",
        "null",
        "shard-00001.safetensors",
        "\"nfe\"",
        "\"bytes\"",
    ],
    finish: Finish::Nothing,
    read: |bytes| {
        scratch::file(&format!("pairs/{SHARD_FILE}"), &shard());
        scratch::file("pairs/pairs.json", bytes);
        open()
    },
};

/// Shards whose size and hash the description has.
pub(super) const SHARD: Target = Target {
    name: "pairs-shard",
    seeds: || seeds::texts(&[HEADER]),
    words: &[
        "\"F32\"",
        "\"I64\"",
        "\"shape\"",
        "\"data_offsets\"",
        "\"x0\"",
        "\"x1\"",
        "\"classes\"",
        "[",
        "]",
        "{",
        "}",
        ",",
    ],
    finish: Finish::Pack(finish::safetensors),
    read: |bytes| {
        scratch::file(&format!("pairs/{SHARD_FILE}"), bytes);
        scratch::file("pairs/pairs.json", &text(2, bytes));
        open()
    },
};

const HEADER: &str = concat!(
    r#"{"x0":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"x1":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]},"#,
    r#""classes":{"dtype":"I64","shape":[2],"data_offsets":[48,64]}}"#
);

fn shard() -> Vec<u8> {
    finish::safetensors(HEADER.as_bytes())
}

fn open() -> bool {
    let pairs = PairSet::open(&scratch::folder("pairs"));
    if let Ok(set) = &pairs {
        let mut drawn = TeacherPairs::default();
        let _ = accepted(set.read(0, &mut drawn));
        let _ = accepted(set.read(set.len() - 1, &mut drawn));
        assert!(set.read(set.len(), &mut drawn).is_err());
    }
    accepted(pairs)
}

fn text(count: usize, shard: &[u8]) -> Vec<u8> {
    let (bytes, hash) = (shard.len(), sha256(shard));
    let text = format!(
        r#"{{
  "format": 1,
  "program": "fuzz", "teacher": "t", "teacher_sha256": "00", "count": {count}, "shard_size": 2, "seed": 3, "solver": "euler",
  "cfg_scale": 1.0, "conditional": true,
  "data": {{ "shape": [3], "normalisation": "none", "levels": 0, "classes": ["a"] }},
  "config": {{ "steps": [1, 2] }},
  "shards": [ {{ "name": "{SHARD_FILE}", "bytes": {bytes}, "sha256": "{hash}", "nfe": 1.5 }} ]
}}"#
    );
    text.into_bytes()
}
