//! A Gaussian source whose mean and scale are trained together with the network.
//!
//! ```text
//! x0 = mean + sqrt(variance) z,   z ~ N(0, 1),   variance = softplus(raw) = ln(1 + e^raw)
//! ```
//!
//! `source.mean` and `source.variance` (which holds raw) have one entry per dimension. They
//! start at mean 0 and variance 1. Runs of earlier versions have `source.log_scale` instead: mean
//! 0, and the logarithm of the standard deviation ([`SourceScale::LogDeviation`]). The loss falls
//! when the source moves to the data and becomes narrower, so a trained source lowers it without
//! better samples.
//!
//! ```
//! use fm_train::trained_source::{SourceScale, TrainedSource};
//! use tch::{Device, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let source = TrainedSource::new(&store.root(), 2, SourceScale::SoftplusVariance, true);
//! let z = Tensor::from_slice2(&[[1.0f32, -2.0]]);
//! assert!((source.transform(&z) - &z).abs().max().double_value(&[]) < 1e-6);
//! let mut raw = store.variables()["source.variance"].shallow_clone();
//! tch::no_grad(|| drop(raw.fill_(0.0))); // softplus(0) = ln 2
//! let deviation = std::f64::consts::LN_2.sqrt();
//! assert!((source.transform(&z).double_value(&[0, 1]) + 2.0 * deviation).abs() < 1e-6);
//! let at_zero = source.log_density(&Tensor::zeros_like(&z)).double_value(&[0]);
//! assert!((at_zero + (2.0 * std::f64::consts::PI).ln() + 2.0 * deviation.ln()).abs() < 1e-6);
//! ```

use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// The parameters of a trained source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceScale {
    /// A mean, and a variance through softplus.
    #[default]
    SoftplusVariance,
    /// The logarithm of a standard deviation, without a mean.
    LogDeviation,
}

impl SourceScale {
    /// The form of runs that did not store any.
    pub fn of_older_runs() -> Self {
        Self::LogDeviation
    }
}

/// A trained source.
#[derive(Debug)]
pub struct TrainedSource {
    mean: Option<Tensor>,
    /// The parameter of the scale.
    scale: Tensor,
    form: SourceScale,
}

/// softplus of this is 1.
const RAW_OF_ONE: f64 = 0.541_324_854_612_918_1;

impl TrainedSource {
    /// Creates the parameters below `source` of `root`, for rows of `dim` values. Unless `trained`,
    /// they are saved with the weights and stay as they are.
    ///
    /// # Panics
    /// If libtorch cannot allocate `dim` values.
    pub fn new(root: &Path<'_>, dim: usize, form: SourceScale, trained: bool) -> Self {
        let path = root / "source";
        let variable = |name: &str, value: f64| {
            let shape = [dim as i64];
            if trained {
                return path.var(name, &shape, Init::Const(value));
            }
            let mut kept = path.zeros_no_train(name, &shape);
            tch::no_grad(|| kept.fill_(value))
        };
        match form {
            SourceScale::SoftplusVariance => {
                Self { mean: Some(variable("mean", 0.0)), scale: variable("variance", RAW_OF_ONE), form }
            }
            SourceScale::LogDeviation => Self { mean: None, scale: variable("log_scale", 0.0), form },
        }
    }

    /// Another handle of the same parameters.
    pub fn shallow_clone(&self) -> Self {
        let mean = self.mean.as_ref().map(Tensor::shallow_clone);
        Self { mean, scale: self.scale.shallow_clone(), form: self.form }
    }

    /// Number of values per row.
    pub fn dim(&self) -> i64 {
        self.scale.size().iter().product()
    }

    /// The standard deviations, (dim).
    pub fn deviation(&self) -> Tensor {
        match self.form {
            SourceScale::SoftplusVariance => self.scale.softplus().sqrt(),
            SourceScale::LogDeviation => self.scale.exp(),
        }
    }

    /// Source rows (B, dim) of standard normal rows.
    ///
    /// # Panics
    /// For rows of other than `dim` values.
    pub fn transform(&self, z: &Tensor) -> Tensor {
        self.demand_rows(z);
        let scaled = z * self.deviation();
        self.mean.as_ref().map_or_else(|| scaled.shallow_clone(), |mean| &scaled + mean)
    }

    /// The log-densities (B) of rows (B, dim), in nats.
    ///
    /// # Panics
    /// For rows of other than `dim` values.
    pub fn log_density(&self, x: &Tensor) -> Tensor {
        self.demand_rows(x);
        let deviation = self.deviation().detach();
        let centred = self.mean.as_ref().map_or_else(|| x.shallow_clone(), |mean| x - mean.detach());
        let squares = (centred / &deviation).square().sum_dim_intlist(1, false, Kind::Double);
        let constant = deviation.log().sum(Kind::Double) + 0.5 * self.dim() as f64 * (2.0 * std::f64::consts::PI).ln();
        squares * -0.5 - constant
    }

    /// libtorch would broadcast rows of one value.
    fn demand_rows(&self, x: &Tensor) {
        let (dim, given) = (self.dim(), x.size());
        assert!(given.len() == 2 && given[1] == dim, "the rows have shape {given:?}, not {dim} values per row");
    }
}
