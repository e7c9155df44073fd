//! Files that are damaged or meant to harm: a clear error, nothing executed, nothing allocated
//! beyond the file's size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_models::interchange::{self, About, recognise};
use fm_models::{ModelConfig, mlp::MlpConfig};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn said(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    match interchange::read(&path, None).and_then(|weights| recognise(&weights)) {
        Ok(_) => "read".into(),
        Err(error) => error.to_string(),
    }
}

fn zipped(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn pickled(program: &[u8]) -> String {
    said(&zipped(&[("a/data.pkl", program), ("a/data/0", &[0; 64])], CompressionMethod::Stored))
}

/// A pickle of `{"net.0.weight": tensor}` with the given shape, strides and offset, as text opcodes
/// around 4-byte integers.
fn tensor_pickle(shape: &[i32], strides: &[i32], offset: i32, times: usize) -> Vec<u8> {
    let int = |n: &i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    let tuple = |values: &[i32]| [b"(".to_vec(), values.iter().flat_map(int).collect(), b"t".to_vec()].concat();
    let text = |t: &str| [b"X".as_slice(), &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        int(&16),
        b"tQ".to_vec(),
    ]
    .concat();
    let tensor = [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        int(&offset),
        tuple(shape),
        tuple(strides),
        b"\x89NtR".to_vec(),
    ]
    .concat();
    let entry = [text("net.0.weight"), tensor].concat();
    [b"\x80\x02}(".to_vec(), entry.repeat(times), b"u.".to_vec()].concat()
}

fn valid() -> [Vec<u8>; 2] {
    let tensors = BTreeMap::from([
        ("net.0.weight".to_owned(), Tensor::ones([2, 2], (Kind::Float, Device::Cpu))),
        ("net.2.weight".to_owned(), Tensor::ones([1, 2], (Kind::Float, Device::Cpu))),
        ("net.0.bias".to_owned(), Tensor::ones([2], (Kind::Float, Device::Cpu))),
        ("net.2.bias".to_owned(), Tensor::ones([1], (Kind::Float, Device::Cpu))),
    ]);
    let config = MlpConfig { dim: 1, widths: vec![2], ..MlpConfig::default() };
    let about = About { model: Some(ModelConfig::Mlp(config)), ..About::default() };
    [interchange::torch(&tensors).unwrap(), interchange::safetensors(&tensors, &about).unwrap()]
}

#[test]
fn each_hostile_file_is_refused_in_words() {
    let [torch, safe] = valid();
    assert_eq!((said(&torch).as_str(), said(&safe).as_str()), ("read", "read"));
    assert!(said(b"").contains("it is empty"));
    assert!(said(&torch[..torch.len() / 2]).contains("its zip is damaged"));
    assert!(said(&safe[..safe.len() - 3]).contains("not valid safetensors"));
    assert!(said(b"\x80\x02}q\x00.legacy").contains("a Python pickle without tensors"));
    let error = interchange::read(Path::new("/"), None).unwrap_err().to_string();
    assert!(error.contains("it is a directory"), "{error}");
    let error = interchange::read(Path::new("/no/such/file.pt"), None).unwrap_err().to_string();
    assert!(error.contains("check the path"), "{error}");

    let marker = std::env::temp_dir().join(format!("executed-{}", std::process::id()));
    let harm = format!("\x00cposix\nsystem\n(X{}touch {}tR.", "\x00\x00\x00\x00", marker.display());
    let mut harm = harm.into_bytes();
    let length = (marker.display().to_string().len() + 6) as u32;
    let at = harm.iter().position(|b| *b == b'X').unwrap();
    harm[at + 1..at + 5].copy_from_slice(&length.to_le_bytes());
    let error = pickled(&[b"\x80\x02".as_slice(), &harm[1..]].concat());
    assert!(error.contains("calls posix.system") && error.contains("nothing was executed"), "{error}");
    assert!(!marker.exists());

    assert!(pickled(&tensor_pickle(&[4, 4], &[4, 1], 0, 1)).contains("the MLP takes 4 values for 4"));
    assert!(pickled(&tensor_pickle(&[1 << 30, 1 << 30], &[1, 1], 0, 1)).contains("values"), "more than the storage");
    assert!(pickled(&tensor_pickle(&[1 << 20, 1 << 10], &[0, 0], 0, 1)).contains("more than its file can hold"));
    assert!(pickled(&tensor_pickle(&[i32::MAX; 9], &[0; 9], 0, 1)).contains("more than its file can hold"));
    assert!(pickled(&tensor_pickle(&[4, -4], &[4, 1], 0, 1)).contains("absurd shape"));
    assert!(pickled(&tensor_pickle(&[2, 2], &[-2, 1], 8, 1)).contains("absurd shape"));
    assert!(pickled(&tensor_pickle(&[2, 2], &[2, 1], -1, 1)).contains("absurd shape"));
    assert!(pickled(&tensor_pickle(&[2], &[2, 1], 0, 1)).contains("of a kind that is not known"));
    assert!(pickled(&tensor_pickle(&[4, 4], &[4, 1], 0, 2)).contains("holds net.0.weight twice"));
    assert!(pickled(b"\x80\x02\xff").contains("unknown instruction 0xff at byte 2"));
    assert!(pickled(b"\x80\x02X\xff\xff\xff\x7fabc").contains("ends early"));
    assert!(pickled(b"\x80\x02t").contains("lacks a mark"));
    assert!(
        pickled(&[b"\x80\x02".as_slice(), &vec![b')'; 3_000_000], b"."].concat())
            .contains("more memory than weights of its size")
    );

    let pickle = tensor_pickle(&[4, 4], &[4, 1], 0, 1);
    let bomb = zipped(&[("a/data.pkl", &pickle), ("a/data/0", &vec![0; 1 << 20])], CompressionMethod::Deflated);
    assert!(said(&bomb).contains("is compressed"));
    assert!(said(&zipped(&[("a/b", b"c")], CompressionMethod::Stored)).contains("no data.pkl"));
    let mut values = [0u8; 64];
    values[..4].copy_from_slice(&1f32.to_be_bytes());
    let big = [("a/data.pkl", &pickle[..]), ("a/byteorder", b"big"), ("a/data/0", &values)];
    let big = zipped(&big, CompressionMethod::Stored);
    let weights = interchange::parse(&big, Path::new("big.pt"), None).unwrap();
    assert_eq!(weights.tensors["net.0.weight"].double_value(&[0, 0]), 1.0);
    // A changed value is found by the checksum of its storage.
    let mut damaged = big.clone();
    let at = damaged.windows(64).position(|w| w == values).unwrap();
    damaged[at] ^= 1;
    assert!(said(&damaged).contains("wrong checksum"));
    // Two entries of one name: the writer refuses to make them, so the second is renamed in the
    // bytes.
    let mut twice =
        zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 64]), ("a/data/1", &[1; 64])], CompressionMethod::Stored);
    for at in 0..twice.len() - 8 {
        if &twice[at..at + 8] == b"a/data/1" {
            twice[at + 7] = b'0';
        }
    }
    assert!(said(&twice).contains("names an entry twice"));
}

