//! The autoencoder: its codebook against vector-quantize-pytorch
//! (`python3 crates/fm-models/tests/reference/codebook.py`), its gradients, and its revival of dead
//! codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{integers, numbers, relative, tensor, values};
use fm_models::vqvae::{Codebook, CodebookConfig, VqVae, VqVaeConfig};
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

#[test]
fn the_codebook_follows_its_vectors_as_vector_quantize_pytorchs() {
    let reference: Value = serde_json::from_str(include_str!("reference/codebook.json")).unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    let config = CodebookConfig { codes: 8, dim: 3, decay: 0.9, dead_below: 0.0 };
    let book = Codebook::new(&store.root(), &config).unwrap();
    book.set(&tensor("codes", &[8, 3], 1.0, 0.0), 1.0);
    for (step, want) in reference["steps"].as_array().unwrap().iter().enumerate() {
        let z = tensor(&format!("z{step}"), &[40, 3], 1.5, 0.0);
        let chosen = book.nearest(&z);
        assert_eq!(Vec::<i64>::try_from(&chosen).unwrap(), integers(&want["numbers"]), "step {step}");
        let commitment = (&z - book.look_up(&chosen)).square().mean(Kind::Float).double_value(&[]);
        assert!((commitment - want["commitment"].as_f64().unwrap()).abs() < 1e-6, "step {step}");
        book.update(&z, &chosen);
        for (name, key) in [("embed", "embed"), ("cluster_size", "cluster_size")] {
            let off = relative(&values(&store.variables()[name]), &numbers(&want[key]));
            assert!(off < 1e-6, "{name} of step {step} is off by {off}");
        }
    }
}

#[test]
fn dead_codes_are_moved_to_vectors_of_the_batch_and_usage_counts() {
    let store = nn::VarStore::new(Device::Cpu);
    let book = Codebook::new(&store.root(), &CodebookConfig { codes: 4, dim: 2, ..CodebookConfig::default() }).unwrap();
    // Fresh codes are all dead: each becomes one of the vectors.
    let z = tensor("z", &[50, 2], 1.0, 5.0);
    book.update(&z, &book.nearest(&z));
    let codes = book.look_up(&Tensor::from_slice(&[0i64, 1, 2, 3]));
    for k in 0..4 {
        let nearest = (&z - codes.get(k)).abs().sum_dim_intlist(1, false, Kind::Float).min().double_value(&[]);
        assert_eq!(nearest, 0.0);
    }
    // A code that nothing is near dies after some time and comes back to life; the others stay.
    book.set(&Tensor::from_slice2(&[[4.8f32, 5.0], [5.0, 5.0], [5.2, 5.0], [-90.0, -90.0]]), 3.0);
    let far = |book: &Codebook| book.look_up(&Tensor::from_slice(&[3i64])).min().double_value(&[]) < -1.0;
    for _ in 0..50 {
        book.update(&z, &book.nearest(&z));
    }
    assert!(far(&book), "three times the threshold takes 110 updates to decay");
    for _ in 0..70 {
        book.update(&z, &book.nearest(&z));
    }
    assert!(!far(&book));
    // A revived code is given time: it stays where it is put for a while, chosen or not.
    let fresh =
        Codebook::new(&(store.root() / "fresh"), &CodebookConfig { codes: 4, dim: 2, ..CodebookConfig::default() })
            .unwrap();
    fresh.update(&z, &fresh.nearest(&z));
    let numbers = Tensor::from_slice(&[0i64, 1, 2, 3]);
    let placed = fresh.look_up(&numbers);
    let nowhere = Tensor::from_slice2(&[[9f32, 9.0]]);
    fresh.update(&nowhere, &Tensor::from_slice(&[0i64]));
    let moved = (fresh.look_up(&numbers) - placed).abs().narrow(0, 1, 3).max().double_value(&[]);
    assert!(moved < 1e-3, "moved by {moved}");
    let (share, perplexity) = book.usage(&Tensor::from_slice(&[0i64, 0, 2, 2]));
    assert!((share - 0.5).abs() < 1e-12 && (perplexity - 2.0).abs() < 1e-12);
}

