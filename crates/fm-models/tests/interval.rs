//! Networks with an interval: the values and derivatives of PyTorch
//! (`python3 crates/fm-models/tests/reference/interval.py`), the derivatives of every network
//! against differences, and the weights of flows in the networks of flow maps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, integers, numbers, reference_model, relative, tensor, values, weight};
use fm_core::tensor::VelocityModel;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::TimeEmbedding;
use fm_models::mlp::MlpConfig;
use fm_models::sequence::SequenceConfig;
use fm_models::unet::UNetConfig;
use fm_models::{ModelConfig, interchange};
use fm_torch::forward_ad::with_level;
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

/// u and its derivative along (dx, dt, dh).
fn derivative(
    model: &dyn VelocityModel,
    at: [&Tensor; 3],
    along: [&Tensor; 3],
    classes: Option<&Tensor>,
) -> [Tensor; 2] {
    let (u, du) = with_level(|level| {
        let [x, t, h] = [0, 1, 2].map(|i| level.dual(at[i], along[i]).unwrap());
        level.parts(&model.mean_velocity(&x, &t, &h, classes, false).unwrap()).unwrap()
    })
    .unwrap();
    [u, du]
}

#[test]
fn derivatives_equal_pytorchs() {
    let reference: Value = serde_json::from_str(include_str!("reference/interval.json")).unwrap();
    for (name, case) in reference.as_object().unwrap() {
        let (config, _store, model) = reference_model(None, case);
        assert!(config.takes_intervals() && model.takes_intervals());
        let shape = [&[3], integers(&case["shape"]).as_slice()].concat();
        let [x, dx] = ["x", "dx"].map(|n| tensor(n, &shape, 1.7, 0.0));
        let [t, h] = ["t", "h"].map(|n| Tensor::from_slice(&numbers(&case[n])).to_kind(Kind::Float));
        let (one, none) = (t.ones_like(), t.zeros_like());
        for (along, direction) in [("pair", [&dx, &one, &(-&one)]), ("end", [&x.zeros_like(), &none, &one])] {
            let [u, du] = derivative(model.as_ref(), [&x, &t, &h], direction, None);
            let off = [(u, "u"), (du, along)].map(|(got, want)| relative(&values(&got), &numbers(&case[want])));
            assert!(off[0] < 1e-5 && off[1] < 1e-4, "{name}, {along}: {off:?}");
        }
        // An interval at the last row only: there u is the velocity.
        let last = |x: Tensor| values(&x.narrow(0, 2, 1));
        let u = model.mean_velocity(&x, &t, &h, None, false).unwrap();
        assert_eq!(last(u), last(model.forward(&x, &t, None)), "{name}");
    }
}

/// Every kind of network, small, with smooth times.
fn networks() -> Vec<ModelConfig> {
    let time = TimeEmbedding::raw();
    let unet = UNetConfig {
        image_channels: 1,
        image_size: [8, 8],
        channels: 32,
        channel_mult: vec![1.0, 1.0],
        res_blocks: 1,
        attention_at: vec![2],
        head_channels: 16,
        dropout: 0.0,
        classes: 3,
        null_class: true,
        time,
        ..UNetConfig::default()
    };
    vec![
        ModelConfig::Unet(UNetConfig { scale_shift_norm: true, resblock_updown: true, ..unet.clone() }),
        ModelConfig::Unet(unet),
        ModelConfig::Dit(DitConfig {
            image_channels: 1,
            image_size: [4, 4],
            width: 16,
            depth: 2,
            heads: 2,
            affine_norm: true,
            exact_gelu: true,
            classes: 3,
            null_class: true,
            time,
            ..DitConfig::default()
        }),
        ModelConfig::Sequence(SequenceConfig {
            length: 5,
            channels: 2,
            width: 16,
            depth: 2,
            heads: 2,
            classes: 3,
            null_class: true,
            time,
            ..SequenceConfig::default()
        }),
        ModelConfig::Mlp(MlpConfig { dim: 3, classes: 3, null_class: true, ..MlpConfig::default() }),
        ModelConfig::ConcatSquash(ConcatSquashConfig {
            dim: 3,
            widths: vec![16, 8],
            classes: 3,
            null_class: true,
            ..ConcatSquashConfig::default()
        }),
    ]
}

fn fill(store: &nn::VarStore) {
    for (name, mut variable) in store.variables().into_iter().filter(|(_, v)| v.requires_grad()) {
        tch::no_grad(|| variable.copy_(&weight(&name, &variable.size())));
    }
}

/// Rows x, times, intervals and classes for a network.
fn inputs(config: &ModelConfig) -> [Tensor; 4] {
    let x = tensor("x", &[&[2], config.data_shape().as_slice()].concat(), 1.2, 0.0);
    [x, Tensor::from_slice(&[0.2f32, 0.6]), Tensor::from_slice(&[0.5f32, 0.3]), Tensor::from_slice(&[2i64, 3])]
}

