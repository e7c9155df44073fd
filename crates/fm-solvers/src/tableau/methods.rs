//! The Runge-Kutta methods, by name.
//!
//! Sources: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", II.1, II.4 to
//! II.6; Dormand and Prince, J. Comput. Appl. Math. 6 (1980), with Shampine's interpolant, Math.
//! Comp. 46 (1986); Tsitouras, Comput. Math. Appl. 62 (2011); Bogacki and Shampine, Appl. Math.
//! Lett. 2 (1989), with cubic Hermite interpolation. The continuous extensions of the classic
//! methods satisfy the order conditions up to q, with weights that equal b at theta = 1.
//! Coefficients are tested against those of SciPy, NodePy and diffrax.
//!
//! To add a method, add its constant and a variant of [`SolverName`]. The compiler then requires it
//! in [`SolverName::method`] and [`ALL`].

use super::Tableau;
use super::dop853::DOP853;
use crate::SolveError;
use crate::multistep::method::MultistepMethod;
use fm_core::choice;
use fm_core::choice::{Choice, Domain};

choice! {
    /// A method, chosen by name.
    #[derive(Default)]
    pub enum SolverName("solver") {
        /// Order 1, one evaluation per step.
        Euler = "euler",
        /// Order 2, two evaluations per step.
        Midpoint = "midpoint",
        /// Order 2, two evaluations per step.
        Heun = "heun",
        /// Classic, order 4, four evaluations per step.
        Rk4 = "rk4",
        /// Kutta's 3/8 rule, order 4, four evaluations per step.
        Rk438 = "rk4-38" | "3/8",
        /// Heun with an error estimate, 2(1). This and the methods up to `dop853` are adaptive
        /// unless a number of steps is given.
        #[doc(alias = "adaptive_heun")]
        HeunEuler = "heun-euler",
        /// Order 3(2).
        #[doc(alias = "RK23")]
        #[doc(alias = "bosh3")]
        BogackiShampine = "bogacki-shampine" | "bosh3",
        /// Dormand-Prince 5(4).
        #[doc(alias = "RK45")]
        Dopri5 = "dopri5",
        /// Tsitouras 5(4).
        Tsit5 = "tsit5",
        /// Dormand-Prince 8(5, 3), twelve evaluations per step: for tight tolerances.
        #[doc(alias = "dopri8")]
        Dop853 = "dop853",
        /// Adams-Bashforth, order 2. This and the following methods remember earlier steps: one
        /// evaluation per step.
        Ab2 = "ab2",
        /// Adams-Bashforth, order 3.
        #[default]
        Ab3 = "ab3",
        /// Adams-Bashforth corrected by Adams-Moulton without a second evaluation, order 3.
        Pec = "pec",
        /// DPM-Solver++(2M), order 2.
        #[doc(alias = "DPMSolverMultistepScheduler")]
        DpmSolver2M = "dpmpp-2m" | "dpm-solver++",
        /// UniPC.
        #[doc(alias = "UniPCMultistepScheduler")]
        UniPc = "unipc" {
            /// The order.
            order = 2.0, Domain::whole(2.0, 3.0)
        },
        /// Jumps of a flow map: one evaluation per step, for any length of step.
        #[doc(alias = "MeanFlow")]
        FlowMap = "map" | "flow-map",
    }
}

impl SolverName {
    /// UniPC of this order, 2 or 3.
    ///
    /// ```
    /// use fm_solvers::sampler::SolverName;
    /// assert_eq!(SolverName::unipc(3)?, "unipc:order=3".parse()?);
    /// assert!(SolverName::unipc(9).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Value`](fm_core::Error::Value) for another order.
    pub fn unipc(order: u8) -> Result<Self, fm_core::Error> {
        let value = f64::from(order);
        if !matches!(order, 2 | 3) {
            return Err(fm_core::Error::Value { name: "the order of UniPC", domain: "2 or 3", value });
        }
        Ok(Self::UniPc { order: value })
    }