#[test]
fn the_codes_gradient_is_handed_to_the_encoder() {
    let store = nn::VarStore::new(Device::Cpu);
    let config = VqVaeConfig { image_channels: 1, image_size: [8, 8], commitment: 0.0, ..VqVaeConfig::default() };
    let model = VqVae::new(&store.root(), &config).unwrap();
    let x = tensor("x", &[4, 1, 8, 8], 1.0, 0.0);
    // As many codes as vectors, each a vector: what is decoded is what was encoded, and the
    // gradients must be those of a plain autoencoder.
    let z = model.encode(&x);
    let vectors = z.permute([0, 2, 3, 1]).reshape([-1, 4]).detach();
    let codes = Tensor::cat(&[&vectors, &(vectors.ones_like() * 1e3).repeat([3, 1])], 0);
    let book = store.variables();
    book["codebook.embed"].shallow_clone().copy_(&codes);
    let gradient = |loss: Tensor| {
        store.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        loss.backward();
        values(&store.variables()["encoder.conv_in.weight"].grad())
    };
    let through = gradient((model.reconstruct(&x, false).images - &x).square().mean(Kind::Float));
    assert!(through.iter().any(|g| g.abs() > 1e-6));
    // A small step of the encoder against that gradient lowers the loss of the autoencoder without
    // the codebook.
    let loss = |model: &VqVae| (model.reconstruct(&x, false).images - &x).square().mean(Kind::Float).double_value(&[]);
    let before = loss(&model);
    let step = Tensor::from_slice(&through).to_kind(Kind::Float).view([32, 1, 3, 3]) * 1e-2;
    tch::no_grad(|| {
        let mut weight = store.variables()["encoder.conv_in.weight"].shallow_clone();
        weight -= step;
        let moved = model.encode(&x).permute([0, 2, 3, 1]).reshape([-1, 4]);
        store.variables()["codebook.embed"].shallow_clone().narrow(0, 0, 64).copy_(&moved);
    });
    let square: f64 = through.iter().map(|g| g * g).sum();
    let (fell, expected) = (before - loss(&model), 1e-2 * square);
    assert!((fell / expected - 1.0).abs() < 0.05, "fell by {fell}, the gradient says {expected}");
}

#[test]
fn parameters_are_counted_as_they_are_built() {
    let default = VqVaeConfig::default;
    for config in [default(), VqVaeConfig { channel_mult: vec![1, 2, 3], res_blocks: 2, ..default() }] {
        let store = nn::VarStore::new(Device::Cpu);
        VqVae::new(&store.root(), &config).unwrap();
        assert_eq!(config.parameters().unwrap() as usize, fm_models::parameter_count(&store));
    }
}

#[test]
fn the_loss_is_reconstruction_and_commitment() {
    let store = nn::VarStore::new(Device::Cpu);
    let config = VqVaeConfig { image_channels: 1, image_size: [8, 8], commitment: 0.7, ..VqVaeConfig::default() };
    let model = VqVae::new(&store.root(), &config).unwrap();
    let x = tensor("x", &[2, 1, 8, 8], 1.0, 0.0);
    let z = model.encode(&x);
    let codes = tensor("codes", &[256, 4], 0.5, 0.0);
    store.variables()["codebook.embed"].shallow_clone().copy_(&codes);
    let vectors = z.permute([0, 2, 3, 1]).reshape([-1, 1, 4]);
    let nearest = (vectors - codes.unsqueeze(0)).square().mean_dim(2, false, Kind::Float).amin(1, false);
    let squares = (model.decode(&z) - &x).square().mean(Kind::Float) + nearest.mean(Kind::Float) * 0.7;
    let off = (model.loss(&x, false) - squares).abs().double_value(&[]);
    assert!(off < 1e-6, "{off}");
}

#[test]
fn impossible_sizes_name_the_remedy() {
    let default = VqVaeConfig::default;
    let book = CodebookConfig::default;
    for (config, says) in [
        (VqVaeConfig { channels: 20, ..default() }, "multiple of 32"),
        (VqVaeConfig { image_size: [32, 9], ..default() }, "use fewer stages"),
        (VqVaeConfig { channel_mult: vec![], ..default() }, "between 1 and 8 stages"),
        (VqVaeConfig { codebook: CodebookConfig { codes: 1, ..book() }, ..default() }, "give 2 to 2^20 codes"),
        (VqVaeConfig { codebook: CodebookConfig { decay: 1.0, ..book() }, ..default() }, "decay in [0, 1)"),
    ] {
        let store = nn::VarStore::new(Device::Cpu);
        let error = VqVae::new(&store.root(), &config).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
