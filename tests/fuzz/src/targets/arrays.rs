//! NumPy's arrays.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_data::npy::{self, ArraySource};
use ndarray::IxDyn;
use zip::CompressionMethod;

const FOLDER: &str = "crates/fm-data/tests/arrays";
const WORDS: &[&str] = &[
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "True",
    "False",
    "(",
    ")",
    ",",
    "'<f8'",
    "'>f4'",
    "'|u1'",
    "'|b1'",
    "'<i8'",
    "'|O'",
    "'<U9'",
    "[('a', '<f4')]",
    "\u{1}\0",
    "\u{2}\0",
    "\u{3}\0",
];

pub(super) const NPY: Target = Target {
    name: "npy",
    seeds: || seeds::files(FOLDER, &[".npy"]),
    words: WORDS,
    finish: Finish::Nothing,
    read: plain,
};

pub(super) const NPZ: Target = Target {
    name: "npz",
    seeds: || seeds::files(FOLDER, &[".npz"]),
    words: WORDS,
    finish: Finish::Repair(finish::zip),
    read: archive,
};

/// Members that are compressed after they are changed.
pub(super) const PACKED: Target = Target {
    name: "npz-packed",
    seeds: || seeds::files(FOLDER, &["c.npy"]),
    words: WORDS,
    finish: Finish::Pack(|bytes| seeds::zip(&[("images.npy", bytes)], CompressionMethod::Deflated)),
    read: archive,
};

pub(super) const LABELS: Target = Target {
    name: "labels",
    seeds: || vec![seeds::npy("<i8", "(2,)", &[0; 16]), seeds::npy("|u1", "(2, 1)", &[1, 0])],
    words: WORDS,
    finish: Finish::Nothing,
    read: labels,
};

fn plain(bytes: &[u8]) -> bool {
    all(&ArraySource { path: scratch::file("arrays/x.npy", bytes), member: None })
}

fn archive(bytes: &[u8]) -> bool {
    let path = scratch::file("arrays/x.npz", bytes);
    let alone = ArraySource { path: path.clone(), member: None };
    let named = ArraySource { path, member: Some("images".into()) };
    let alone = accepted(npy::read::<f32, IxDyn>(alone));
    all(&named) | alone
}

fn all(array: &ArraySource) -> bool {
    let any = accepted(npy::read::<f64, IxDyn>(array.clone()));
    let table = npy::table(array.clone());
    assert!(table.as_ref().map_or(true, |table| table.iter().all(|value| value.is_finite())));
    accepted(table) | accepted(npy::images(array.clone(), None, None, &mut Vec::new())) | any
}

fn labels(bytes: &[u8]) -> bool {
    let images = scratch::file("arrays/images.npy", &seeds::npy("|u1", "(2, 2, 2)", &[7; 8]));
    let labels = ArraySource { path: scratch::file("arrays/labels.npy", bytes), member: None };
    accepted(npy::images(&images, Some(&labels), None, &mut Vec::new()))
}
