//! Checkpoints whose metadata names what is not a file of theirs, and those of earlier versions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{info, pipe, refused, save, state};
use fm_train::checkpoint::{self, Meta, Weights, read_meta, read_weights, restore, verify};
use fm_train::files::sha256;
use fm_train::run_dir::latest_checkpoint;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Writes metadata with its checksum, as `save` does.
fn publish(path: &Path, meta: &Meta) {
    let text = serde_json::to_string_pretty(meta).unwrap();
    let text = text.replacen("{\n", &format!("{{\n  \"sha256\": \"{}\",\n", sha256(text.as_bytes())), 1);
    fs::write(path.join("meta.json"), text).unwrap();
}

#[test]
fn the_list_of_files_names_only_files_of_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "x").unwrap();
    for name in ["/dev/zero", "../secret", "sub/secret", "", ".", "..", "meta.json", "a\0b"] {
        let path = save(&dir.path().join("checkpoints"), 1);
        let mut meta = read_meta(&path).unwrap();
        publish(&path, &meta);
        verify(&path).unwrap();
        let file = meta.files["model.safetensors"].clone();
        meta.files.insert(name.into(), file);
        publish(&path, &meta);
        refused(read_meta(&path), "not a file of a checkpoint");
        refused(verify(&path), "not a usable checkpoint");
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn files_that_are_not_plain_or_of_another_size_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    type Make = fn(&Path, &Path);
    let makes: [(&str, Make); 6] = [
        ("a symbolic link", |file, outside| symlink(outside, file).unwrap()),
        ("a symbolic link", |file, _| symlink("/dev/zero", file).unwrap()),
        ("a pipe", |file, _| pipe(file)),
        ("a directory", |file, _| fs::create_dir(file).unwrap()),
        ("bytes instead of", |file, _| fs::File::create(file).unwrap().set_len(1 << 38).unwrap()),
        ("bytes instead of", |file, _| fs::write(file, "").unwrap()),
    ];
    for name in ["model.safetensors", "ema.safetensors", "meta.json"] {
        for (words, make) in makes {
            let path = save(&dir.path().join("checkpoints"), 1);
            fs::rename(path.join(name), &outside).unwrap();
            make(&path.join(name), &outside);
            let words = if name == "meta.json" && words.starts_with("bytes") { "meta.json" } else { words };
            refused(verify(&path), words);
            refused(latest_checkpoint(&dir.path().join("checkpoints")), words);
            let which = if name == "ema.safetensors" { Weights::Ema } else { Weights::Raw };
            refused(read_weights(&path, which), words);
            refused(restore(&path, &mut state(0)), words);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn any_change_of_the_metadata_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(dir.path(), 12);
    let text = fs::read(path.join("meta.json")).unwrap();
    let start = text.windows(5).position(|w| w == b"\"form").unwrap();
    for place in (start..text.len()).step_by(7) {
        let mut changed = text.clone();
        changed[place] ^= 1;
        fs::write(path.join("meta.json"), &changed).unwrap();
        refused(read_meta(&path), "meta.json");
    }
    fs::write(path.join("meta.json"), &text).unwrap();
    assert_eq!(verify(&path).unwrap().step, 12);
}

#[test]
fn checkpoints_of_format_5_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = checkpoint::save(dir.path(), &state(3), &info()).unwrap();
    let meta = Meta { format: 5, ..read_meta(&path).unwrap() };
    fs::write(path.join("meta.json"), serde_json::to_string_pretty(&meta).unwrap()).unwrap();
    let mut restored = state(0);
    assert_eq!(restore(&path, &mut restored).unwrap(), meta);
    assert_eq!(restored.step, 3);
    // Version 6 without its checksum is damaged.
    let meta = Meta { format: 6, ..meta };
    fs::write(path.join("meta.json"), serde_json::to_string_pretty(&meta).unwrap()).unwrap();
    refused(verify(&path), "own checksum");
}
