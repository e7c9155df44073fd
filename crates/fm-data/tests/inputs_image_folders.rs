//! Layouts of image folders as people have them: hidden entries, loose and deep images, links,
//! empty classes, and names.

#![cfg(feature = "images")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_data::folder::{self, Listing, Reason};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const PGM: &[u8] = b"P5 1 1 255\n\x80";

/// A folder with these files; the names of folders end with a slash.
fn tree(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    names.iter().for_each(|name| add(dir.path(), name));
    dir
}

fn add(root: &Path, name: &str) {
    let path = root.join(name);
    if name.ends_with('/') {
        return fs::create_dir_all(path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, PGM).unwrap();
}

/// The files of a listing, relative to the folder.
fn names(root: &Path, list: &Listing) -> Vec<String> {
    list.files().iter().map(|f| f.strip_prefix(root).unwrap().to_str().unwrap().to_string()).collect()
}

/// The classes with their numbers of images. The listing, `load` and `files` agree.
fn classes(root: &Path) -> Vec<(String, usize)> {
    let list = folder::list(root).unwrap();
    let (set, summary) = folder::open(root, 1).unwrap();
    assert_eq!(folder::files(root).unwrap(), list.files());
    assert_eq!((summary.images, set.labels.as_slice()), (list.files().len(), list.labels()));
    assert_eq!(&summary, list.summary());
    assert!(set.empty_classes().is_empty());
    let of = |label: usize| set.labels.iter().filter(|l| usize::from(**l) == label).count();
    let counts: Vec<_> = set.classes.iter().cloned().enumerate().map(|(label, name)| (name, of(label))).collect();
    assert_eq!(counts, summary.classes.iter().map(|c| (c.name.clone(), c.images)).collect::<Vec<_>>());
    counts
}

fn pairs(classes: &[(String, usize)]) -> Vec<(&str, usize)> {
    classes.iter().map(|(name, count)| (name.as_str(), *count)).collect()
}

#[test]
fn hidden_and_system_entries_are_neither_classes_nor_images() {
    let hidden = [
        ".ipynb_checkpoints/x.png",
        "__MACOSX/x.png",
        "@eaDir/x.png",
        "lost+found/",
        "$RECYCLE.BIN/x.png",
        "Thumbs.db",
        "cat/._a.png",
        "cat/.cache/x.png",
        "cat/DESKTOP.INI",
    ];
    let dir = tree(&[&["cat/a.png", "dog/b.png"][..], &hidden].concat());
    assert_eq!(pairs(&classes(dir.path())), [("cat", 1), ("dog", 1)]);
    let list = folder::list(dir.path()).unwrap();
    assert_eq!(list.summary().left_out(Reason::Hidden), hidden.len());
    assert_eq!(list.summary().left_out.len(), 1);
    // The folder that is named may be hidden.
    let dir = tree(&[".data/cat/a.png", "x/y"]);
    assert_eq!(pairs(&classes(&dir.path().join(".data"))), [("cat", 1)]);
}

#[test]
fn what_is_left_out_is_counted_with_its_reason() {
    let dir = tree(&["a/1.png", "a/deep/er/2.jpg", "b/3.GIF", "loose.webp", "list.txt", "a/m.HEIC", "b/x.csv", "c/"]);
    assert_eq!(pairs(&classes(dir.path())), [("a", 2), ("b", 1)]);
    let list = folder::list(dir.path()).unwrap();
    assert_eq!(names(dir.path(), &list), ["a/1.png", "a/deep/er/2.jpg", "b/3.GIF"]);
    let lines: Vec<String> = list.summary().to_string().lines().map(String::from).collect();
    let expected = [
        "3 images in 2 classes: a (2), b (1)",
        "left out: 1 image beside the class folders (loose.webp)",
        "left out: 1 folder without images (c)",
        "left out: 1 image in a format that is not read (a/m.HEIC)",
        "left out: 2 files that are not images (list.txt, b/x.csv)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn every_suffix_is_read() {
    let names = ["a.png", "b.jpg", "c.jpeg", "d.webp", "e.bmp", "f.gif", "g.tif", "h.tiff", "i.ppm", "j.pgm", "k.pbm"];
    let upper: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let all = [&names[..], &upper.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let dir = tree(&all);
    assert_eq!(folder::load(dir.path(), 1).unwrap().len(), 22);
}

#[test]
fn flat_folders_are_one_class() {
    let dir = tree(&["photos/b.png", "photos/a.png", "photos/empty/", "photos/notes/readme.txt"]);
    let root = dir.path().join("photos");
    assert_eq!(pairs(&classes(&root)), [("photos", 2)]);
    assert_eq!(pairs(&classes(&root.join("../photos/."))), [("photos", 2)]);
    assert_eq!(pairs(&classes(&root.join("empty/.."))), [("photos", 2)]);
    let list = folder::list(&root).unwrap();
    assert_eq!(list.summary().left_out[&Reason::EmptyFolder].examples, ["empty", "notes"]);
}

#[test]
fn classes_of_whole_numbers_sort_by_value() {
    let numbered: Vec<String> = (0..12).map(|i| format!("{i}/x.png")).collect();
    let dir = tree(&numbered.iter().map(String::as_str).collect::<Vec<_>>());
    let set = folder::load(dir.path(), 1).unwrap();
    assert_eq!(set.classes, (0..12).map(|i| i.to_string()).collect::<Vec<_>>());
    let padded = tree(&["010/x.png", "9/x.png", "002/x.png"]);
    assert_eq!(folder::load(padded.path(), 1).unwrap().classes, ["002", "9", "010"]);
    let mixed = tree(&["10/x.png", "9/x.png", "n1/x.png"]);
    assert_eq!(folder::load(mixed.path(), 1).unwrap().classes, ["10", "9", "n1"]);
    // A folder without images does not decide.
    let empty = tree(&["10/x.png", "9/x.png", "notes/"]);
    assert_eq!(folder::load(empty.path(), 1).unwrap().classes, ["9", "10"]);
}

#[test]
fn labels_follow_the_classes_of_a_checkpoint() {
    let dir = tree(&["9/a.png", "10/b.png", "10/c.png"]);
    let list = folder::list(dir.path()).unwrap();
    let given = |names: &[&str]| list.clone().with_classes(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let ordered = given(&["10", "7", "9"]).unwrap();
    assert_eq!(
        (ordered.labels(), names(dir.path(), &ordered)),
        (&[0, 0, 2][..], vec!["10/b.png".into(), "10/c.png".into(), "9/a.png".into()])
    );
    let (set, summary) = ordered.load(1).unwrap();
    assert_eq!((set.empty_classes(), set.classes.len(), summary.classes[0].images), (vec!["7"], 3, 2));
    assert_eq!(given(&["9", "10"]).unwrap(), list);
    for (names, says) in
        [(&["9"][..], "its class '10' is not among"), (&["9", "10", "9"], "'9' was given twice"), (&[], "'9'")]
    {
        let text = given(names).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn folders_without_images_say_what_they_have() {
    let rows: [(&[&str], &str); 4] = [
        (&[], "one sub-folder per class"),
        (&["a/", "b/"], "it has no images, but 2 folders without images, such as a"),
        (&["x.heic"], "1 image in a format that is not read, such as x.heic"),
        (&["a.txt", "b.txt"], "2 files that are not images, such as a.txt"),
    ];
    for (names, says) in rows {
        let dir = tree(names);
        let texts =
            [folder::load(dir.path(), 4).unwrap_err(), folder::files(dir.path()).unwrap_err()].map(|e| e.to_string());
        assert!(texts[0].contains(says) && texts[0].chars().count() <= 300, "{}", texts[0]);
        assert_eq!(texts[0], texts[1]);
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_once() {
        let dir = tree(&["a/1.png", "a/sub/2.png", "b/3.png"]);
        let root = dir.path();
        for (to, from) in
            [("..", "a/up"), (".", "a/here"), ("../..", "a/sub/above"), ("../a", "b/other"), ("../a/1.png", "b/4.png")]
        {
            symlink(to, root.join(from)).unwrap();
        }
        symlink("/", root.join("a/all")).unwrap();
        symlink("a", root.join("again")).unwrap();
        symlink("b/3.png", root.join("3.png")).unwrap();
        assert_eq!(pairs(&classes(root)), [("a", 2), ("b", 1)]);
        let list = folder::list(root).unwrap();
        assert_eq!(list.summary().left_out(Reason::Repeated), 8, "{}", list.summary());
    }

    /// The class that holds a file keeps it, wherever the link stands.
    #[test]
    fn links_take_no_images_from_their_classes() {
        let dir = tree(&["z/1.png", "z/sub/2.png"]);
        fs::create_dir(dir.path().join("a")).unwrap();
        symlink("../z/sub", dir.path().join("a/sub")).unwrap();
        symlink("../z/1.png", dir.path().join("a/1.png")).unwrap();
        assert_eq!(pairs(&classes(dir.path())), [("z", 2)]);
        // Outside files: the first link, and a class before the loose images.
        let outside = tree(&["x.png", "y/z.png"]);
        symlink(outside.path().join("x.png"), dir.path().join("0.png")).unwrap();
        symlink(outside.path().join("x.png"), dir.path().join("a/x.png")).unwrap();
        symlink(outside.path().join("y"), dir.path().join("y")).unwrap();
        assert_eq!(pairs(&classes(dir.path())), [("a", 1), ("y", 1), ("z", 2)]);
    }

    #[test]
    fn circles_and_broken_links_end() {
        let dir = tree(&["a/1.png"]);
        let root = dir.path();
        symlink("y.png", root.join("a/x.png")).unwrap();
        symlink("x.png", root.join("a/y.png")).unwrap();
        symlink("nowhere.png", root.join("a/z.png")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(pairs(&classes(root)), [("a", 1)]);
        let list = folder::list(root).unwrap();
        assert_eq!(list.summary().left_out(Reason::BrokenLink), 4);
        assert!(folder::read(&root.join("a/x.png")).is_err());
    }

    #[test]
    fn fifos_sockets_and_devices_do_not_block() {
        let dir = tree(&["a/1.png"]);
        let fifo = dir.path().join("a/fifo.png");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("a/socket.png")).unwrap();
        symlink("/dev/zero", dir.path().join("a/zero.png")).unwrap();
        symlink("fifo.png", dir.path().join("a/link")).unwrap();
        assert_eq!(pairs(&classes(dir.path())), [("a", 1)]);
        let list = folder::list(dir.path()).unwrap();
        assert_eq!(list.summary().left_out(Reason::Special), 4);
        for path in [fifo.as_path(), "/dev/zero".as_ref(), "/dev/null".as_ref(), &dir.path().join("a/socket.png")] {
            let text = folder::read(path).unwrap_err().to_string();
            assert!(text.contains("it is a device, a pipe or a socket; give a plain file"), "{text}");
        }
        assert!(folder::read(dir.path()).unwrap_err().to_string().contains("it is a folder"));
    }

    #[test]
    fn names_that_are_not_utf8_work() {
        let dir = tempfile::tempdir().unwrap();
        for byte in [0xe9, 0xe8] {
            let class = dir.path().join(OsStr::from_bytes(&[b'c', byte]));
            fs::create_dir(&class).unwrap();
            fs::write(class.join(OsStr::from_bytes(&[byte, b'.', b'p', b'n', b'g'])), PGM).unwrap();
        }
        assert_eq!(pairs(&classes(dir.path())), [("c\\xE8", 1), ("c\\xE9", 1)]);
    }
}