#[test]
fn derivatives_of_every_network_equal_differences() {
    for config in networks().into_iter().map(|config| config.with_intervals(true)) {
        let (mut store, model) = build(&config);
        fill(&store);
        let [x, t, h, classes] = inputs(&config);
        let dx = tensor("dx", &x.size(), 1.0, 0.0);
        let rates = [&dx, &t.full_like(1.0), &t.full_like(-1.0)];
        let [_, got] = derivative(model.as_ref(), [&x, &t, &h], rates, Some(&classes));
        // Differences of order 4 in f64, of outputs that a network rounds to f32.
        store.set_kind(Kind::Double);
        let wide = |x: &Tensor| x.to_kind(Kind::Double);
        let u = |e: f64| {
            let [x, t, h] = [(&x, 0), (&t, 1), (&h, 2)].map(|(at, i)| wide(at) + wide(rates[i]) * e);
            wide(&model.mean_velocity(&x, &t, &h, Some(&classes), false).unwrap())
        };
        let e = 2e-2;
        let want = ((u(e) - u(-e)) * 8.0 - (u(2.0 * e) - u(-2.0 * e))) / (12.0 * e);
        let off = relative(&values(&got), &values(&want));
        assert!(off < 2e-4, "{}: off by {off}", config.kind());
    }
}

#[test]
fn weights_of_a_flow_are_those_of_a_flow_map_that_ignores_the_interval() {
    for flow in networks() {
        let map = flow.clone().with_intervals(true);
        let ((flow_store, flow_model), (map_store, map_model)) = (build(&flow), build(&map));
        assert_eq!(map.parameters().unwrap() as usize, fm_models::parameter_count(&map_store), "{}", flow.kind());
        fill(&flow_store);
        let weights = flow_store.variables().into_iter().collect();
        interchange::load(&map_store, map.kind(), &weights).unwrap();
        let [x, t, h, classes] = inputs(&flow);
        let want = flow_model.forward(&x, &t, Some(&classes));
        assert!(map_model.forward(&x, &t, Some(&classes)).equal(&want), "{}", flow.kind());
        for h in [&h, &h.zeros_like(), &Tensor::zeros([1], (Kind::Float, Device::Cpu))] {
            let u = map_model.mean_velocity(&x, &t, h, Some(&classes), false).unwrap();
            assert!(u.equal(&want), "{}", flow.kind());
        }
        assert!(!flow_model.takes_intervals() && flow_model.mean_velocity(&x, &t, &h, None, false).is_none());
        // Some parameters of the interval without the others are a mismatch.
        let mut part: std::collections::BTreeMap<_, _> = map_store.variables().into_iter().collect();
        let (one, _) = part.iter().find(|(name, _)| !weights.contains_key(*name)).unwrap();
        let one = one.clone();
        part.remove(&one);
        if part.len() > weights.len() {
            let error = interchange::load(&map_store, map.kind(), &part).unwrap_err().to_string();
            assert!(error.contains(&one), "{error}");
        }
    }
}

/// Weights of a flow are those of a decoupled map, whose last blocks see the end of the interval.
#[test]
fn a_decoupled_transformer_has_the_parameters_and_the_velocities_of_a_flow() {
    let Some(ModelConfig::Dit(flow)) = networks().into_iter().find(|config| config.kind() == "dit") else {
        panic!("no transformer")
    };
    let map = |decoder_blocks| ModelConfig::Dit(DitConfig { decoder_blocks, ..flow.clone() }).with_intervals(true);
    let flow = ModelConfig::Dit(flow.clone());
    let (flow_store, flow_model) = build(&flow);
    fill(&flow_store);
    let weights = flow_store.variables().into_iter().collect();
    let [x, t, h, classes] = inputs(&flow);
    let of = |blocks: i64, h: &Tensor| {
        let config = map(blocks);
        let (store, model) = build(&config);
        assert_eq!(config.parameters().unwrap(), flow.parameters().unwrap());
        interchange::load(&store, config.kind(), &weights).unwrap();
        assert!(model.takes_intervals() && config.takes_intervals());
        model.mean_velocity(&x, &t, h, Some(&classes), false).unwrap()
    };
    let velocity = |t: &Tensor| flow_model.forward(&x, t, Some(&classes));
    for blocks in 1..=2 {
        assert!(of(blocks, &h.zeros_like()).equal(&velocity(&t)));
        assert!(!of(blocks, &h).equal(&velocity(&t)));
    }
    // If all blocks see the end, it is the velocity there; half of them are something else.
    assert!(of(2, &h).equal(&velocity(&(&t + &h))) && !of(1, &h).equal(&velocity(&(&t + &h))));
    let text = serde_json::to_string(&map(1)).unwrap();
    assert!(text.contains("\"decoder_blocks\":1") && serde_json::from_str::<ModelConfig>(&text).unwrap() == map(1));
    assert!(map(3).parameters().unwrap_err().to_string().contains("3 decoder blocks of 2 blocks"));
    // Without an interval they have no effect.
    let (store, model) = build(&map(1).with_intervals(false));
    interchange::load(&store, flow.kind(), &weights).unwrap();
    assert!(!model.takes_intervals() && model.forward(&x, &t, Some(&classes)).equal(&velocity(&t)));
}

#[test]
fn the_interval_is_in_the_configuration_and_in_the_names() {
    for config in networks().into_iter().flat_map(|config| [config.clone(), config.with_intervals(true)]) {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(text.contains("interval"), config.takes_intervals(), "{text}");
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
    }
    let whole = DitConfig { time: TimeEmbedding { integer: true, ..TimeEmbedding::default() }, ..DitConfig::default() };
    let error = ModelConfig::Dit(whole).with_intervals(true).parameters().unwrap_err().to_string();
    assert!(error.contains("time.integer"), "{error}");
}
