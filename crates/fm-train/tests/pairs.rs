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
        guidance: String::new(),
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

#[test]
fn a_flipped_bit_of_the_description_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 9);
    let path = dir.path().join("pairs.json");
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        fs::write(&path, flipped).unwrap();
        assert!(PairSet::open(dir.path()).is_err(), "byte {place} of {}", String::from_utf8_lossy(&whole));
    }
    fs::write(&path, whole).unwrap();
    PairSet::open(dir.path()).unwrap();
}

/// Changes the description of a set, as one of an earlier version, which had no checksum.
fn edit(directory: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = directory.join("pairs.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index.as_object_mut().unwrap().remove("sha256");
    index["format"] = 1.into();
    change(&mut index);
    fs::write(&path, index.to_string()).unwrap();
}

#[test]
fn the_description_is_held_against_the_shards_before_anything_is_allocated() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 16] = [
        ("has no x0", |i| i["data"]["shape"] = serde_json::json!([1, 4, 1])),
        ("do not fit", |i| i["data"]["shape"] = serde_json::json!([1i64 << 40])),
        ("has no x0", |i| i["data"]["shape"] = serde_json::json!([3])),
        ("no size", |i| i["data"]["shape"] = serde_json::json!([1i64 << 62, 4])),
        ("no size", |i| i["data"]["shape"] = serde_json::json!([-1, 3, -1])),
        ("no size", |i| i["data"]["shape"] = serde_json::json!([0])),
        ("no size", |i| i["data"]["shape"] = serde_json::json!([])),
        ("do not fit its 9 pairs", |i| i["count"] = 29.into()),
        ("has no x0", |i| i["count"] = 21.into()),
        ("no size", |i| i["count"] = u64::MAX.into()),
        ("at least 1", |i| i["count"] = 0.into()),
        ("at least 1", |i| i["shard_size"] = 0.into()),
        ("3 of 1 shards", |i| i["shard_size"] = u64::MAX.into()),
        ("more than", |i| {
            i["count"] = (1u64 << 40).into();
            i["shard_size"] = 1.into();
        }),
        ("once, in order", |i| i["shards"][1] = i["shards"][0].clone()),
        ("once, in order", |i| i["shards"][0]["name"] = "../shard-00000.safetensors".into()),
    ];
    for (words, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), false, 9);
        edit(dir.path(), change);
        let told = PairSet::open(dir.path()).unwrap_err().to_string();
        assert!(told.contains(words) && told.len() < 300, "{told}");
    }
    // Classes that are not there, or not described.
    for conditional in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), conditional, 9);
        edit(dir.path(), |i| i["conditional"] = (!conditional).into());
        let told = PairSet::open(dir.path()).unwrap_err().to_string();
        assert!(told.contains("other tensors"), "{told}");
    }
}

#[test]
fn classes_are_those_of_the_data() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 9);
    let names: Vec<String> = (0..5).map(|k| format!("class {k}")).collect();
    edit(dir.path(), |i| i["data"]["classes"] = serde_json::json!(names));
    let (set, mut pairs) = (PairSet::open(dir.path()).unwrap(), TeacherPairs::default());
    set.read(4, &mut pairs).unwrap();
    let told = set.read(5, &mut pairs).unwrap_err().to_string();
    assert!(told.contains("pair 5 has class 5 of 5"), "{told}");
    assert_eq!((pairs.x0.len(), pairs.classes), (DIM, vec![4]));
    assert!(PairBatches::new(&set, 5, 23, true).batch(0).is_err());
}

#[test]
fn a_shard_takes_its_own_number_of_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = PairWriter::open(dir.path(), about(true)).unwrap();
    let misaligned = TeacherPairs { x1: made(0..9).x1, ..made(0..10) };
    let without = TeacherPairs { classes: Vec::new(), ..made(0..10) };
    for (shard, pairs) in
        [(0, made(0..9)), (0, misaligned), (0, without), (2, made(20..30)), (3, made(0..10)), (usize::MAX, made(0..0))]
    {
        let told = writer.write(shard, &pairs).unwrap_err().to_string();
        assert!(told.contains("takes") && told.len() < 300, "{told}");
    }
    assert_eq!(writer.missing().len(), 3);
    writer.write(0, &made(0..10)).unwrap();
    writer.write(0, &made(0..10)).unwrap();
    assert_eq!(writer.missing(), [(1, 10..20), (2, 20..23)]);
    for (count, shard_size) in [(usize::MAX, 1), (0, 1), (1, 0), (1 << 40, 2)] {
        let told =
            PairWriter::open(&dir.path().join("new"), PairsAbout { count, shard_size, ..about(true) }).unwrap_err();
        assert!(matches!(told, fm_train::TrainError::Pairs { .. }), "{told}");
    }
    assert!(!dir.path().join("new").exists());
}

#[test]
fn pairs_are_not_written_among_files_of_others_and_nothing_is_cleaned_first() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("shard-00000.safetensors"), "mine").unwrap();
    let told = PairWriter::open(dir.path(), about(true)).unwrap_err().to_string();
    assert!(told.contains("no pairs.json; choose a new directory"), "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), true, 1);
    let (ours, theirs) = (".pairs.json.flow-matching-7.partial", ".thesis.partial");
    fs::create_dir(dir.path().join(theirs)).unwrap();
    for path in [dir.path().join(ours), dir.path().join(theirs).join("chapter.tex")] {
        fs::write(path, "x").unwrap();
    }
    assert!(PairWriter::open(dir.path(), PairsAbout { seed: 1, ..about(true) }).is_err());
    assert!(dir.path().join(ours).exists(), "a command that is refused removes nothing");
    fill(dir.path(), true, 1);
    assert!(!dir.path().join(ours).exists() && dir.path().join(theirs).join("chapter.tex").exists());
}
