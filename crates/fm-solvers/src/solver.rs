//! Solvers as values that a program can choose, store and pass on, independent of the kind of
//! method.
//!
//! A [`Solver`] integrates a state x along dx/dt = v(x, t) from `span.start` to `span.end`;
//! `1.0..0.0` integrates backwards. [`Fixed`] and [`Adaptive`] use the Runge-Kutta methods of
//! [`tableau`], and [`Multistep`](crate::Multistep) reuses values of earlier steps; other methods
//! can be added by implementing the trait (`examples/own_method.rs`). Fields are passed as `&dyn`,
//! at the cost of one indirect call per evaluation.
//!
//! ```
//! use fm_solvers::{Adaptive, Fixed, SaveAt, Solver, solve};
//! let decay = |x: &f64, _t: f64| -x;
//! let solution = solve(&decay, 1.0, 0.0..1.0, &Adaptive::dopri5().tolerance(1e-8))?;
//! assert!((solution.x - (-1.0f64).exp()).abs() < 1e-8);
//! let back = solve(&decay, solution.x, 1.0..0.0, &Adaptive::dop853().tolerance(1e-8))?;
//! assert!((back.x - 1.0).abs() < 1e-7);
//! let methods: [Box<dyn Solver<f64>>; 2] = [Box::new(Fixed::midpoint(20)), Box::new(Adaptive::default())];
//! for (method, steps) in methods.iter().zip([20, 4]) {
//!     let solution = method.solve(&decay, 1.0, 0.0..1.0, SaveAt::Steps)?;
//!     assert_eq!(solution.states.len(), steps + 1);
//! }
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::tableau::{self, Tableau};
use crate::{AdaptiveOptions, Grid, PidController, SaveAt, Solution, SolveError, adaptive, fixed};
use fm_core::field::{ByRef, VelocityField};
use fm_core::state::{OdeState, Tolerance};
use std::ops::Range;
use std::sync::Arc;

/// A method that solves dx/dt = v(x, t).
#[doc(alias = "OdeSolver")]
#[doc(alias = "AbstractSolver")]
pub trait Solver<S> {
    /// Integrates `x` from `span.start` to `span.end`, in either direction. A solve that stops
    /// early returns the state reached so far, with the reason in [`Stats`](crate::Stats).
    /// Implementations call [`VelocityField::check`] once, before the first evaluation.
    ///
    /// # Errors
    /// If the span, the options, the output times or the field are invalid.
    fn solve_partial(
        &self,
        field: &dyn VelocityField<S>,
        x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError>;

    /// As [`solve_partial`](Self::solve_partial), but stopping early is an error.
    ///
    /// # Errors
    /// As [`solve_partial`](Self::solve_partial), and [`SolveError::Stopped`].
    fn solve(
        &self,
        field: &dyn VelocityField<S>,
        x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError> {
        self.solve_partial(field, x, span, save)?.into_result()
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<S, T: Solver<S> + ?Sized> Solver<S> for $pointer {
            fn solve_partial(
                &self,
                field: &dyn VelocityField<S>,
                x: S,
                span: Range<f64>,
                save: SaveAt<'_>,
            ) -> Result<Solution<S>, SolveError> {
                (**self).solve_partial(field, x, span, save)
            }
        }
    )*};
}

pointers! { &T, Box<T>, Arc<T> }

/// The solution of dx/dt = v(x, t) at `span.end`, from `x0` at `span.start`. For intermediate
/// states use [`Solver::solve`] with a [`SaveAt`].
///
/// # Errors
/// As [`Solver::solve`]: a solve that stops early is an error.
#[doc(alias = "solve_ivp")]
#[doc(alias = "odeint")]
#[doc(alias = "diffeqsolve")]
pub fn solve<S>(
    field: &(impl VelocityField<S> + ?Sized),
    x0: S,
    span: Range<f64>,
    solver: &(impl Solver<S> + ?Sized),
) -> Result<Solution<S>, SolveError> {
    solver.solve(&ByRef(field), x0, span, SaveAt::End)
}

/// A fixed number of steps along a time grid.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "ConstantStepSize")]
pub struct Fixed {
    /// The method.
    pub tableau: Tableau,
    /// The number of steps.
    pub steps: usize,
    /// How the steps divide the span. A backward solve uses the times of the forward one in
    /// reverse.
    pub grid: Grid,
}

impl Fixed {
    /// Equal steps of the given method.
    pub fn new(tableau: Tableau, steps: usize) -> Self {
        Self { tableau, steps, grid: Grid::Uniform }
    }

