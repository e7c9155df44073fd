//! Samplers as text, and their keys.

use super::*;
use crate::PidController;

#[test]
fn samplers_are_read_as_they_were_written() {
    let list = fm_core::state::Tolerance::new(vec![1e-3, 1e-4], 1e-6);
    let options = AdaptiveOptions { tolerance: list, max_step: 0.25, ..AdaptiveOptions::default() };
    let samplers = [
        Sampler { schedule: Some("cosine".parse().unwrap()), ..Sampler::euler(3) },
        Sampler::dopri5(1e-4),
        Sampler::new(SolverName::Tsit5, Steps::Adaptive(Pace::PerBatch, options)),
        Sampler { stochastic: Some((Method::default(), "sigma:0.5".parse().unwrap())), ..Sampler::midpoint(5) },
    ];
    for sampler in samplers {
        let text = serde_json::to_string(&sampler).unwrap();
        assert_eq!(serde_json::from_str::<Sampler>(&text).unwrap(), sampler, "{text}");
    }
    let short: Sampler = serde_json::from_str(r#"{"solver": "rk4", "steps": {"fixed": ["uniform", 8]}}"#).unwrap();
    assert_eq!(short, Sampler::rk4(8));
    assert!(serde_json::from_str::<Sampler>(r#"{"solver": "rk5", "steps": {"listed": []}}"#).is_err());
}

#[test]
fn samplers_that_differ_in_any_value_have_different_keys() {
    let adaptive = |pace, options| Sampler { steps: Steps::Adaptive(pace, options), ..base() };
    fn base() -> Sampler {
        Sampler::fixed(SolverName::Dopri5, 10)
    }
    let options = || AdaptiveOptions::default();
    let samplers = [
        base(),
        Sampler::fixed(SolverName::Dopri5, 11),
        Sampler::fixed(SolverName::Tsit5, 10),
        Sampler { steps: Steps::Listed(vec![0.0, 0.5, 1.0]), ..base() },
        Sampler { steps: Steps::Listed(vec![0.0, 0.25, 1.0]), ..base() },
        adaptive(Pace::PerSample, options()),
        adaptive(Pace::PerBatch, options()),
        adaptive(Pace::PerSample, AdaptiveOptions { control: PidController::PI, ..options() }),
        adaptive(
            Pace::PerSample,
            AdaptiveOptions { control: PidController { safety: 0.8, ..PidController::I }, ..options() },
        ),
        adaptive(Pace::PerSample, AdaptiveOptions { max_step: 0.125, ..options() }),
    ];
    // The readable text is the same for the last four.
    assert_eq!(samplers[5].describe(), samplers[9].describe());
    for (i, a) in samplers.iter().enumerate() {
        assert!(samplers[..i].iter().all(|b| a.key() != b.key()), "{}", a.key());
    }
}
