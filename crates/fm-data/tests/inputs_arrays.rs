//! Arrays as NumPy writes them, and as users bring them: read, or refused with a remedy.
//!
//! `arrays/make.py` writes the files of `arrays/`.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_data::npy::{ArraySource, Number, ValueRange, images, read, table};
use fm_data::{DataError, ImageSet, ImageSource};
use ndarray::{Array1, Array2, Array3, Array4, Ix1, Ix2, Ix3, array};
use ndarray_npy::{WritableElement, write_npy};
use std::io::Write;
use std::path::{Path, PathBuf};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays").join(name)
}

/// The error of a call: one line of at most 300 characters, with all of `says`.
fn refused<T>(found: Result<T, DataError>, says: &[&str]) {
    let Err(error) = found else { panic!("not refused: {says:?}") };
    let text = error.to_string();
    assert!(says.iter().all(|says| text.contains(says)), "{text} without {says:?}");
    assert!(text.chars().count() <= 300 && !text.contains('\n') && !text.ends_with("..."), "{text}");
}

/// The array of a type in `arrays/`, in all its files.
fn same<T: Number + PartialEq + std::fmt::Debug>(kind: &str, want: &Array2<T>) {
    let mut found = 0;
    for order in ["le-c", "le-f", "be-c", "be-f"] {
        let path = asset(&format!("{kind}-{order}.npy"));
        if path.exists() {
            let array = read::<T, Ix2>(&path).unwrap();
            assert!(array.is_standard_layout());
            assert_eq!(&array, want, "{}", path.display());
            found += 1;
        }
    }
    assert!(found >= 2, "{kind}");
}

#[test]
fn every_type_order_and_version_is_read() {
    let whole = |least: i64, most: i64| array![[0, 1, 2], [3, least, most]];
    same("bool", &array![[0i64, 1, 1], [1, 0, 0]]);
    same("bool", &array![[0u8, 1, 1], [1, 0, 0]]);
    same("int8", &whole(-128, 127));
    same("int16", &whole(i16::MIN.into(), i16::MAX.into()));
    same("int32", &whole(i32::MIN.into(), i32::MAX.into()));
    same("int64", &whole(i64::MIN, i64::MAX));
    same("uint8", &array![[0u8, 1, 2], [3, 0, 255]]);
    same("uint16", &whole(0, u16::MAX.into()));
    same("uint32", &whole(0, u32::MAX.into()));
    let float = |most: f64, tiny: f64| array![[0.0, 0.5, -1.5], [2.0, most, tiny]];
    same("float16", &float(65504.0, 2f64.powi(-14)));
    same("float32", &float(f32::MAX.into(), f32::MIN_POSITIVE.into()));
    same("float32", &array![[0.0, 0.5, -1.5], [2.0, f32::MAX, f32::MIN_POSITIVE]]);
    same("float64", &float(f64::MAX, f64::MIN_POSITIVE));
    for version in 1..=3 {
        let array = read::<f32, Ix2>(asset(&format!("version-{version}.npy"))).unwrap();
        assert_eq!(array, array![[0.0, 0.5, -1.5], [2.0, f32::MAX, f32::MIN_POSITIVE]]);
    }
    // A table is any of them, rounded to f64.
    let big = table(asset("uint64-be-f.npy")).unwrap();
    assert_eq!(big, array![[0.0, 1.0, 2.0], [3.0, 0.0, u64::MAX as f64]]);
}

#[test]
fn conversions_are_exact_or_refused() {
    refused(read::<i64, Ix2>(asset("uint64-le-c.npy")), &["(1, 2) is 18446744073709551615", "int64"]);
    refused(read::<i64, Ix2>(asset("uint64-be-f.npy")), &["(1, 2) is 18446744073709551615"]);
    refused(read::<f64, Ix2>(asset("int64-le-c.npy")), &["(1, 2)", "float64"]);
    refused(read::<f32, Ix2>(asset("float64-le-c.npy")), &["(1, 1) is 1.79", "float32"]);
    refused(read::<u8, Ix2>(asset("int16-le-f.npy")), &["(1, 1) is -32768", "uint8"]);
    refused(read::<u8, Ix2>(asset("float32-le-c.npy")), &["(0, 1) is 0.5", "uint8"]);
    refused(read::<f32, Ix3>(asset("float32-le-c.npy")), &["(2, 3)", "2 axes and not 3"]);
    refused(read::<f32, Ix1>(asset("float32-le-c.npy")), &["2 axes and not 1"]);
}