#[test]
fn hostile_safetensors_are_refused_too() {
    let file = |header: &str, bytes: usize| {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; bytes]].concat()
    };
    let entry = |name: &str, dtype: &str, shape: &str, end: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}"#)
    };
    let one =
        |dtype: &str, shape: &str, end: usize| file(&format!("{{{}}}", entry("net.0.weight", dtype, shape, end)), end);
    assert!(said(&one("F32", "[4,4]", 64)).contains("the MLP takes 4 values for 4"));
    assert!(said(&one("F32", "[4294967296,4294967296]", 64)).contains("not valid safetensors"));
    assert!(said(&one("F8_E4M3", "[8,8]", 64)).contains("which libtorch's weights never are"));
    assert!(said(&one("F99", "[8,8]", 64)).contains("not valid safetensors"));
    let twice =
        format!("{{{},{}}}", entry("net.0.weight", "F32", "[4,4]", 64), entry("net.0.weight", "F32", "[16]", 64));
    assert!(said(&file(&twice, 64)).contains("twice"), "{}", said(&file(&twice, 64)));
    assert!(said(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat()).contains("not valid safetensors"));
    // Descriptions that do not read, or that name a network far larger than the file, or none.
    let described = |about: &str| {
        let about = about.replace('"', "\\\"");
        said(&file(
            &format!(
                r#"{{"__metadata__":{{"flow_matching":"{about}"}},{}}}"#,
                entry("net.0.weight", "F32", "[4,4]", 64)
            ),
            64,
        ))
    };
    assert!(described("{").contains("not valid safetensors"));
    assert!(described(r#"{"model":{"kind":"gpt"}}"#).contains("its metadata cannot be read"));
    assert!(described(r#"{"model":{"kind":"unet","classes":9223372036854775807}}"#).contains("classes from 0"));
    assert!(described(r#"{"model":{"kind":"dit","patch":65536,"width":65536}}"#).contains("patches of at most 64"));
    assert!(
        described(r#"{"model":{"kind":"unet"}}"#).contains("a unet of these sizes has 35746307 values, they have 16")
    );
    // Shapes that name a network far larger than the file.
    let tall = r#"{"x_embedder.proj.weight":{"dtype":"F32","shape":[4096,1,1,1],"data_offsets":[0,16384]},
        "final_layer.linear.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[16384,16388]},
        "blocks.0.x":{"dtype":"F32","shape":[1],"data_offsets":[16388,16392]}}"#;
    let text = said(&file(tall, 16392));
    assert!(text.contains("a dit of these sizes has"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No byte that is changed, dropped or added makes reading panic.
    #[test]
    fn mutated_files_never_panic(
        which in 0..2usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid()[which].clone();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        said(&bytes);
    }

    /// Nor does any program in place of the pickle.
    #[test]
    fn random_pickles_never_panic(program in prop::collection::vec(
        prop_oneof![Just(b'('), Just(b'}'), Just(b']'), Just(b't'), Just(b'u'), Just(b'R'), Just(b'Q'), Just(b'b'), Just(b'h'), Just(b'q'),
                    Just(b'K'), Just(0x81u8), Just(0x86), Just(b'.'), any::<u8>()], 0..64)) {
        pickled(&program);
    }
}
