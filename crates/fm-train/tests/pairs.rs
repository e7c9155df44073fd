//! Pairs on disk: written a shard at a time, gone on with after a kill, read back to the bit,
//! refused when damaged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_train::batch::BatchSource;
use fm_train::checkpoint::DataMeta;
use fm_train::pairs::{PairBatches, PairSet, PairWriter, PairsAbout, TeacherPairs};
use std::fs;
use std::ops::Range;
use std::path::Path;

const DIM: usize = 3;

fn about(conditional: bool) -> PairsAbout {
    PairsAbout {
        program: "test".into(),
        teacher: "teacher".into(),
        teacher_sha256: "0".into(),
        count: 23,
        shard_size: 10,
        seed: 0,
        sampler: String::new(),
        solver: "rk4".into(),
        cfg_scale: 1.0,
        conditional,
        data: DataMeta { shape: vec![1, DIM as i64, 1], ..DataMeta::default() },
        config: serde_json::Value::Null,
    }
}

/// Values that name their row.
fn made(rows: Range<usize>) -> TeacherPairs {
    let values =
        |sign: f32| rows.clone().flat_map(|r| (0..DIM).map(move |k| sign * (r as f32 + k as f32 / 7.0))).collect();
    TeacherPairs { x0: values(1.0), x1: values(-1.0), classes: rows.clone().map(|r| r as i64 % 10).collect(), nfe: 4.0 }
}

fn fill(directory: &Path, conditional: bool, most: usize) -> Vec<usize> {
    let (mut writer, _) = PairWriter::open(directory, about(conditional)).unwrap();
    let missing = writer.missing();
    for (shard, rows) in missing.iter().take(most) {
        let classes = if conditional { made(rows.clone()).classes } else { Vec::new() };
        writer.write(*shard, &TeacherPairs { classes, ..made(rows.clone()) }).unwrap();
    }
    missing.into_iter().map(|(shard, _)| shard).collect()
}

#[test]
fn every_pair_comes_back_to_the_bit_with_its_class() {
    for conditional in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(fill(dir.path(), conditional, 9), [0, 1, 2]);
        let set = PairSet::open(dir.path()).unwrap();
        assert_eq!((set.len(), set.dim(), &set.about), (23, DIM, &about(conditional)));
        let mut found = TeacherPairs::default();
        // Out of order, over all shards, the short last one too.
        for row in [22, 0, 10, 9] {
            set.read(row, &mut found).unwrap();
        }
        let want: Vec<TeacherPairs> = [22, 0, 10, 9].map(|r| made(r..r + 1)).into();
        assert_eq!(found.x0, want.iter().flat_map(|p| p.x0.clone()).collect::<Vec<_>>());
        assert_eq!(found.x1, want.iter().flat_map(|p| p.x1.clone()).collect::<Vec<_>>());
        assert_eq!(found.classes, if conditional { vec![2, 0, 0, 9] } else { vec![] });
    }
}

#[test]
fn a_batch_keeps_pairs_together_and_an_epoch_has_each_once() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 9);
    let set = PairSet::open(dir.path()).unwrap();
    let batches = PairBatches::new(&set, 5, 23, true);
    let batch = batches.batch(3).unwrap();
    assert!(batch.x0.iter().zip(&batch.x1).all(|(a, b)| *a == -b));
    let rows: Vec<usize> = batch.x0.chunks(DIM).map(|row| row[0] as usize).collect();
    assert!(rows.iter().zip(&batch.classes).all(|(r, c)| *r as i64 % 10 == *c));
    let mut sorted = rows.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..23).collect::<Vec<_>>());
    assert_ne!(rows, sorted);
    assert_eq!(PairBatches::new(&set, 5, 23, true).batch(3).unwrap(), batch);
    assert!(PairBatches::new(&set, 5, 23, false).batch(3).unwrap().classes.is_empty());
}

#[test]
fn what_is_there_is_kept_and_what_is_damaged_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 2);
    let told = PairSet::open(dir.path()).unwrap_err().to_string();
    assert!(told.contains("2 of 3 shards") && told.contains("run the command"), "{told}");
    assert_eq!(fill(dir.path(), true, 0), [2], "shards that are there are not made again");
    let path = dir.path().join("shard-00001.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (writer, damaged) = PairWriter::open(dir.path(), about(true)).unwrap();
    assert_eq!(writer.missing().iter().map(|m| m.0).collect::<Vec<_>>(), [1, 2]);
    assert!(damaged.len() == 1 && damaged[0].to_string().contains("shard-00001"), "{damaged:?}");
    let busy = PairWriter::open(dir.path(), about(true)).unwrap_err().to_string();
    assert!(busy.contains("in use"), "{busy}");
    drop(writer);
    fill(dir.path(), true, 9);
    PairSet::open(dir.path()).unwrap();
    fs::write(&path, &bytes[..40]).unwrap();
    let told = PairSet::open(dir.path()).unwrap_err().to_string();
    assert!(told.contains("shard-00001") && told.contains("hash"), "{told}");
}

#[test]
fn pairs_of_another_description_are_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 1);
    let other = PairsAbout { seed: 1, ..about(true) };
    let told = PairWriter::open(dir.path(), other).unwrap_err().to_string();
    assert!(told.contains("another teacher") && told.contains("choose another directory"), "{told}");
    assert_eq!(PairsAbout::read(dir.path()).unwrap(), about(true));
    fs::write(dir.path().join("pairs.json"), "{}").unwrap();
    assert!(PairSet::open(dir.path()).unwrap_err().to_string().contains("not ours"));
    assert!(PairSet::open(&dir.path().join("nowhere")).unwrap_err().to_string().contains("directory of pairs"));
}