    /// The kind of the method.
    pub fn method(self) -> SolverMethod {
        SolverMethod::RungeKutta(match self {
            Self::Euler => &EULER,
            Self::Midpoint => &MIDPOINT,
            Self::Heun => &HEUN,
            Self::Rk4 => &RK4,
            Self::Rk438 => &RK4_38,
            Self::HeunEuler => &HEUN_EULER,
            Self::BogackiShampine => &BOGACKI_SHAMPINE,
            Self::Dopri5 => &DOPRI5,
            Self::Tsit5 => &TSIT5,
            Self::Dop853 => &DOP853,
            Self::Ab2 => return SolverMethod::Multistep(MultistepMethod::AdamsBashforth2),
            Self::Ab3 => return SolverMethod::Multistep(MultistepMethod::AdamsBashforth3),
            Self::Pec => return SolverMethod::Multistep(MultistepMethod::Pec),
            Self::DpmSolver2M => return SolverMethod::Multistep(MultistepMethod::DpmSolver2M),
            Self::FlowMap => return SolverMethod::FlowMap,
            Self::UniPc { order } if order > 2.0 => return SolverMethod::Multistep(MultistepMethod::UniPc3),
            Self::UniPc { .. } => return SolverMethod::Multistep(MultistepMethod::UniPc2),
        })
    }

    /// The Butcher tableau of a Runge-Kutta method, for adaptive steps.
    ///
    /// # Errors
    /// [`SolveError::NoErrorEstimate`] for a multistep method and for a flow map.
    pub fn tableau(self) -> Result<&'static Tableau, SolveError> {
        match self.method() {
            SolverMethod::RungeKutta(tableau) => Ok(tableau),
            SolverMethod::Multistep(method) => Err(SolveError::NoErrorEstimate { method: method.name() }),
            SolverMethod::FlowMap => Err(SolveError::NoErrorEstimate { method: "map" }),
        }
    }

    /// Whether the method can choose its steps.
    pub fn is_adaptive(self) -> bool {
        self.tableau().is_ok_and(|tableau| tableau.e.is_some())
    }

    /// Evaluations per fixed step.
    pub fn evaluations_per_step(self) -> usize {
        self.tableau().map_or(1, Tableau::stages_of_a_step)
    }
}

/// The kind of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum SolverMethod {
    /// One step at a time.
    RungeKutta(&'static Tableau),
    /// With values of earlier steps.
    Multistep(MultistepMethod),
    /// Jumps of a field that is a flow map.
    FlowMap,
}

/// The number of names that are not of Runge-Kutta methods.
const OTHERS: usize = 6;

/// Every Runge-Kutta method, in the order of help texts.
pub const ALL: [&Tableau; SolverName::TABLE.len() - OTHERS] =
    [&EULER, &MIDPOINT, &HEUN, &RK4, &RK4_38, &HEUN_EULER, &BOGACKI_SHAMPINE, &DOPRI5, &TSIT5, &DOP853];

/// Forward Euler, order 1.
pub const EULER: Tableau = Tableau {
    name: "euler",
    order: 1,
    c: &[0.0],
    a: &[&[]],
    b: &[1.0],
    e: None,
    e_low: None,
    dense: &[&[1.0]],
    dense_order: 1,
};

/// The explicit midpoint rule, order 2.
pub const MIDPOINT: Tableau = Tableau {
    name: "midpoint",
    order: 2,
    c: &[0.0, 0.5],
    a: &[&[], &[0.5]],
    b: &[0.0, 1.0],
    e: None,
    e_low: None,
    dense: &[&[1.0, -1.0], &[0.0, 1.0]],
    dense_order: 2,
};

/// Heun's method (explicit trapezoid), order 2.
pub const HEUN: Tableau = Tableau {
    name: "heun",
    order: 2,
    c: &[0.0, 1.0],
    a: &[&[], &[1.0]],
    b: &[0.5, 0.5],
    e: None,
    e_low: None,
    dense: &[&[1.0, -0.5], &[0.0, 0.5]],
    dense_order: 2,
};

/// Heun's method with its embedded Euler step as error estimate, 2(1).
pub const HEUN_EULER: Tableau = Tableau { name: "heun-euler", e: Some(&[-0.5, 0.5]), ..HEUN };

/// The classic fourth-order method (not the 3/8 rule).
pub const RK4: Tableau = Tableau {
    name: "rk4",
    order: 4,
    c: &[0.0, 0.5, 0.5, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    e: None,
    e_low: None,
    dense: &[
        &[1.0, -3.0 / 2.0, 2.0 / 3.0],
        &[0.0, 1.0, -2.0 / 3.0],
        &[0.0, 1.0, -2.0 / 3.0],
        &[0.0, -1.0 / 2.0, 2.0 / 3.0],
    ],
    dense_order: 3,
};

/// Kutta's 3/8 rule, order 4 (called rk4 in some libraries).
pub const RK4_38: Tableau = Tableau {
    name: "rk4-38",
    order: 4,
    c: &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0],
    a: &[&[], &[1.0 / 3.0], &[-1.0 / 3.0, 1.0], &[1.0, -1.0, 1.0]],
    b: &[1.0 / 8.0, 3.0 / 8.0, 3.0 / 8.0, 1.0 / 8.0],
    e: None,
    e_low: None,
    dense: &[
        &[1.0, -15.0 / 8.0, 1.0],
        &[0.0, 15.0 / 8.0, -3.0 / 2.0],
        &[0.0, 3.0 / 8.0],
        &[0.0, -3.0 / 8.0, 1.0 / 2.0],
    ],
    dense_order: 3,
};

