//! Names of data sets, and options of their readers.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_data::npy::{ArraySource, ValueRange};
use fm_data::table::{Encoding, Header, Separator};
use fm_data::{ImageSource, TableSource};
use std::fmt::{Debug, Display};
use std::str::FromStr;

pub(super) const NAMES: Target = Target {
    name: "names",
    seeds: || {
        seeds::texts(&[
            "digits",
            "cifar10:/a b",
            "cifar10-test",
            "folder:x",
            "a.npy",
            "a.npy,b.npy",
            "a.npz:x:range=-1..1,b,c.npy",
            "a.npy:range=0,1,b.npy",
            "moons",
            "8gaussians:scale=5,variance=0.3",
            "gaussian:dim=4,seed=41",
            "genes",
            "a.csv.gz",
            "A.TSV",
        ])
    },
    words: &["digits", "cifar10", ":", ",", "folder:", ".npy", ".npz:", ":range=", "..", ".csv", ".gz", "é", "moons", "noise=", "1e9"],
    finish: Finish::Nothing,
    read: names,
};

pub(super) const READING: Target = Target {
    name: "reading",
    seeds: || seeds::texts(&["0..1", "-1..1", "0,255", "=0..16", "auto", "yes", "comma", "tab", "latin1", "utf-16le"]),
    words: &["..", ",", "=", "inf", "nan", "1e400", "auto", "no", "space", "utf-8", "shift_jis", "x-user-defined"],
    finish: Finish::Nothing,
    read: reading,
};

/// Whether a text is a value; its own text must then be the same value.
fn back<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) -> bool {
    let value = text.parse::<T>();
    if let Ok(value) = &value {
        assert_eq!(value.to_string().parse::<T>().ok().as_ref(), Some(value), "of {text:?}");
    }
    accepted(value)
}

fn names(bytes: &[u8]) -> bool {
    let text = &String::from_utf8_lossy(bytes);
    back::<TableSource>(text) | back::<ArraySource>(text) | back::<ImageSource>(text)
}

fn reading(bytes: &[u8]) -> bool {
    let text = &String::from_utf8_lossy(bytes);
    let options = accepted(text.parse::<Header>()) | accepted(text.parse::<Separator>());
    options | accepted(text.parse::<Encoding>()) | back::<ValueRange>(text)
}
