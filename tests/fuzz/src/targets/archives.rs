//! The archives that libtorch is fetched in: wheels with hashes, and zip archives without.

use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zip::CompressionMethod;

#[path = "../../../../xtask/src/libtorch/archive.rs"]
mod archive;

const WORDS: &[&str] = &[
    "torch/lib/",
    "../",
    "/",
    "RECORD",
    ".dist-info/RECORD",
    ",sha256=",
    ",7\n",
    "\"",
    "PK\u{3}\u{4}",
    "PK\u{1}\u{2}",
];
const LIBRARY: &str = "torch/lib/libtorch_cpu.so";

pub(super) const WHEEL: Target = Target {
    name: "wheel",
    seeds: || vec![made(CompressionMethod::Stored), made(CompressionMethod::Deflated)],
    words: WORDS,
    finish: Finish::Repair(finish::zip),
    read: |bytes| read("torch.whl", bytes),
};

pub(super) const LIBTORCH: Target = Target {
    name: "libtorch",
    seeds: || vec![made(CompressionMethod::Stored), made(CompressionMethod::Deflated)],
    words: WORDS,
    finish: Finish::Repair(finish::zip),
    read: |bytes| read("libtorch.zip", bytes),
};

fn made(method: CompressionMethod) -> Vec<u8> {
    let record = format!("{LIBRARY},sha256={},7\n", URL_SAFE_NO_PAD.encode(Sha256::digest(b"library")));
    let other: (&str, &[u8]) = ("torch/nn/modules.py", b"unwanted");
    seeds::zip(&[(LIBRARY, b"library"), other, ("torch-2.11.0.dist-info/RECORD", record.as_bytes())], method)
}

#[allow(clippy::expect_used, reason = "a test that cannot go on should stop")]
fn read(name: &str, bytes: &[u8]) -> bool {
    let file = scratch::file(name, bytes);
    // The next input starts without files.
    let into = tempfile::tempdir_in(file.parent().unwrap_or(&file)).expect("a temporary folder");
    archive::unpack(&file, into.path(), |name| name.starts_with("torch/lib")).is_ok()
}
