//! How long a training takes on a CPU, from a measured pass of one image, or of several if that is
//! short: seconds per image times batch size times steps, over the number of processes.

use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use std::time::Instant;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// Parameters from which a network on a CPU is measured before its training.
const LARGE: usize = 20_000_000;

/// Below this time, the pass of one image is mostly overhead, and one of several is measured.
const SHORT: f64 = 0.5;
const SEVERAL: i64 = 16;

/// The expected time of a training of a large network on a CPU, and presets that suit one; `None`
/// for small networks and GPUs. `images` is the number of images of all steps.
///
/// # Errors
/// A pass that fails.
pub fn on_cpu(
    network: &ModelConfig,
    images: f64,
    store: &VarStore,
    model: &dyn VelocityModel,
    processes: usize,
) -> anyhow::Result<Option<String>> {
    if store.device().is_cuda() || fm_models::parameter_count(store) < LARGE {
        return Ok(None);
    }
    let mut image = seconds(network, store, model, 1)?;
    if image < SHORT {
        image = seconds(network, store, model, SEVERAL)? / SEVERAL as f64;
    }
    let total = image * images / processes.max(1) as f64;
    Ok(Some(format!(
        "time      {} on this CPU: forward and backward passes took {image:.2} s per image. --preset cifar10-tiny \
         takes hours, --preset quickstart minutes",
        words(total)
    )))
}

/// Seconds of a forward and backward pass. It draws nothing from libtorch's generator
/// and leaves weights and gradients as they are.
fn seconds(network: &ModelConfig, store: &VarStore, model: &dyn VelocityModel, rows: i64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let device = store.device();
    let shape = [&[rows], network.data_shape().as_slice()].concat();
    let classes = (network.classes() > 0).then(|| Tensor::zeros([rows], (Kind::Int64, device)));
    let x = Tensor::ones(shape, (Kind::Float, device));
    let t = Tensor::full([rows], 0.5, (Kind::Float, device));
    let loss = model.forward_t(&x, &t, classes.as_ref(), false).square().sum(Kind::Float);
    let weights = store.trainable_variables();
    Tensor::f_run_backward(&[loss], &weights, false, false)?;
    Ok(started.elapsed().as_secs_f64())
}

/// A time in its largest unit.
fn words(seconds: f64) -> String {
    const UNITS: [(&str, f64); 6] = [
        ("year", 365.25 * 86_400.0),
        ("month", 30.5 * 86_400.0),
        ("day", 86_400.0),
        ("hour", 3600.0),
        ("minute", 60.0),
        ("second", 1.0),
    ];
    let fits = |(_, length): &&(&str, f64)| seconds >= 1.5 * length;
    let (name, length) = UNITS.iter().find(fits).unwrap_or(&UNITS[5]);
    match (seconds / length).round().max(1.0) {
        1.0 => format!("about 1 {name}"),
        n => format!("about {n} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_models::unet::UNetConfig;
    use tch::{Device, nn};

    #[test]
    fn times_are_written_in_their_largest_unit() {
        for (seconds, text) in [
            (0.2, "about 1 second"),
            (80.0, "about 80 seconds"),
            (600.0, "about 10 minutes"),
            (5300.0, "about 88 minutes"),
            (7200.0, "about 2 hours"),
            (12.2 * 86_400.0, "about 12 days"),
            (70.0 * 86_400.0, "about 2 months"),
            (1e9, "about 32 years"),
        ] {
            assert_eq!(words(seconds), text);
        }
    }

    #[test]
    fn a_measured_pass_leaves_weights_and_gradients_as_they_are() {
        let unet = UNetConfig {
            channels: 32,
            channel_mult: vec![1.0, 2.0],
            res_blocks: 1,
            attention_at: vec![2],
            head_channels: 32,
            ..UNetConfig::default()
        };
        let mut network = ModelConfig::Unet(unet);
        network.fit_to_images([1, 8, 8], 10, true);
        let store = nn::VarStore::new(Device::Cpu);
        let model = network.build(&store.root()).unwrap();
        assert!(on_cpu(&network, 1e6, &store, model.as_ref(), 1).unwrap().is_none(), "a small network is not measured");
        let before: Vec<Tensor> = store.trainable_variables().iter().map(Tensor::copy).collect();
        assert!(seconds(&network, &store, model.as_ref(), 2).unwrap() > 0.0);
        for (weight, before) in store.trainable_variables().iter().zip(before) {
            assert!(weight.equal(&before) && !weight.grad().defined());
        }
    }
}