/// A table tells of whole numbers that f64 does not hold; `read` refuses them.
#[test]
fn rounded_whole_numbers_of_a_table_are_told() {
    const EXACT: i64 = 1 << 53;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    for (number, rounded) in
        [(EXACT, false), (EXACT + 1, true), (-EXACT - 1, true), (EXACT + 2, false), (i64::MIN, false)]
    {
        for shape in [vec![2, 1], vec![2, 1, 1]] {
            let array = ndarray::ArrayD::from_shape_vec(shape.clone(), vec![number, 7]).unwrap();
            ndarray_npy::write_npy(&path, &array).unwrap();
            let read_back = fm_data::npy::sequences(&path).unwrap();
            assert_eq!((read_back.values[[0, 0]], read_back.values[[1, 0]]), (number as f64, 7.0));
            let told = read_back.notes.iter().any(|note| note.contains("whole numbers above 2^53 are rounded"));
            assert_eq!(told, rounded, "{number}: {:?}", read_back.notes);
            assert_eq!(read::<f64, ndarray::IxDyn>(&path).is_err(), rounded, "{number}");
            assert_eq!(read::<f32, ndarray::IxDyn>(&path).is_err(), rounded || number == EXACT + 2, "{number}");
        }
    }
}

#[test]
fn arrays_without_real_numbers_have_a_remedy() {
    for (name, remedy) in [
        ("object", "astype('float64')"),
        ("text", "numpy.unique"),
        ("bytes", "numpy.unique"),
        ("complex", "x.real"),
        ("structured", "x['name']"),
        ("date", "astype('int64')"),
        ("longdouble", "astype('float64')"),
        ("scalar", "numpy.save(f, [x])"),
    ] {
        refused(read::<f64, Ix1>(asset(&format!("refused-{name}.npy"))), &[remedy]);
        if name != "scalar" {
            refused(table(asset(&format!("refused-{name}.npy"))), &[remedy]);
        }
    }
}

#[test]
fn archives_are_read_by_member() {
    let want = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (12 * i + 4 * j + k) as i64 * 11);
    for file in ["stored.npz", "deflated.npz"] {
        let of = |member: &str| ArraySource { path: asset(file), member: Some(member.into()) };
        assert_eq!(read::<i64, Ix3>(of("images")).unwrap(), want);
        assert_eq!(read::<i64, Ix3>(of("images.npy")).unwrap(), want);
        let named = PathBuf::from(format!("{}:labels", asset(file).display()));
        assert_eq!(read::<u8, Ix2>(&named).unwrap(), array![[1], [0]]);
        refused(read::<i64, Ix3>(asset(file)), &["holds 2 arrays", "images", "labels", &format!("{file}:images")]);
        refused(read::<i64, Ix3>(of("x")), &["no array 'x'", "images"]);
        let source = format!("{}:images,{}:labels", asset(file).display(), asset(file).display());
        let set = source.parse::<ImageSource>().unwrap().open(0, &mut Vec::new()).unwrap();
        assert_eq!((set.shape, &set.labels[..], set.image(1)[1]), ([1, 3, 4], &[1, 0][..], 143));
    }
    assert_eq!(read::<f64, Ix2>(asset("one.npz")).unwrap()[[0, 2]], -1.5);
    // Two members of one name; a reader would silently take the last.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("twice.npz");
    std::fs::write(&path, renamed(&std::fs::read(asset("stored.npz")).unwrap(), b"labels.npy", b"images.npy")).unwrap();
    refused(read::<i64, Ix3>(&path), &["two arrays of one name", "save it again"]);
    let array = ArraySource { path: asset("int8-le-c.npy"), member: Some("x".into()) };
    refused(read::<f64, Ix2>(array), &["leave out the name after the colon"]);
}

