//! Large inputs, made to cost memory: texts whose parsed values are far larger than they are.

#![allow(missing_docs, reason = "tests")]

use fuzz::TARGETS;
use fuzz::judge::judge;

/// Judges an input of a target; one that this build lacks passes.
fn within(name: &str, bytes: &[u8]) {
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else { return };
    let judged = judge(target, bytes);
    assert!(judged.problem.is_none(), "{name}, {} bytes: {}", bytes.len(), judged.problem.unwrap_or_default());
}

/// A start, and a piece as often as it takes to fill this number of bytes.
fn filled(start: &str, piece: &str, bytes: usize) -> Vec<u8> {
    (start.to_owned() + &piece.repeat(bytes / piece.len())).into_bytes()
}

#[test]
fn json_of_many_values() {
    for (start, piece) in
        [("{\"config\":[", "0,"), ("{\"config\":{", "\"\":{},"), ("{\"config\":", "["), ("{\"files\":{", "\"a\":{},")]
    {
        for bytes in [1 << 19, 8 << 20, 40 << 20] {
            within("checkpoint", &filled(start, piece, bytes));
            within("pairs", &filled(start, piece, bytes));
        }
    }
    let distinct: String = (0..100_000).map(|k| format!("\"{k}\":0,")).collect();
    within("checkpoint", format!("{{\"config\":{{{distinct}").as_bytes());
    within("shards", &filled("{\"weight_map\":{", "\"a\":\"b\",", 16 << 20));
    let distinct: String = (0..800_000).map(|k| format!("\"{k}\":\"\",")).collect();
    within("shards", format!("{{\"weight_map\":{{{distinct}\"x\":\"y\"}}}}").as_bytes());
}

#[test]
fn logs_of_long_and_of_many_lines() {
    within("log", &filled("{\"step\":1,\"x\":[", "0,", 16 << 20));
    within("log", &filled("{\"step\":1,\"loss_by_time\":[", "null,", 4 << 20));
    let lines: String =
        (0..200_000).map(|k| format!("{{\"step\":{k},\"loss\":0,\"grad_norm\":1,\"lr\":1}}\n")).collect();
    within("log", lines.as_bytes());
    within("log", &filled("", "\n", 16 << 20));
}

#[test]
fn configurations_of_many_values() {
    for piece in ["a = [[[[", "[a.b.c.d.e]\n", "0,", "[[a]]\n", "{a={a="] {
        for bytes in [200 << 10, 10 << 20] {
            for target in ["config-images", "config-tables", "config-encoders"] {
                within(target, &filled("widths = [", piece, bytes));
                within(target, &filled("", piece, bytes));
            }
        }
    }
}

#[test]
fn headers_of_many_tensors() {
    let header = |text: Vec<u8>| [&(text.len() as u64).to_le_bytes()[..], &text].concat();
    let tensors = |count: usize| -> Vec<u8> {
        let one = |k| format!("\"{k}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}},");
        let all: String = (0..count).map(one).collect();
        format!("{{{}}}", all.trim_end_matches(',')).into_bytes()
    };
    for text in [
        filled("{\"a\":{\"dtype\":\"F32\",\"shape\":[", "1,", 3 << 20),
        filled("{\"a\":{\"dtype\":\"F32\",\"shape\":[", "1,", 40 << 20),
        tensors(60_000),
        tensors(400_000),
    ] {
        for target in ["checkpoint-tensors", "pairs-shard", "safetensors"] {
            within(target, &header(text.clone()));
        }
    }
}

/// Records of the end of a zip archive at each place where a library looks for one, each with a
/// directory to look for in all that precedes it.
#[test]
fn archives_of_many_ends() {
    let end = |entries: u16, directory: u32| {
        let [entries, directory] = [entries.to_le_bytes().to_vec(), directory.to_le_bytes().to_vec()];
        [b"PK\x05\x06\0\0\0\0", &entries[..], &entries, &[46, 0, 0, 0], &directory, &[0, 0]].concat()
    };
    for (entries, directory) in [(1, 0), (1, 1 << 20), (2000, 0), (u16::MAX, 4)] {
        let bytes = [b"PK\x03\x04".to_vec(), end(entries, directory).repeat((2 << 20) / 22)].concat();
        for target in ["npz", "statistics", "pt", "wheel", "libtorch"] {
            within(target, &bytes);
        }
    }
}
