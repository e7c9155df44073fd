//! Data of four kinds in one loop: images in a folder, a CSV table with classes, a NumPy file, and
//! arrays with condition vectors.
//!
//! `cargo run -p flow-matching --features torch --example data`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::data::table::{CsvOptions, csv};
use flow_matching::data::{Columns, Preprocess, folder, npy};
use flow_matching::prelude::*;
use ndarray::Ix2;
use std::fs;
use std::path::Path;

/// A grey image of 2 x 2 pixels.
const PNG: &[u8] =
    b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x02\x00\x00\x00\x02\x08\x00\x00\x00\x00W\xdd\
    R\xf8\x00\x00\x00\x0eIDATx\xdac\x10h`\xf8\xa0\x00\x00\x04V\x01\xa1\x9et\xde\x1a\x00\x00\x00\x00IEND\
    \xaeB`\x82";

/// Small files, as another program might have written them.
fn write_files(at: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(at.join("images/cats"))?;
    fs::write(at.join("images/cats/1.png"), PNG)?;
    fs::write(at.join("flowers.csv"), "length,width,kind\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,setosa\n")?;
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
    let values: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let magic = [&b"\x93NUMPY\x01\x00"[..], &118u16.to_le_bytes(), format!("{header:<117}\n").as_bytes()].concat();
    Ok(fs::write(at.join("points.npy"), [magic, values].concat())?)
}

pub(crate) fn batches() -> Result<Vec<Batch>, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let at = directory.path();
    write_files(at)?;
    let images = folder::load(&at.join("images"), 2)?;
    let options = CsvOptions { labels: Some("kind".into()), ..CsvOptions::default() };
    let flowers = csv(&at.join("flowers.csv"), &options)?;
    let flowers = Columns::of(&flowers, Preprocess::Standardize)?.apply_table(&flowers)?;
    let points = npy::read::<f32, Ix2>(at.join("points.npy").as_path())?;
    let conditioned = Conditions::new(points.clone(), array![[0.5], [1.5], [2.5]])?;
    let (flow, mut batches) = (FlowMatching::default(), Vec::new());
    let sets: [&dyn Dataset; 4] = [&images, &flowers, &points, &conditioned];
    for data in sets {
        let batch = flow.batches(data, 3)?.next().ok_or("no batch")??;
        batches.push(batch);
    }
    Ok(batches)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    for batch in batches()? {
        let Batch { shape, classes, conditions, .. } = &batch;
        println!("{} rows of shape {shape:?}, classes {classes:?}, conditions {conditions:?}", batch.rows());
    }
    Ok(())
}
