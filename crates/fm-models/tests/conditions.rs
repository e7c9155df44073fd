//! Networks with condition vectors: what they take, and files from before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::mlp::MlpConfig;
use fm_models::{ModelConfig, parameter_count};
use tch::{Device, Kind, Tensor, nn};

fn build(config: &ModelConfig) -> (nn::VarStore, Box<dyn VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let model = config.build(&store.root()).unwrap();
    (store, model)
}

fn vector_networks() -> [ModelConfig; 2] {
    [
        ModelConfig::Mlp(MlpConfig { widths: vec![8], condition_dim: 3, ..MlpConfig::default() }),
        ModelConfig::ConcatSquash(ConcatSquashConfig {
            widths: vec![8],
            condition_dim: 3,
            ..ConcatSquashConfig::default()
        }),
    ]
}

#[test]
fn predictions_follow_the_condition_vector_and_none_means_zeros() {
    tch::manual_seed(0);
    for config in vector_networks() {
        let (store, model) = build(&config);
        assert_eq!(parameter_count(&store) as i64, config.parameters().unwrap());
        assert_eq!(model.condition_kind(), Some(ConditionKind::Vectors { dim: 3 }));
        assert_eq!((model.null_class(), config.null_class()), (None, None));
        let x = Tensor::randn([4, 2], (Kind::Float, Device::Cpu));
        let t = Tensor::rand([4], (Kind::Float, Device::Cpu));
        let c = Tensor::randn([4, 3], (Kind::Float, Device::Cpu));
        let v = model.forward(&x, &t, Some(&c));
        assert_eq!(v.size(), [4, 2]);
        // Each row has its own vector.
        let row = model.forward(&x.narrow(0, 2, 1), &t.narrow(0, 2, 1), Some(&c.narrow(0, 2, 1)));
        assert!(row.allclose(&v.narrow(0, 2, 1), 1e-5, 1e-6, false), "{}", config.kind());
        assert!(!v.allclose(&model.forward(&x, &t, Some(&(&c * 2.0))), 1e-3, 1e-3, false));
        assert!(model.forward(&x, &t, None).equal(&model.forward(&x, &t, Some(&c.zeros_like()))));
        // One time for all rows, as in sampling, and the taped pass of training.
        let shared = Tensor::from_slice(&[0.5f32]);
        let same = model.forward(&x, &shared.expand([4], false), Some(&c));
        assert!(same.allclose(&model.forward(&x, &shared, Some(&c)), 1e-5, 1e-6, false));
        assert!(model.forward_taped(&mut Tape::off(), &x, &t, Some(&c)).equal(&v), "{}", config.kind());
    }
}

#[test]
fn networks_have_a_condition_kind() {
    let classes = |classes, null_class| ModelConfig::Mlp(MlpConfig { classes, null_class, ..MlpConfig::default() });
    let dit = DitConfig { width: 16, depth: 1, heads: 2, image_size: [8, 8], ..DitConfig::default() };
    for (config, kind) in [
        (classes(0, false), ConditionKind::None),
        (classes(3, false), ConditionKind::Classes { count: 3 }),
        (classes(3, true), ConditionKind::Classes { count: 4 }),
        (ModelConfig::ConcatSquash(ConcatSquashConfig::default()), ConditionKind::None),
        (ModelConfig::Dit(DitConfig { classes: 10, null_class: true, ..dit }), ConditionKind::Classes { count: 11 }),
    ] {
        assert_eq!(build(&config).1.condition_kind(), Some(kind));
    }
}

#[test]
fn invalid_sizes_are_errors_and_old_files_stay_as_they_were() {
    for (dim, classes) in [(-1, 0), (i64::MIN, 0), (i64::MAX, 0), (1 << 21, 0), (3, 2)] {
        let mlp = ModelConfig::Mlp(MlpConfig { condition_dim: dim, classes, ..MlpConfig::default() });
        let config = ConcatSquashConfig { condition_dim: dim, classes, ..ConcatSquashConfig::default() };
        for config in [mlp, ModelConfig::ConcatSquash(config)] {
            let error = config.parameters().unwrap_err().to_string();
            assert!(error.contains("condition_dim") && error.len() < 300, "{error}");
            assert!(config.build(&nn::VarStore::new(Device::Cpu).root()).is_err());
        }
    }
    let text = serde_json::to_string(&ModelConfig::Mlp(MlpConfig::default())).unwrap();
    assert!(!text.contains("condition_dim"), "{text}");
    for config in vector_networks() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
    }
}