/// The bytes with each `from` replaced by `to`, of the same length.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..=bytes.len() - from.len()).filter(|i| bytes[*i..].starts_with(from)).collect();
    places.iter().for_each(|i| bytes[*i..*i + to.len()].copy_from_slice(to));
    assert_eq!(places.len(), 2, "the member and its entry in the directory");
    bytes
}

/// An `.npy` file of a header and a number of bytes of data.
fn claiming(shape: &str, numbers: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    bytes.resize(bytes.len() + numbers, 0);
    bytes
}

fn zipped(path: &Path, name: &str, bytes: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap();
}

#[test]
fn claims_beyond_the_file_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (path, archive) = (dir.path().join("x.npy"), dir.path().join("x.npz"));
    for (shape, numbers, says) in [
        ("(1099511627776, 8, 8)", 13, "more bytes than follow"),
        ("(1073741824,)", 13, "more bytes than follow"),
        ("(0, 9223372036854775807, 2)", 0, "its shape"),
        ("(9223372036854775807, 9223372036854775807)", 4, "more bytes than follow"),
        ("(3,)", 11, "more bytes than follow"),
        ("(3,)", 13, "fewer bytes than follow"),
        ("(3,)", 1 << 20, "fewer bytes than follow"),
    ] {
        std::fs::write(&path, claiming(shape, numbers)).unwrap();
        refused(read::<f32, ndarray::IxDyn>(&path), &[says]);
        zipped(&archive, "x.npy", &claiming(shape, numbers));
        refused(read::<f32, ndarray::IxDyn>(&archive), &[says]);
    }
    // A central directory that claims less than the deflated data hold, and one that claims more.
    zipped(&archive, "x.npy", &claiming("(3,)", 1 << 20));
    let bytes = std::fs::read(&archive).unwrap();
    let size = (claiming("(3,)", 1 << 20).len() as u32).to_le_bytes();
    for claimed in [claiming("(3,)", 12).len() as u32, 0xffff_fff0] {
        let mut changed = bytes.clone();
        while let Some(at) = changed.windows(4).position(|w| w == size) {
            changed[at..at + 4].copy_from_slice(&claimed.to_le_bytes());
        }
        std::fs::write(&archive, changed).unwrap();
        refused(read::<f32, Ix1>(&archive), &["x.npz"]);
    }
    // A sparse file of the length that its header claims: 64 TiB.
    let header = claiming("(17592186044416,)", 0);
    std::fs::write(&path, &header).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    if file.set_len(header.len() as u64 + (1 << 46)).is_ok() {
        refused(read::<f32, Ix1>(&path), &["MiB of memory"]);
    }
}

#[cfg(unix)]
#[test]
fn only_plain_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.npy");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/zero"), dir.path()] {
        refused(read::<f32, Ix1>(path), &["give a plain file"]);
        refused(table(path), &["give a plain file"]);
        refused(images(path, None, None, &mut Vec::new()), &["give a plain file"]);
    }
    for (content, says) in [
        ("\u{1}\u{2}", "within its header"),
        ("PAR1....", "a Parquet file"),
        ("version https://git-lfs.github.com/spec", "git lfs pull"),
    ] {
        let path = dir.path().join("x.npy");
        std::fs::write(&path, content).unwrap();
        refused(read::<f32, Ix1>(&path), &[says]);
    }
}

/// Images of shape (count, 1, 2) from a list of values.
fn pictures<T: WritableElement + Clone>(
    values: &[T],
    range: Option<&str>,
) -> (Result<ImageSet, DataError>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.npy");
    write_npy(&path, &Array3::from_shape_vec((values.len() / 2, 1, 2), values.to_vec()).unwrap()).unwrap();
    let mut notes = Vec::new();
    let range: Option<ValueRange> = range.map(|range| range.parse().unwrap());
    (images(&path, None, range, &mut notes), notes)
}

