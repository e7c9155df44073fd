//! Source rows that choose their data rows on the device that holds the data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::coupling::{ChooseRows, RowCost, RowPotentials};
use fm_core::data::Classes;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_models::ModelConfig;
use fm_models::mlp::MlpConfig;
use fm_ot::{Metric, Semidiscrete};
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::device_dataset::DeviceDataset;
use fm_train::task::FlowTask;
use ndarray::{Array2, ArrayView2};

/// Choices on the device are those of the host in f64, for every cost, with classes and mirrored
/// rows, over several blocks of data rows.
#[test]
fn the_device_chooses_the_rows_of_the_host() {
    let shape = [3usize, 32, 32];
    let (count, dim) = (6000, 3072);
    let mut draws = Key::new(3, 0, Stream::Data).generator(0);
    let pixels: Vec<u8> = (0..count * dim).map(|_| rand::Rng::random(&mut draws)).collect();
    let plain = Array2::from_shape_fn((count, dim), |(i, k)| f32::from(pixels[i * dim + k]) * (2.0 / 255.0) - 1.0);
    let mirror = |row: ArrayView2<'_, f32>| {
        let view = row.to_shape((row.nrows(), 3, 32, 32)).unwrap();
        let flipped = view.slice(ndarray::s![.., .., .., ..;-1]);
        flipped.as_standard_layout().into_owned().into_shape_with_order((row.nrows(), dim)).unwrap()
    };
    let both = ndarray::concatenate![ndarray::Axis(0), plain, mirror(plain.view())];
    let classes: Vec<i64> = (0..2 * count).map(|i| (i % count % 3) as i64).collect();
    let x0 = Array2::from_shape_vec((40, dim), normal_rows(Key::new(4, 0, Stream::Noise), 40, dim)).unwrap();
    let wanted: Vec<i64> = (0..40).map(|i| i % 3).collect();
    for (metric, spread) in [(Metric::SquaredEuclidean, 40.0), (Metric::Euclidean, 0.5), (Metric::Cosine, 0.02)] {
        let potentials: Vec<f64> = (0..2 * count).map(|i| spread * (i as f64).sin()).collect();
        let coupling = Semidiscrete::with_classes(both.clone(), &classes, metric).unwrap();
        let coupling = coupling.with_potentials(&potentials).unwrap();
        let images = DeviceDataset::new(&pixels, shape, 255, tch::Device::Cpu).unwrap();
        let images = images.choosing(&coupling.row_potentials().unwrap()).unwrap();
        let host = coupling.choose(x0.view(), Some(&wanted)).unwrap();
        let x = tch::Tensor::try_from(&x0).unwrap().view([40, 3, 32, 32]);
        let (rows, mirrored) = images.choose(&x, Some(&tch::Tensor::from_slice(&wanted))).unwrap();
        let mirrored = Vec::<bool>::try_from(mirrored.unwrap()).unwrap();
        let rows = Vec::<i64>::try_from(rows).unwrap();
        let device: Vec<usize> =
            rows.iter().zip(&mirrored).map(|(row, m)| *row as usize + usize::from(*m) * count).collect();
        assert_eq!(device, host, "{metric}");
        assert!(mirrored.contains(&true) && mirrored.contains(&false));
        assert!(images.choose(&x, None).is_none(), "classes are needed");
    }
}

