//! CIFAR-10: its records, and the archives that it is fetched in.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch};
use fm_data::cifar10::{self, Split};

#[path = "../../../../crates/fm-fetch/src/cifar10/archive.rs"]
mod archive;

pub(super) const RECORDS: Target = Target {
    name: "cifar10-records",
    seeds: || vec![record(3), [record(9), record(0)].concat()],
    words: &[],
    finish: Finish::Nothing,
    read: records,
};

pub(super) const ARCHIVE: Target = Target {
    name: "cifar10-archive",
    seeds: || vec![tar(&[("data_batch_1.bin", &record(3)), ("readme.html", b"x")])],
    words: WORDS,
    finish: Finish::Pack(finish::tar_gz),
    read: fetched,
};

pub(super) const PACKAGE: Target = Target {
    name: "cifar10-package",
    seeds: || {
        let picture = picture();
        let labels = format!("[{}1]", "1,".repeat(40));
        vec![tar(&[
            ("data_batch_1.png", &picture),
            ("train_lables.json", labels.as_bytes()),
            ("test_lables.json", labels.as_bytes()),
        ])]
    },
    words: WORDS,
    finish: Finish::Pack(finish::tar_gz),
    read: fetched,
};

const WORDS: &[&str] =
    &["ustar", "../", ".bin", ".png", "lables.json", "00000003001\0", "77777777777", "L", "x", "IHDR"];

fn record(label: u8) -> Vec<u8> {
    std::iter::once(label).chain((0..3072).map(|i| (i % 251) as u8)).collect()
}

#[allow(clippy::expect_used, reason = "nothing fails in memory")]
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), *bytes).expect("a vector");
    }
    tar.into_inner().expect("a vector")
}

/// A picture with the size of a batch's, and without its pixels.
fn picture() -> Vec<u8> {
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, 1024, 10_000);
    encoder.set_color(png::ColorType::Rgb);
    // The writer would complain about the missing pixels at its end.
    let writer = encoder.write_header();
    std::mem::forget(writer);
    picture
}

fn records(bytes: &[u8]) -> bool {
    scratch::file("cifar10/test_batch.bin", bytes);
    accepted(cifar10::load(&scratch::folder("cifar10"), Split::Test))
}

fn fetched(bytes: &[u8]) -> bool {
    let result = archive::read(&scratch::file("cifar10/archive.tar.gz", bytes));
    result.is_ok()
}