#[test]
fn images_of_floats_are_read_with_their_range() {
    for (values, range, pixels, says) in [
        (&[0.0f32, 1.0, 0.5, 0.2][..], None, [0, 255, 128, 51], "0..1"),
        (&[-1.0, 1.0, 0.0, -0.2], None, [0, 255, 128, 102], "-1..1"),
        (&[-1.04, 1.1, 0.0, 0.2], None, [0, 255, 128, 153], "clamped"),
        (&[0.0, 255.0, 100.0, 3.0], Some("0..255"), [0, 255, 100, 3], ""),
        (&[0.0, 0.5, 1.0, 0.25], Some("-1..1"), [128, 191, 255, 159], ""),
        (&[-2.0, 2.0, 0.0, 1.0], Some("-2..2"), [0, 255, 128, 191], ""),
    ] {
        let (set, notes) = pictures(values, range);
        assert_eq!(set.unwrap().pixels, pixels, "{values:?}");
        assert!(notes.iter().any(|note| note.contains(says)) || says.is_empty() && notes.is_empty(), "{notes:?}");
        let wide: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        assert_eq!(pictures(&wide, range).0.unwrap().pixels, pixels, "{values:?}");
    }
    // Samples of a model: nearly all in [-1, 1], some outside.
    let samples: Vec<f32> = (0..4000).map(|i| ((i as f32) * 0.7).sin() * 1.05).collect();
    let (set, notes) = pictures(&samples, None);
    assert!(set.is_ok() && notes.len() == 2 && notes[1].contains("clamped"), "{notes:?}");
}

#[test]
fn images_of_other_ranges_have_fitting_advice() {
    for (values, says) in [
        (&[0.0f32, 255.0, 100.0, 3.0][..], &["0 to 255", "range=0..255"][..]),
        (&[0.0, 16.0, 3.0, 7.0], &["0 to 16", "0..16"]),
        (&[-2.1, 2.6, 0.0, 0.5], &["-2.1", "x * std + mean"]),
        (&[0.0, 65535.0, 3.0, 7.0], &["range=0..65535"]),
        (&[-0.02, 1.03, 0.5, 0.7], &["range=0..1 or range=-1..1"]),
        (&[f32::NAN, 1.0, 0.5, 0.7], &["NaN", "numpy.isfinite"]),
        (&[0.0, f32::INFINITY, 0.5, 0.7], &["inf"]),
    ] {
        refused(pictures(values, None).0, says);
    }
    refused(pictures(&[0.0f32, 255.0, 100.0, 3.0], Some("0..1")).0, &["outside the range 0..1"]);
    refused(pictures(&[0i32, 300, 100, 3], None).0, &["int32", "0 to 300", "range=0..300"]);
    refused(pictures(&[-1i64, 255, 100, 3], None).0, &["int64", "-1 to 255", "range=-1..255"]);
    refused(pictures(&[-128i8, 127, 100, 3], None).0, &["int8", "range=-128..127"]);
}

#[test]
fn images_of_integers_are_bytes() {
    assert_eq!(pictures(&[0u8, 255, 7, 3], None).0.unwrap().pixels, [0, 255, 7, 3]);
    assert_eq!(pictures(&[0i64, 255, 7, 3], None).0.unwrap().pixels, [0, 255, 7, 3]);
    assert_eq!(pictures(&[0u16, 65535, 257, 0], Some("0..65535")).0.unwrap().pixels, [0, 255, 1, 0]);
    let (set, notes) = pictures(&[false, true, true, false], None);
    assert_eq!((set.unwrap().pixels, notes.len()), (vec![0, 255, 255, 0], 0));
    let (set, notes) = pictures(&[0u8, 1, 1, 0], None);
    assert!(set.unwrap().pixels == [0, 1, 1, 0] && notes[0].contains("range=0..1"), "{notes:?}");
    assert_eq!(pictures(&[0u8, 16, 8, 0], Some("0..16")).0.unwrap().pixels, [0, 255, 128, 0]);
}

