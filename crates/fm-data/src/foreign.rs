//! Names of files in formats that are not read, by their endings.

use crate::DataError;
use std::path::Path;

/// Endings in small letters, what has them, and the remedies for images and for tables.
const ENDINGS: [(&[&str], &str, &str, &str); 7] = [
    (
        &[".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tbz2", ".tar.zst", ".7z", ".rar"],
        "an archive",
        "unpack it, and give folder:DIR or a .npy file in it",
        "unpack it, and name a file in it",
    ),
    (
        &[".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma"],
        "a compressed file",
        "unpack it, and give the .npy file or folder:DIR",
        "unpack it; of compressed tables, .csv.gz and the like are read",
    ),
    (
        &[".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"],
        "an image",
        "put images into a folder, and give folder:DIR",
        "images are data of cifar-train; give a table",
    ),
    (&[".xlsx", ".xls", ".ods"], "a spreadsheet", ARRAYS, "export the sheet as CSV"),
    (
        &[".parquet", ".feather", ".arrow", ".json", ".jsonl", ".orc"],
        "a table of pandas or Arrow",
        ARRAYS,
        "export it with pandas: to_csv(f, index=False)",
    ),
    (
        &[".pkl", ".pickle", ".pt", ".pth", ".safetensors", ".h5", ".hdf5", ".mat", ".nc", ".lmdb", ".tfrecord"],
        "a file of another library",
        ARRAYS,
        "save the array with numpy.save",
    ),
    (&[".arff", ".sav", ".dta", ".rds", ".rdata", ".db", ".sqlite"], "a statistics file", ARRAYS, "export it as CSV"),
];

const ARRAYS: &str = "save the images with numpy.save, or as files in one folder per class";

/// The kind of data that a name is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataKind {
    Images,
    Table,
}

/// The error for a name that no reader accepts, if its ending or a folder of that name gives the
/// cause.
pub(crate) fn refused(name: &str, kind: DataKind) -> Option<DataError> {
    let malformed =
        |problem: String, remedy: &str| DataError::Malformed { path: name.into(), problem, remedy: remedy.into() };
    if Path::new(name).is_dir() {
        return Some(match kind {
            DataKind::Images => malformed("it is a folder".into(), "write folder:DIR"),
            DataKind::Table => malformed("it is a folder".into(), "name a file in it"),
        });
    }
    let lower = name.to_ascii_lowercase();
    let found = |endings: &[&str]| endings.iter().any(|end| lower.len() > end.len() && lower.ends_with(end));
    let (_, what, images, table) = ENDINGS.iter().find(|(endings, ..)| found(endings))?;
    Some(malformed(format!("its ending is that of {what}"), if kind == DataKind::Images { images } else { table }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_what_to_do() {
        let told = |name, wanted| refused(name, wanted).map(|e| e.to_string()).unwrap_or_default();
        for (name, images, table) in [
            ("photos.ZIP", "an archive; unpack it, and give folder:DIR", "name a file in it"),
            ("cifar-10-python.tar.gz", "an archive", "an archive"),
            ("x.csv.bz2", "a compressed file", "of compressed tables, .csv.gz"),
            ("a/b.png", "an image; put images into a folder", "give a table"),
            ("x.parquet", "numpy.save", "to_csv"),
            ("train.mat", "numpy.save", "numpy.save"),
        ] {
            let texts = (told(name, DataKind::Images), told(name, DataKind::Table));
            assert!(texts.0.contains(images) && texts.1.contains(table), "{texts:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        assert!(told(&path, DataKind::Images).ends_with("it is a folder; write folder:DIR"));
        assert!(told(&path, DataKind::Table).ends_with("name a file in it"));
        assert_eq!((told("moons", DataKind::Table), told(".zip", DataKind::Table)), (String::new(), String::new()));
    }
}
