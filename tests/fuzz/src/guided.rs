//! The program that libFuzzer drives: `FUZZ_TARGET` names the target.

#![no_main]
#![allow(missing_docs, reason = "the entry points of libFuzzer")]

use fuzz::judge::judge;
use fuzz::{Finish, TARGETS, Target};
use std::sync::LazyLock;

#[allow(clippy::expect_used, reason = "cargo xtask fuzz sets the variable")]
static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).expect("FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let packed = match TARGET.finish {
        Finish::Pack(pack) => &pack(bytes),
        _ => bytes,
    };
    let judged = judge(*TARGET, packed);
    assert!(judged.problem.is_none(), "{}: {}", TARGET.name, judged.problem.unwrap_or_default());
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    let size = libfuzzer_sys::fuzzer_mutate(data, size, most);
    match TARGET.finish {
        // Checksums are right in half of the inputs.
        Finish::Repair(repair) if seed.is_multiple_of(2) => {
            let repaired = repair(&data[..size]);
            let size = repaired.len().min(most);
            data[..size].copy_from_slice(&repaired[..size]);
            size
        }
        _ => size,
    }
});
