//! Networks: the interface that training and sampling use.

use crate::Error;
use crate::tape::Tape;
use std::fmt::Debug;
use tch::{Device, Tensor};

/// A network that predicts a velocity, or another [`Prediction`](crate::prediction::Prediction).
#[doc(alias = "ModelWrapper")]
#[doc(alias = "torch_wrapper")]
pub trait VelocityModel: Debug + Send {
    /// v(x, t | condition), shaped as x: x is (B, ...), and t in [0, 1] is (B), or (1) if all rows
    /// have the same time. The condition, if any, is a class index (int64) per row, (B), or a
    /// vector (f32) per row, (B, d). "No condition" is `None`, the [null class](Self::null_class),
    /// or a vector of zeros: a row whose condition was dropped for guidance has one of the latter
    /// two. A network with a learned null vector puts it in place of zeros.
    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor;

    /// [`forward`](Self::forward), with dropout if `train` is set. The default calls `forward`, for
    /// networks without dropout.
    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor {
        let _ = train;
        self.forward(x, t, condition)
    }

    /// The device of the parameters, on which batches and samples are created. A network on a GPU
    /// must override it.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// The shape of a row x, if it is fixed, so that samples can be drawn without giving a shape.
    fn row_shape(&self) -> Option<Vec<i64>> {
        None
    }

    /// Whether the network takes rows x of this shape: by default the [row
    /// shape](Self::row_shape), or any if that is not fixed.
    fn takes(&self, row: &[i64]) -> bool {
        self.row_shape().is_none_or(|own| own == row)
    }

    /// The index of the null class for classifier-free guidance, if the network has one.
    fn null_class(&self) -> Option<i64> {
        None
    }

    /// The conditions that the network takes, if known: training and sampling then refuse
    /// others. A network of your own that checks them itself may leave it out.
    fn condition_kind(&self) -> Option<ConditionKind> {
        None
    }

    /// Whether the network takes an interval of time, as a flow map does: then
    /// [`mean_velocity`](Self::mean_velocity) is defined.
    fn takes_intervals(&self) -> bool {
        false
    }

    /// The mean velocity u(x, t, h | condition) from t to t + h on the trajectory through x, so
    /// that x + h u is its point at t + h. Shapes are those of [`forward`](Self::forward), and h is
    /// (B) or (1), as t. u(x, t, 0) is the velocity. `train` is as in
    /// [`forward_t`](Self::forward_t). `None` for a network without intervals, the default.
    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Option<Tensor> {
        let _ = (x, t, h, condition, train);
        None
    }

    /// [`forward_t`](Self::forward_t) in training mode, with the network's blocks run through a
    /// tape. The default records no blocks and keeps all activations.
    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let _ = tape;
        self.forward_t(x, t, condition, true)
    }

    /// Whether the network predicts a score beside the velocity: then
    /// [`velocity_and_score`](Self::velocity_and_score) is defined.
    fn has_score(&self) -> bool {
        false
    }

    /// The velocity, as [`forward_t`](Self::forward_t) returns it, and the scaled score h =
    /// sigma^2 / 2 s of a [Brownian bridge](crate::bridge), both shaped as x. `None` for a network
    /// without a score, the default.
    fn velocity_and_score(
        &self,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Option<[Tensor; 2]> {
        let _ = (x, t, condition, train);
        None
    }

    /// [`velocity_and_score`](Self::velocity_and_score) in training mode, with the network's blocks
    /// run through a tape. The default records no blocks and keeps all activations.
    fn velocity_and_score_taped<'a>(
        &'a self,
        tape: &mut Tape<'a>,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
    ) -> Option<[Tensor; 2]> {
        let _ = tape;
        self.velocity_and_score(x, t, condition, true)
    }
}

impl<M: VelocityModel + ?Sized> VelocityModel for Box<M> {
    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        (**self).forward(x, t, condition)
    }

    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor {
        (**self).forward_t(x, t, condition, train)
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        (**self).forward_taped(tape, x, t, condition)
    }

    fn takes_intervals(&self) -> bool {
        (**self).takes_intervals()
    }

    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Option<Tensor> {
        (**self).mean_velocity(x, t, h, condition, train)
    }

    fn has_score(&self) -> bool {
        (**self).has_score()
    }

    fn velocity_and_score(
        &self,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Option<[Tensor; 2]> {
        (**self).velocity_and_score(x, t, condition, train)
    }

    fn velocity_and_score_taped<'a>(
        &'a self,
        tape: &mut Tape<'a>,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
    ) -> Option<[Tensor; 2]> {
        (**self).velocity_and_score_taped(tape, x, t, condition)
    }

    fn device(&self) -> Device {
        (**self).device()
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        (**self).row_shape()
    }

    fn takes(&self, row: &[i64]) -> bool {
        (**self).takes(row)
    }

    fn null_class(&self) -> Option<i64> {
        (**self).null_class()
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        (**self).condition_kind()
    }
}

/// The conditions that a network takes.
///
/// ```
/// use fm_core::tensor::ConditionKind;
/// let digits = ConditionKind::Classes { count: 11 }; // 0 to 9, and the null class 10
/// assert!(digits.check_classes(&[3, 10]).is_ok() && digits.check_classes(&[11]).is_err());
/// let error = digits.check_vectors(2).unwrap_err().to_string();
/// assert_eq!(
///     error,
///     "cannot give the network condition vectors of 2 values: it takes classes from 0 to 10; give these"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionKind {
    /// None: conditions are ignored.
    None,
    /// A class per row, below `count`, which includes the null class.
    Classes {
        /// The number of classes.
        count: i64,
    },
    /// A vector of `dim` values per row.
    Vectors {
        /// Values per vector.
        dim: i64,
    },
}

impl ConditionKind {
    /// Checks class numbers.
    ///
    /// # Errors
    /// [`Error::Condition`] for a class that the network does not have, and for a network that
    /// takes no classes.
    pub fn check_classes(self, classes: &[i64]) -> Result<(), Error> {
        let Self::Classes { count } = self else { return Err(self.refuse("classes".into())) };
        match classes.iter().find(|class| !(0..count).contains(*class)) {
            Some(class) => Err(self.refuse(format!("class {class}"))),
            None => Ok(()),
        }
    }

    /// Checks the number of values of condition vectors.
    ///
    /// # Errors
    /// [`Error::Condition`] unless the network takes vectors of this length.
    pub fn check_vectors(self, values: usize) -> Result<(), Error> {
        match self {
            Self::Vectors { dim } if usize::try_from(dim) == Ok(values) => Ok(()),
            _ => Err(self.refuse(format!("condition vectors of {values} values"))),
        }
    }

    fn refuse(self, given: String) -> Error {
        Error::Condition { given, takes: self.to_string() }
    }
}

impl std::fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => write!(f, "no condition"),
            Self::Classes { count } => write!(f, "classes from 0 to {}", count.saturating_sub(1)),
            Self::Vectors { dim } => write!(f, "condition vectors of {dim} values"),
        }
    }
}

/// The function of a parameter in its network, for optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A weight matrix or a kernel between hidden layers.
    Hidden,
    /// The matrix or kernel of the first or last layer.
    Edge,
    /// An embedding table with one row per class.
    Table,
    /// Biases, and the scales of normalisation layers.
    Vector,
}