    /// Forward Euler; one evaluation per step.
    pub fn euler(steps: usize) -> Self {
        Self::new(tableau::EULER, steps)
    }

    /// The explicit midpoint rule; two evaluations per step.
    pub fn midpoint(steps: usize) -> Self {
        Self::new(tableau::MIDPOINT, steps)
    }

    /// Heun's method; two evaluations per step.
    pub fn heun(steps: usize) -> Self {
        Self::new(tableau::HEUN, steps)
    }

    /// The classic fourth-order method; four evaluations per step.
    pub fn rk4(steps: usize) -> Self {
        Self::new(tableau::RK4, steps)
    }

    /// The same method and number of steps on another grid.
    pub fn grid(self, grid: Grid) -> Self {
        Self { grid, ..self }
    }

    /// The step times for a solve over `span`.
    ///
    /// # Errors
    /// As [`Grid::divide`].
    pub fn times(&self, span: &Range<f64>) -> Result<Vec<f64>, SolveError> {
        self.grid.divide(self.steps, span)
    }
}

impl<S: OdeState> Solver<S> for Fixed {
    fn solve_partial(
        &self,
        field: &dyn VelocityField<S>,
        x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError> {
        fixed::solve_partial(field, x, &self.times(&span)?, &self.tableau, save)
    }
}

/// Adaptive steps from an error estimate. The default is Dopri5 at a tolerance of 1e-5.
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// A method with an error estimate.
    pub tableau: Tableau,
    /// Tolerances, step-size control and limits.
    pub options: AdaptiveOptions,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::dopri5()
    }
}

impl Adaptive {
    /// The given method, which needs an error estimate, at a tolerance of 1e-5.
    pub fn new(tableau: Tableau) -> Self {
        Self { tableau, options: AdaptiveOptions::default() }
    }

    /// Dormand-Prince 5(4).
    #[doc(alias = "RK45")]
    pub fn dopri5() -> Self {
        Self::new(tableau::DOPRI5)
    }

    /// Tsitouras 5(4).
    pub fn tsit5() -> Self {
        Self::new(tableau::TSIT5)
    }

    /// Bogacki-Shampine 3(2), for loose tolerances.
    #[doc(alias = "RK23")]
    #[doc(alias = "bosh3")]
    pub fn bogacki_shampine() -> Self {
        Self::new(tableau::BOGACKI_SHAMPINE)
    }

    /// Dormand-Prince 8(5,3), for tight tolerances.
    #[doc(alias = "dopri8")]
    pub fn dop853() -> Self {
        Self::new(tableau::DOP853)
    }

    /// The relative and absolute error allowed per step.
    #[doc(alias = "rtol")]
    #[doc(alias = "atol")]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.options.tolerance = Tolerance::new(tolerance, tolerance);
        self
    }

    /// The step-size controller.
    pub fn controller(mut self, controller: PidController) -> Self {
        self.options.control = controller;
        self
    }

    /// The maximum step size.
    pub fn max_step(mut self, size: f64) -> Self {
        self.options.max_step = size;
        self
    }

    /// The number of evaluations after which the solve stops.
    #[doc(alias = "max_steps")]
    pub fn max_evaluations(mut self, count: usize) -> Self {
        self.options.max_evaluations = count;
        self
    }
}

impl<S: OdeState> Solver<S> for Adaptive {
    fn solve_partial(
        &self,
        field: &dyn VelocityField<S>,
        x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError> {
        adaptive::solve_partial(field, x, (span.start, span.end), &self.tableau, &self.options, save)
    }
}

/// A Runge-Kutta solver, whose steps have an interpolant: for [events](crate::events) and [dense
/// output](crate::dense). Converted from `&Fixed` and `&Adaptive`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RungeKutta<'a> {
    /// Steps along a time grid.
    Fixed(&'a Fixed),
    /// Steps from an error estimate.
    Adaptive(&'a Adaptive),
}

impl<'a> From<&'a Fixed> for RungeKutta<'a> {
    fn from(solver: &'a Fixed) -> Self {
        Self::Fixed(solver)
    }
}

impl<'a> From<&'a Adaptive> for RungeKutta<'a> {
    fn from(solver: &'a Adaptive) -> Self {
        Self::Adaptive(solver)
    }
}