#[test]
fn a_choice_on_the_device_needs_one_potential_per_row() {
    let images = || DeviceDataset::new(&[0, 255, 3], [1, 1, 1], 255, tch::Device::Cpu).unwrap();
    let of = |values: usize, classes: Option<usize>| RowPotentials {
        cost: RowCost::SquaredEuclidean,
        values: vec![0.0; values],
        classes: classes.map(|count| vec![0; count]),
    };
    for (potentials, says) in [(of(2, None), "number of potentials"), (of(6, Some(3)), "number of classes")] {
        let error = images().choosing(&potentials).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(images().set_potentials(&[0.0; 3]).is_err());
    let mut choosing = images().choosing(&of(3, None)).unwrap();
    assert!(choosing.set_potentials(&[0.0; 2]).is_err() && choosing.set_potentials(&[0.0; 3]).is_ok());
    let x = tch::Tensor::from_slice(&[0.9f32]).view([1, 1, 1, 1]);
    assert!(images().choose(&x, None).is_none());
    assert_eq!(Vec::<i64>::try_from(choosing.choose(&x, None).unwrap().0).unwrap(), [1]);
}

/// The first mirrored row is the first row, mirrored.
#[test]
fn mirrored_rows_follow_the_others() {
    let images = DeviceDataset::new(&[0, 255, 128, 128], [1, 1, 2], 255, tch::Device::Cpu).unwrap();
    let potentials = RowPotentials { cost: RowCost::SquaredEuclidean, values: vec![0.0; 4], classes: None };
    let images = images.choosing(&potentials).unwrap();
    let x = tch::Tensor::from_slice(&[1.0f32, -1.0, -1.0, 1.0, 0.0, 0.0]).view([3, 1, 1, 2]);
    let (rows, mirrored) = images.choose(&x, None).unwrap();
    assert_eq!(Vec::<i64>::try_from(&rows).unwrap(), [0, 0, 1]);
    assert_eq!(Vec::<bool>::try_from(mirrored.as_ref().unwrap()).unwrap(), [true, false, false]);
    let chosen = Vec::<f32>::try_from(images.select(&rows, mirrored.as_ref()).view(-1)).unwrap();
    assert_eq!(chosen[..4], [1.0, -1.0, -1.0, 1.0]);
}

/// Batches that choose on the device have the noise and the labels of those that choose on workers.
#[test]
fn batches_that_choose_on_the_device_bring_noise_and_classes() {
    let classes: Vec<i64> = (0..40).map(|i| i64::from(i % 4 == 0)).collect();
    let rows = Array2::from_shape_vec((40, 2), normal_rows(Key::new(4, 0, Stream::Data), 40, 2)).unwrap();
    let data = Classes::new(rows.clone(), classes.clone()).unwrap();
    let chooser = Semidiscrete::with_classes(rows, &classes, Metric::default()).unwrap();
    let flow = FlowMatching::default();
    let options = |resident| BatchOptions {
        rows: 40,
        conditional: true,
        dropped: Some((7, 0.25)),
        resident,
        ..BatchOptions::default()
    };
    let batches = |resident| FlowBatches::new(&flow, &data, options(resident)).unwrap();
    let on_device = batches(true).chosen_on_device().unwrap();
    let on_workers = batches(true).chosen_by(&chooser).unwrap();
    let (here, there) = (on_device.batch(3).unwrap(), on_workers.batch(3).unwrap());
    assert_eq!((&here.x0, &here.classes, here.rows()), (&there.x0, &there.classes, 40));
    // A dropped label does not change the class within which a row is chosen.
    let kept = here.classes.iter().zip(&here.choosing).filter(|(class, _)| **class != 7);
    assert!(kept.clone().count() < 40 && kept.clone().all(|(class, choosing)| class == choosing));
    assert!(here.x1.is_empty() && here.device_rows.is_empty() && there.choosing.is_empty());
    assert_eq!(here.part(10..20, 40).choosing, here.choosing[10..20]);
    let error = batches(false).chosen_on_device().unwrap_err().to_string();
    assert!(error.contains("resident"), "{error}");
    let both = batches(true).chosen_on_device().unwrap().chosen_by(&chooser).unwrap_err().to_string();
    assert!(both.contains("give only one of the two"), "{both}");
}

/// Batches that a device cannot choose for are errors before anything is uploaded.
#[test]
fn batches_need_potentials_and_classes_of_the_data() {
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    let config = MlpConfig { dim: 1, ..MlpConfig::default() };
    let network = ModelConfig::Mlp(config).build(&store.root()).unwrap();
    let flow = FlowMatching::default();
    let images = || DeviceDataset::new(&[0, 255], [1, 1, 1], 255, tch::Device::Cpu).unwrap();
    let within = RowPotentials { cost: RowCost::Cosine, values: vec![0.0; 2], classes: Some(vec![4, 6]) };
    let batch = |class| Batch { shape: vec![1], x0: vec![0.5], choosing: vec![class], ..Batch::default() };
    let refused = |images: DeviceDataset, class| {
        let task = FlowTask { resident: Some(images), ..FlowTask::new(&network, &flow) };
        task.batch_loss(&batch(class)).unwrap_err().to_string()
    };
    assert!(refused(images(), 0).contains("the device has no potentials"));
    let error = refused(images().choosing(&within).unwrap(), 5);
    assert!(error.contains("no row on the device has class 5"), "{error}");
}