#[test]
fn shapes_of_images_are_recognised_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.npy");
    let read = || images(&path, None, None, &mut Vec::new());
    write_npy(&path, &Array4::<u8>::zeros((2, 3, 4, 5))).unwrap();
    assert_eq!(read().unwrap().shape, [3, 4, 5]);
    write_npy(&path, &Array4::from_shape_fn((2, 4, 5, 3), |(_, _, _, c)| c as u8 * 100).permuted_axes([0, 1, 2, 3]))
        .unwrap();
    let set = read().unwrap();
    assert_eq!((set.shape, &set.image(1)[19..21]), ([3, 4, 5], &[0, 100][..]));
    for (shape, says) in [
        ((2, 4, 5, 5), "leave out transparency: numpy.save(f, x[:, :3])"),
        ((2, 5, 5, 4), "x[..., :3]"),
        ((2, 2, 5, 5), "(N, C, H, W)"),
        ((0, 3, 5, 5), "at least one image"),
    ] {
        write_npy(&path, &Array4::<u8>::zeros(shape)).unwrap();
        refused(read(), &[says]);
    }
    write_npy(&path, &Array2::<u8>::zeros((2, 64))).unwrap();
    refused(read(), &["x.reshape(N, H, W)"]);
}

fn labelled<T: WritableElement>(labels: &Array1<T>) -> (Result<ImageSet, DataError>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = (dir.path().join("p.npy"), dir.path().join("y.npy"));
    write_npy(&path, &Array3::<u8>::from_elem((4, 2, 2), 99)).unwrap();
    write_npy(&file, labels).unwrap();
    let mut notes = Vec::new();
    (images(&path, Some(&ArraySource::from(&file)), None, &mut notes), notes)
}

#[test]
fn labels_are_integers_from_0() {
    assert_eq!(labelled(&array![0u16, 2, 1, 2]).0.unwrap().labels, [0, 2, 1, 2]);
    assert_eq!(labelled(&array![0i8, 0, 1, 0]).0.unwrap().classes, ["0", "1"]);
    assert_eq!(labelled(&array![false, true, true, false]).0.unwrap().labels, [0, 1, 1, 0]);
    let (set, notes) = labelled(&array![0i64, 3, 1, 3]);
    assert!(set.unwrap().classes.len() == 4 && notes[0].contains("no image has the label 2"), "{notes:?}");
    refused(labelled(&array![1u8, 2, 3, 1]).0, &["1 to 3", "class 0 has no image", "y - 1"]);
    refused(labelled(&array![7i32, 7, 7, 7]).0, &["y - 7"]);
    refused(labelled(&array![0i64, 900, 5, 7]).0, &["have no image", "numpy.unique"]);
    refused(labelled(&array![0i64, -1, 1, 1]).0, &["(1) is the label -1"]);
    refused(labelled(&array![0i64, 10_000, 1, 1]).0, &["the label 10000"]);
    refused(labelled(&array![0.0f32, 1.0, 1.0, 0.0]).0, &["float32", "astype('int64')"]);
    let rows = |values: Array2<f64>| {
        let dir = tempfile::tempdir().unwrap();
        let (set, file) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
        write_npy(&set, &Array3::<u8>::zeros((4, 1, 2))).unwrap();
        write_npy(&file, &values).unwrap();
        images(&set, Some(&ArraySource::from(&file)), None, &mut Vec::new())
    };
    refused(rows(Array2::zeros((4, 3))), &["y.argmax(1)"]);
    refused(rows(Array2::zeros((4, 1))), &["float64, not integers"]);
    refused(labelled(&array![0i64, 1, 1]).0, &["3 labels for 4 images"]);
}

#[test]
fn tables_have_two_axes_and_finite_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.npy");
    write_npy(&path, &array![[1_700_000_000i64], [1_700_000_001]]).unwrap();
    assert_eq!(table(&path).unwrap(), array![[1_700_000_000.0], [1_700_000_001.0]]);
    write_npy(&path, &array![[1.0f32, f32::NAN]]).unwrap();
    refused(table(&path), &["(0, 1) is NaN"]);
    write_npy(&path, &array![1.0, 2.0]).unwrap();
    refused(table(&path), &["x.reshape(-1, 1)"]);
    write_npy(&path, &Array3::<f32>::zeros((2, 2, 2))).unwrap();
    refused(table(&path), &["x.reshape(len(x), -1)"]);
    write_npy(&path, &Array2::<f32>::zeros((0, 2))).unwrap();
    refused(table(&path), &["no rows or no columns"]);
}
