//! Batches whose source rows choose their data rows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::coupling::{ChooseRows, CouplingError, Independent};
use fm_core::data::{Classes, Conditions, DataError, Dataset, Pick};
use fm_core::rng::{Key, Stream, normal_rows};
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::collective::Shard;
use ndarray::{Array2, ArrayView2};

/// Chooses the row nearest to each source row, within classes if there are any.
struct Nearest {
    rows: Array2<f32>,
    classes: Vec<i64>,
}

impl ChooseRows for Nearest {
    fn rows(&self) -> usize {
        self.rows.nrows()
    }

    fn dim(&self) -> usize {
        self.rows.ncols()
    }

    fn needs_classes(&self) -> bool {
        !self.classes.is_empty()
    }

    fn choose(&self, x0: ArrayView2<'_, f32>, classes: Option<&[i64]>) -> Result<Vec<usize>, CouplingError> {
        let nearest = |(i, x): (usize, ndarray::ArrayView1<'_, f32>)| {
            let own = |j: &usize| classes.is_none_or(|classes| classes[i] == self.classes[*j]);
            let far = |j: usize| (&self.rows.row(j) - &x).mapv(|v| v * v).sum();
            (0..self.rows.nrows()).filter(own).min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap()
        };
        Ok(x0.rows().into_iter().enumerate().map(nearest).collect())
    }
}

/// Images of two pixels, whose mirror image has them the other way round.
struct Images(Array2<f32>);

impl Dataset for Images {
    fn len(&self) -> usize {
        self.0.nrows()
    }

    fn dim(&self) -> usize {
        2
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        let (left, right) = (self.0[(pick.row, 0)], self.0[(pick.row, 1)]);
        let row = if pick.mirrored { [right, left] } else { [left, right] };
        out.copy_from_slice(&row);
        Ok(())
    }
}

fn rows(n: usize) -> Array2<f32> {
    Array2::from_shape_vec((n, 2), normal_rows(Key::new(4, 0, Stream::Data), n, 2)).unwrap()
}

fn options(rows: usize) -> BatchOptions {
    BatchOptions { rows, ..BatchOptions::default() }
}

/// The nearest of `data` to each source row of a batch.
fn assert_nearest(batch: &Batch, data: &Array2<f32>) {
    for (x0, x1) in batch.x0.chunks(2).zip(batch.x1.chunks(2)) {
        let far = |y: &[f32]| (y[0] - x0[0]).powi(2) + (y[1] - x0[1]).powi(2);
        assert!(data.rows().into_iter().all(|y| far(x1) <= far(y.as_slice().unwrap())));
    }
}

#[test]
fn source_rows_have_the_rows_they_choose_and_keep_their_noise() {
    let (data, flow) = (rows(50), FlowMatching::default().seed(3));
    let chooser = Nearest { rows: data.clone(), classes: Vec::new() };
    let batches = FlowBatches::new(&flow, &data, options(40)).unwrap().chosen_by(&chooser).unwrap();
    let plain = FlowBatches::new(&flow, &data, options(40)).unwrap();
    for step in [0, 9, 3] {
        let batch = batches.batch(step).unwrap();
        assert_eq!(batch.x0, plain.batch(step).unwrap().x0);
        assert_nearest(&batch, &data);
        assert!(batch.coupling_gain.unwrap() < 0.3, "{:?}", batch.coupling_gain);
        assert_eq!(batch, batches.batch(step).unwrap());
    }
    // Several processes have the rows of the whole batch, and its gain.
    let whole = batches.batch(5).unwrap();
    for rank in 0..3 {
        let shard = Shard { rank, count: 3 };
        let shared = FlowBatches::new(&flow, &data, options(40)).unwrap().chosen_by(&chooser).unwrap().shared(shard);
        let rows = shard.rows(40);
        let part = shared.batch(5).unwrap();
        assert_eq!(part.x1, whole.x1[2 * rows.start..2 * rows.end]);
        assert_eq!(part.x0, whole.x0[2 * rows.start..2 * rows.end]);
        assert_eq!(part.coupling_gain, whole.coupling_gain);
    }
    // Steps that are grouped change nothing.
    let grouped = FlowMatching { coupled_steps: 4, ..flow.clone() };
    let batches = FlowBatches::new(&grouped, &data, options(40)).unwrap().chosen_by(&chooser).unwrap();
    assert_eq!(batches.batch(5).unwrap().x1, whole.x1);
    // A row alone has no other to compare with.
    let alone = FlowBatches::new(&flow, &data, options(1)).unwrap().chosen_by(&chooser).unwrap();
    assert_eq!(alone.batch(0).unwrap().coupling_gain, None);
}