/// Bogacki-Shampine 3(2), advancing the third-order solution.
pub const BOGACKI_SHAMPINE: Tableau = Tableau {
    name: "bogacki-shampine",
    order: 3,
    c: &[0.0, 1.0 / 2.0, 3.0 / 4.0, 1.0],
    a: &[&[], &[1.0 / 2.0], &[0.0, 3.0 / 4.0], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    e: Some(&[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0]),
    e_low: None,
    dense: &[&[1.0, -4.0 / 3.0, 5.0 / 9.0], &[0.0, 1.0, -2.0 / 3.0], &[0.0, 4.0 / 3.0, -8.0 / 9.0], &[0.0, -1.0, 1.0]],
    dense_order: 3,
};

/// Dormand-Prince 5(4), advancing the fifth-order solution.
pub const DOPRI5: Tableau = Tableau {
    name: "dopri5",
    order: 5,
    c: &[0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    e: Some(&[71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0]),
    e_low: None,
    dense: &[
        &[1.0, -8048581381.0 / 2820520608.0, 8663915743.0 / 2820520608.0, -12715105075.0 / 11282082432.0],
        &[],
        &[0.0, 131558114200.0 / 32700410799.0, -68118460800.0 / 10900136933.0, 87487479700.0 / 32700410799.0],
        &[0.0, -1754552775.0 / 470086768.0, 14199869525.0 / 1410260304.0, -10690763975.0 / 1880347072.0],
        &[0.0, 127303824393.0 / 49829197408.0, -318862633887.0 / 49829197408.0, 701980252875.0 / 199316789632.0],
        &[0.0, -282668133.0 / 205662961.0, 2019193451.0 / 616988883.0, -1453857185.0 / 822651844.0],
        &[0.0, 40617522.0 / 29380423.0, -110615467.0 / 29380423.0, 69997945.0 / 29380423.0],
    ],
    dense_order: 4,
};

/// Tsitouras 5(4), advancing the fifth-order solution.
pub const TSIT5: Tableau = Tableau {
    name: "tsit5",
    order: 5,
    c: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    a: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[2.897_153_057_105_493_5, -6.359_448_489_975_075, 4.362_295_432_869_581_5],
        &[5.325_864_828_439_257, -11.748_883_564_062_828, 7.495_539_342_889_836_5, -0.092_495_066_361_755_25],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
        ],
        &[
            0.096_460_766_818_065_23,
            0.01,
            0.479_889_650_414_499_6,
            1.379_008_574_103_742,
            -3.290_069_515_436_081,
            2.324_710_524_099_774,
        ],
    ],
    b: &[
        0.096_460_766_818_065_23,
        0.01,
        0.479_889_650_414_499_6,
        1.379_008_574_103_742,
        -3.290_069_515_436_081,
        2.324_710_524_099_774,
        0.0,
    ],
    e: Some(&[
        0.001_780_011_052_225_771_4,
        0.000_816_434_459_656_746_9,
        -0.007_880_878_010_261_995,
        0.144_711_007_173_262_9,
        -0.582_357_165_452_555_2,
        0.458_082_105_929_186_97,
        -1.0 / 66.0,
    ]),
    e_low: None,
    dense: &[
        &[1.0, -2.763_706_197_274_826, 2.913_255_461_821_912_6, -1.053_088_497_729_021_6],
        &[0.0, 0.1317, -0.2234, 0.1017],
        &[0.0, 3.930_296_236_894_751, -5.941_033_872_131_505, 2.490_627_285_651_253],
        &[0.0, -12.411_077_166_933_676, 30.338_188_630_282_318, -16.548_102_889_244_902],
        &[0.0, 37.509_313_416_511_04, -88.178_904_894_766_4, 47.379_521_962_819_28],
        &[0.0, -27.896_526_289_197_286, 65.091_894_674_793_68, -34.870_657_861_496_61],
        &[0.0, 1.5, -4.0, 2.5],
    ],
    dense_order: 4,
};
