//! A flow of built-in parts as a value that files can store.
//!
//! A sampler needs path, prediction, times and source of the flow that a network was trained on. A
//! [`NamedFlow`] holds them by name, so a file of weights can carry them. The coupling is not
//! stored: it pairs rows in training, and sampling does not use it.
//!
//! ```
//! use fm_core::{FlowMatching, named_flow::NamedFlow, path::PathKind, time::TimeKind};
//! let flow = FlowMatching::new(PathKind::Trigonometric).times(TimeKind::Arcsine).seed(7);
//! let named = NamedFlow::of(&flow).ok_or("not built in")?;
//! let again: FlowMatching = named.clone().into();
//! assert_eq!(NamedFlow::of(&again), Some(named));
//! assert_eq!(again.objective.path.name(), "trigonometric");
//! // A function has no name that a file could store.
//! assert_eq!(NamedFlow::of(&flow.weighting(|t: f64| 1.0 + t)), None);
//! # Ok::<(), &str>(())
//! ```

use crate::FlowMatching;
use crate::choice::Choice;
use crate::loss::{Loss, RowLoss};
use crate::objective::{DynObjective, Objective};
use crate::path::{PathKind, ProbPath};
use crate::source::{Source, SourceKind};
use crate::time::{TimeDistribution, TimeKind, Times};
use crate::weighting::{TimeWeight, Weighting};
use serde::{Deserialize, Serialize};

/// A flow whose parts are all built in, without its coupling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedFlow {
    /// Path, prediction, times, weighting and loss.
    pub objective: Objective,
    /// The distribution of x0.
    pub source: SourceKind,
    /// The random seed.
    pub seed: u64,
}

impl NamedFlow {
    /// The names of the parts of a flow; `None` if one of them is not built in.
    pub fn of(flow: &FlowMatching) -> Option<Self> {
        let (Source::Kind(source), None) = (&flow.source, &flow.conditional) else { return None };
        Some(Self { objective: objective(&flow.objective)?, source: *source, seed: flow.seed })
    }
}

impl From<NamedFlow> for FlowMatching {
    fn from(named: NamedFlow) -> Self {
        Self::from(named.objective).source(named.source).seed(named.seed)
    }
}

/// Values of t and of squared errors at which a part must agree with the built-in one of its name.
const PROBES: [f64; 3] = [0.2, 0.5, 0.9];

fn objective(of: &DynObjective) -> Option<Objective> {
    let Objective { prediction, reduction, loss_aware_bins, ref times, .. } = *of;
    let path = PathKind::parse(&of.path.name()).ok()?;
    let distribution = TimeKind::parse(&times.distribution.name()).ok()?;
    let weighting = Weighting::parse(&of.weighting.name()).ok()?;
    let loss = Loss::parse(&of.loss.name()).ok()?;
    // A part of your own may have the name of a built-in one.
    let same = PROBES.iter().all(|x| {
        let c = path.coefficients(*x);
        let weights = [TimeWeight::weight(&weighting, prediction, &c), of.weighting.weight(prediction, &c)];
        c == of.path.coefficients(*x)
            && distribution.quantile(*x) == times.distribution.quantile(*x)
            && weights[0] == weights[1]
            && RowLoss::value(&loss, *x) == of.loss.value(*x)
    });
    let times = Times { distribution, draw: times.draw, clip: times.clip, importance: times.importance };
    same.then_some(Objective { path, prediction, weighting, loss, reduction, loss_aware_bins, times })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Coefficients;
    use crate::prediction::Prediction;

    #[test]
    fn every_built_in_part_is_stored_and_read_as_it_was() {
        let named = |table: &[crate::choice::Entry]| table.iter().map(|e| e.name().to_owned()).collect::<Vec<_>>();
        for path in named(PathKind::TABLE) {
            for weighting in named(Weighting::TABLE) {
                let flow = FlowMatching::new(path.parse::<PathKind>().unwrap())
                    .weighting(weighting.parse::<Weighting>().unwrap())
                    .prediction(Prediction::Noise)
                    .source("sparse:rate=0.25".parse::<SourceKind>().unwrap())
                    .time_clip(1e-3);
                let stored = NamedFlow::of(&flow).unwrap_or_else(|| panic!("{path} {weighting}"));
                let text = serde_json::to_string(&stored).unwrap();
                let read: NamedFlow = serde_json::from_str(&text).unwrap();
                assert_eq!(NamedFlow::of(&read.clone().into()), Some(stored), "{text}");
                assert_eq!(read.objective.path.name(), flow.objective.path.name());
            }
        }
        for times in named(TimeKind::TABLE) {
            let flow = FlowMatching::default().times(times.parse::<TimeKind>().unwrap());
            assert!(NamedFlow::of(&flow).is_some(), "{times}");
        }
    }

    /// A path of your own with the name of another one.
    struct Linear;

    impl ProbPath for Linear {
        fn coefficients(&self, t: f64) -> Coefficients {
            let (alpha, sigma) = (t * t, 1.0 - t * t);
            Coefficients { t, alpha, sigma, d_alpha: 2.0 * t, d_sigma: -2.0 * t, ..Coefficients::default() }
        }

        fn name(&self) -> String {
            "linear".into()
        }
    }

    #[test]
    fn parts_of_your_own_are_not_stored_as_others() {
        assert_eq!(NamedFlow::of(&FlowMatching::new(Linear)), None);
        let rows = Source::Rows(ndarray::Array2::zeros((2, 2)));
        assert_eq!(NamedFlow::of(&FlowMatching::default().source(rows)), None);
        assert!(NamedFlow::of(&FlowMatching::default()).is_some());
    }
}