#[test]
fn mirrored_rows_are_chosen_as_rows_of_their_own_and_resident_ones_by_number() {
    let (data, flow) = (Images(rows(30)), FlowMatching::default());
    let mirrored = Array2::from_shape_fn((30, 2), |(i, k)| data.0[(i, 1 - k)]);
    let both = ndarray::concatenate(ndarray::Axis(0), &[data.0.view(), mirrored.view()]).unwrap();
    let chooser = Nearest { rows: both.clone(), classes: Vec::new() };
    let brought = |resident| {
        let options = BatchOptions { mirror: true, resident, ..options(60) };
        FlowBatches::new(&flow, &data, options).unwrap().chosen_by(&chooser).unwrap().batch(2).unwrap()
    };
    let (batch, named) = (brought(false), brought(true));
    assert_nearest(&batch, &both);
    assert!(named.x1.is_empty() && named.x0 == batch.x0 && named.coupling_gain == batch.coupling_gain);
    let mut row = [0.0; 2];
    for (pick, x1) in named.device_rows.iter().zip(batch.x1.chunks(2)) {
        data.write(*pick, &mut row).unwrap();
        assert_eq!(row, x1);
    }
    let count = named.device_rows.iter().filter(|pick| pick.mirrored).count();
    assert!((10..50).contains(&count), "{count}");
}

#[test]
fn classes_come_by_the_order_of_the_rows_and_choose_among_their_own() {
    let classes: Vec<i64> = (0..40).map(|i| i64::from(i % 4 == 0)).collect();
    let data = Classes::new(rows(40), classes.clone()).unwrap();
    let (flow, chooser) = (FlowMatching::default(), Nearest { rows: rows(40), classes: classes.clone() });
    let options = BatchOptions { conditional: true, dropped: Some((7, 0.25)), ..options(40) };
    let batches = FlowBatches::new(&flow, &data, options.clone()).unwrap().chosen_by(&chooser).unwrap();
    let plain = FlowBatches::new(&flow, &data, options).unwrap();
    let (batch, order) = (batches.batch(1).unwrap(), plain.batch(1).unwrap());
    // Labels, dropped ones too, are those of the order; an epoch has each class as often.
    assert_eq!(batch.classes, order.classes);
    for (x1, class) in batch.x1.chunks(2).zip(&batch.classes) {
        let row = data_row(x1);
        assert!(*class == 7 || classes[row] == *class);
    }
    assert!(batch.classes.contains(&7) && batch.x1 != order.x1);
}

fn data_row(x: &[f32]) -> usize {
    rows(40).rows().into_iter().position(|row| row.as_slice() == Some(x)).unwrap()
}

/// Rows that do not end.
struct Endless;

impl Dataset for Endless {
    fn len(&self) -> usize {
        20
    }

    fn dim(&self) -> usize {
        2
    }

    fn write(&self, _: Pick, _: &mut [f32]) -> Result<(), DataError> {
        Ok(())
    }

    fn is_endless(&self) -> bool {
        true
    }
}

/// Chooses a row that is not there.
struct Beyond;

impl ChooseRows for Beyond {
    fn rows(&self) -> usize {
        20
    }

    fn dim(&self) -> usize {
        2
    }

    fn choose(&self, x0: ArrayView2<'_, f32>, _: Option<&[i64]>) -> Result<Vec<usize>, CouplingError> {
        Ok(vec![20; x0.nrows()])
    }
}

#[test]
fn choosers_that_do_not_fit_are_errors() {
    let (data, flow) = (rows(20), FlowMatching::default());
    let chooser = Nearest { rows: rows(20), classes: Vec::new() };
    let refused = |flow: &FlowMatching, data: &dyn Dataset, options: BatchOptions, chooser: &dyn ChooseRows| {
        FlowBatches::new(flow, data, options).unwrap().chosen_by(chooser).unwrap_err().to_string()
    };
    let told = refused(&flow, &Endless, options(8), &chooser);
    assert!(told.contains("fixed number of rows"), "{told}");
    let told = refused(&flow, &rows(21), options(8), &chooser);
    assert!(told.contains("21 rows of 2 values"), "{told}");
    let told = refused(&flow, &data, BatchOptions { mirror: true, ..options(8) }, &chooser);
    assert!(told.contains("40 rows of 2 values"), "{told}");
    let coupled = FlowMatching::default().coupling(Independent);
    assert!(refused(&coupled, &data, options(8), &chooser).contains("give only one of the two"));
    let classes = Classes::new(rows(20), vec![0; 20]).unwrap();
    let conditional = BatchOptions { conditional: true, ..options(8) };
    assert!(refused(&flow, &classes, conditional.clone(), &chooser).contains("a chooser with classes"));
    let within = Nearest { rows: rows(20), classes: vec![0; 20] };
    assert!(refused(&flow, &data, options(8), &within).contains("a chooser with classes"));
    let vectors = Conditions::new(rows(20), rows(20)).unwrap();
    assert!(refused(&flow, &vectors, conditional, &within).contains("condition vectors"));
    let batches = FlowBatches::new(&flow, &data, options(8)).unwrap().chosen_by(&Beyond).unwrap();
    assert!(batches.batch(0).unwrap_err().to_string().contains("rows that the data do not have"));
}
