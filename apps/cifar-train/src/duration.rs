//! How long a training takes on a CPU, from a measured step of one image.

use crate::config::Config;
use fm_core::tensor::VelocityModel;
use std::time::Instant;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// Parameters from which a network on a CPU is measured before its training.
const LARGE: usize = 20_000_000;

/// Below this time, the pass of one image is mostly overhead, and one of several is measured.
const SHORT: f64 = 0.5;
const SEVERAL: i64 = 16;

/// The expected time of a training of a large network on a CPU, and presets that suit one; `None`
/// for small networks and GPUs.
pub(crate) fn on_cpu(
    config: &Config,
    store: &VarStore,
    model: &dyn VelocityModel,
    processes: usize,
) -> anyhow::Result<Option<String>> {
    if store.device().is_cuda() || fm_models::parameter_count(store) < LARGE {
        return Ok(None);
    }
    let mut image = seconds(config, store, model, 1)?;
    if image < SHORT {
        image = seconds(config, store, model, SEVERAL)? / SEVERAL as f64;
    }
    let total = image * config.batch_size as f64 * config.steps as f64 / processes.max(1) as f64;
    Ok(Some(format!(
        "time      {} on this CPU: forward and backward passes took {image:.2} s per image. --preset cifar10-tiny \
         takes hours, --preset quickstart minutes",
        words(total)
    )))
}

/// Seconds of a forward and backward pass. It draws nothing from libtorch's generator
/// and leaves weights and gradients as they are.
fn seconds(config: &Config, store: &VarStore, model: &dyn VelocityModel, rows: i64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let device = store.device();
    let shape = [&[rows], config.model.data_shape().as_slice()].concat();
    let classes = (config.model.classes() > 0).then(|| Tensor::zeros([rows], (Kind::Int64, device)));
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
        let mut config = crate::presets::preset("quickstart").unwrap();
        config.model.fit_to_images([1, 8, 8], 10, true);
        let store = nn::VarStore::new(Device::Cpu);
        let model = config.model.build(&store.root()).unwrap();
        assert!(on_cpu(&config, &store, model.as_ref(), 1).unwrap().is_none(), "a small network is not measured");
        let before: Vec<Tensor> = store.trainable_variables().iter().map(Tensor::copy).collect();
        assert!(seconds(&config, &store, model.as_ref(), 2).unwrap() > 0.0);
        for (weight, before) in store.trainable_variables().iter().zip(before) {
            assert!(weight.equal(&before) && !weight.grad().defined());
        }
    }
}
