//! The classes of images, from an array of whole numbers.

use super::ArraySource;
use super::file::Npy;
use super::kind::Value;
use super::trouble::{broken, tuple};
use crate::{DataError, error};

/// The most classes of an array of labels.
const CLASSES: i128 = 10_000;

/// Labels, and the names of their classes.
type Classes = (Vec<u16>, Vec<String>);

/// Reads `count` labels; class k is named "k".
pub(super) fn read(source: &ArraySource, count: usize, notes: &mut Vec<String>) -> Result<Classes, DataError> {
    let path = &source.path;
    let labels = Npy::with(source, |npy| {
        let one_each = "give one label per image, of shape (N) or (N, 1)";
        match npy.header.shape[..] {
            [n] | [n, 1] if n == count => {}
            [n] | [n, 1] => return Err(broken(path, format!("it has {n} labels for {count} images"), one_each)),
            [n, k] if n == count => {
                let remedy = "give class numbers, not one-hot rows: numpy.save(f, y.argmax(1))";
                return Err(broken(path, format!("its labels have shape ({n}, {k})"), remedy));
            }
            _ => return Err(broken(path, format!("its labels have shape {}", tuple(&npy.header.shape)), one_each)),
        }
        if npy.header.kind.is_float() {
            let problem = format!("its labels are {}, not integers", npy.header.kind.name());
            return Err(broken(path, problem, "save them as integers: numpy.save(f, y.astype('int64'))"));
        }
        let class = |value| match value {
            Value::Int(i) if (0..CLASSES).contains(&i) => u16::try_from(i).ok(),
            _ => None,
        };
        let remedy = "number classes from 0 to 9999: numpy.unique(y, return_inverse=True)[1]";
        npy.read_by(class, |value| (format!("the label {value}"), remedy))
    })?;
    let labels: Vec<u16> = labels.iter().copied().collect();
    let most = labels.iter().max().copied().unwrap_or(0);
    let mut present = vec![false; usize::from(most) + 1];
    labels.iter().for_each(|label| present[usize::from(*label)] = true);
    let empty: Vec<String> =
        present.iter().zip(0..).filter(|(there, _)| !**there).map(|(_, k)| k.to_string()).collect();
    let least = present.iter().position(|there| *there).unwrap_or(0);
    if least > 0 && empty.len() == least {
        let problem = format!("its labels are {least} to {most}, so that class 0 has no image");
        return Err(broken(path, problem, &format!("count classes from 0: numpy.save(f, y - {least})")));
    }
    if 2 * empty.len() > present.len() {
        let problem = format!("{} of its classes 0 to {most} have no image: {}", empty.len(), error::some(&empty));
        return Err(broken(path, problem, "number the classes: numpy.unique(y, return_inverse=True)[1]"));
    }
    if !empty.is_empty() {
        let which = error::some(&empty);
        notes.push(format!("{source}: no image has the label {which}: these classes are empty but are counted"));
    }
    Ok((labels, (0..=most).map(|k| k.to_string()).collect()))
}
