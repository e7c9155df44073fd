//! What the embedded data sets hold: images by class, and a table of gene counts by type of cell.
//!
//! `cargo run -p fm-data --example summary`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_core::data::{DataError, Dataset, Pick};
use fm_data::{Columns, digits, table};
use std::collections::BTreeMap;

/// Rows and mean value of each class of a data set, read as training reads it: row by row, as f32.
pub(crate) fn by_class(data: &dyn Dataset) -> Result<BTreeMap<Option<i64>, (usize, f64)>, DataError> {
    let (mut row, mut found) = (vec![0.0; data.dim()], BTreeMap::new());
    for index in 0..data.len() {
        data.write(Pick { row: index, mirrored: false }, &mut row)?;
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
        let (rows, sum) = found.entry(data.class(index)).or_insert((0, 0.0));
        (*rows, *sum) = (*rows + 1, *sum + mean);
    }
    found.values_mut().for_each(|(rows, sum)| *sum /= *rows as f64);
    Ok(found)
}

pub(crate) fn main() -> Result<(), DataError> {
    let images = digits::load();
    println!("digits: {} images of shape {:?}", images.len(), images.shape());
    for (class, (rows, mean)) in by_class(&images)? {
        println!("  {class:?}: {rows} images, mean {mean:.3} in [-1, 1]");
    }
    let cells = table::genes()?;
    println!("genes: {} cells, counts of {:?} and others", cells.values.nrows(), &cells.names[..5]);
    for (class, (rows, mean)) in by_class(&Columns::unchanged(cells.values.ncols()).apply_table(&cells)?)? {
        let name = class.and_then(|class| cells.classes.get(class as usize));
        println!("  {}: {rows} cells, mean count {mean:.2}", name.map_or("unnamed", |name| name));
    }
    let missing = table::csv("no-such-file.csv".as_ref(), &table::CsvOptions::default());
    println!("a file that is not there: {}", missing.map_or_else(|e| e.to_string(), |_| String::new()));
    Ok(())
}
