//! Rows of batches as functions of seed, step and row.

use super::*;
use fm_core::data::Conditions;
use ndarray::Array2;

fn picks(mirror: bool) -> Vec<Pick> {
    let (table, flow) = (Array2::zeros((50, 3)), FlowMatching::default());
    let options = BatchOptions { rows: 200, mirror, resident: true, ..BatchOptions::default() };
    FlowBatches::new(&flow, &table, options).unwrap().batch(0).unwrap().device_rows
}

#[test]
fn augmented_rows_are_functions_of_seed_step_and_row() {
    struct Shift;
    impl Augment for Shift {
        fn apply(&self, row: &mut [f32], rng: &mut dyn rand::RngCore) {
            let by = rng.random::<f32>();
            row.iter_mut().for_each(|value| *value += by);
        }
    }
    let (table, flow) = (Array2::zeros((50, 3)), FlowMatching::default());
    let options = || BatchOptions { rows: 20, ..BatchOptions::default() };
    let batches = FlowBatches::new(&flow, &table, options()).unwrap().augmented(&Shift).unwrap();
    let (first, again, next) = (batches.batch(3).unwrap(), batches.batch(3).unwrap(), batches.batch(4).unwrap());
    assert_eq!(first.x1, again.x1);
    assert!(first.x1 != next.x1 && first.x1.iter().all(|v| *v > 0.0));
    // Of several processes, each has its rows of the same batch.
    for rank in 0..2 {
        let shard = Shard { rank, count: 2 };
        let part = FlowBatches::new(&flow, &table, options()).unwrap().augmented(&Shift).unwrap().shared(shard);
        let rows = shard.rows(20);
        assert_eq!(part.batch(3).unwrap().x1, first.x1[3 * rows.start..3 * rows.end]);
    }
    let resident = FlowBatches::new(&flow, &table, BatchOptions { resident: true, ..options() }).unwrap();
    let error = resident.augmented(&Shift).unwrap_err().to_string();
    assert!(error.contains("made on the host"), "{error}");
}

#[test]
fn rows_are_mirrored_half_the_time_or_never_and_each_by_its_own_chance() {
    assert!(picks(false).iter().all(|pick| !pick.mirrored));
    let mirrored = picks(true);
    let count = mirrored.iter().filter(|pick| pick.mirrored).count();
    assert!((60..140).contains(&count), "{count} of 200");
    // A row that occurs several times is not always mirrored.
    let both = |row| [true, false].iter().all(|m| mirrored.iter().any(|p| p.row == row && p.mirrored == *m));
    assert!((0..50).any(both));
}

/// Row numbers as values, and as classes until the fifth row.
struct Numbers;

impl Dataset for Numbers {
    fn len(&self) -> usize {
        usize::MAX
    }

    fn dim(&self) -> usize {
        1
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn class(&self, row: usize) -> Option<i64> {
        (row < 5).then_some(row as i64)
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        out[0] = pick.row as f32;
        Ok(())
    }
}

#[test]
fn rows_of_an_endless_data_set_are_new_at_every_step() {
    let flow = FlowMatching::default();
    let batches = FlowBatches::new(&flow, &Numbers, BatchOptions { rows: 3, ..BatchOptions::default() }).unwrap();
    assert_eq!(batches.batch(0).unwrap().x1, [0.0, 1.0, 2.0]);
    assert_eq!(batches.batch(7).unwrap().x1, [21.0, 22.0, 23.0]);
    let shared = batches.shared(Shard { rank: 1, count: 3 });
    assert_eq!(shared.batch(7).unwrap().x1, [22.0]);
    let resident = BatchOptions { resident: true, ..BatchOptions::default() };
    assert!(FlowBatches::new(&flow, &Numbers, resident).is_err());
    let conditional = BatchOptions { rows: 3, conditional: true, ..BatchOptions::default() };
    let batches = FlowBatches::new(&flow, &Numbers, conditional).unwrap();
    assert_eq!(batches.batch(0).unwrap().classes, [0, 1, 2]);
    assert!(batches.batch(1).unwrap_err().to_string().contains("row 5 of the data has no class"));
}

#[test]
fn condition_vectors_go_with_their_rows_and_are_dropped_at_the_given_rate() {
    let rows = Array2::from_shape_fn((100, 1), |(i, _)| i as f32);
    let vectors = Array2::from_shape_fn((100, 2), |(i, k)| (1 + 10 * i + k) as f32);
    let (data, flow) = (Conditions::new(rows, vectors).unwrap(), FlowMatching::default());
    let dropped = Some((0, 0.25));
    let options = BatchOptions { rows: 1000, conditional: true, dropped, ..BatchOptions::default() };
    let batch = FlowBatches::new(&flow, &data, options).unwrap().batch(0).unwrap();
    let mut zeros = 0;
    for (x, vector) in batch.x1.iter().zip(batch.conditions.chunks_exact(2)) {
        let own = [1.0 + 10.0 * x, 2.0 + 10.0 * x];
        assert!(vector == own || vector == [0.0, 0.0], "{x}: {vector:?}");
        zeros += usize::from(vector == [0.0, 0.0]);
    }
    assert!(zeros.abs_diff(250) < 60 && batch.classes.is_empty(), "{zeros}");
}
