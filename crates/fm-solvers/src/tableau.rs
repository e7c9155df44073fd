//! Butcher tableaux: explicit Runge-Kutta methods as constant data.
//!
//! A step from (x, t) of size h computes k_i = v(x + h sum_j a_ij k_j, t + c_i h) and x' = x + h sum_i b_i k_i; the embedded
//! error estimate, where there is one, is h sum_i e_i k_i.
//!
//! Sources: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", ch. II.1 and II.5; Dormand and Prince,
//! J. Comput. Appl. Math. 6 (1980). The coefficients are tested against SciPy's and NodePy's.
//!
//! ```
//! use fm_solvers::tableau::{DOPRI5, RK4};
//! assert_eq!((RK4.stages(), RK4.order, RK4.fsal()), (4, 4, false));
//! assert_eq!((DOPRI5.stages(), DOPRI5.order, DOPRI5.fsal()), (7, 5, true)); // 6 new evaluations a step
//! ```

/// An explicit Runge-Kutta method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tableau {
    /// The name that users type.
    pub name: &'static str,
    /// Order of the global error.
    pub order: usize,
    /// Nodes c.
    pub c: &'static [f64],
    /// The strictly lower triangle of A, row by row; row 0 is empty.
    pub a: &'static [&'static [f64]],
    /// Weights b.
    pub b: &'static [f64],
    /// Weights of the embedded error estimate.
    pub e: Option<&'static [f64]>,
}

impl Tableau {
    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Whether the last stage is the first one of the next step ("first same as last"): its row of A is b and its node 1.
    pub fn fsal(&self) -> bool {
        let last = self.stages() - 1;
        last > 0 && self.c[last] == 1.0 && self.b[last] == 0.0 && self.a[last] == &self.b[..last]
    }
}

/// Forward Euler, order 1.
pub const EULER: Tableau = Tableau { name: "euler", order: 1, c: &[0.0], a: &[&[]], b: &[1.0], e: None };

/// The explicit midpoint rule, order 2.
pub const MIDPOINT: Tableau =
    Tableau { name: "midpoint", order: 2, c: &[0.0, 0.5], a: &[&[], &[0.5]], b: &[0.0, 1.0], e: None };

/// Heun's method (explicit trapezoid), order 2.
pub const HEUN: Tableau =
    Tableau { name: "heun", order: 2, c: &[0.0, 1.0], a: &[&[], &[1.0]], b: &[0.5, 0.5], e: None };

/// The classic fourth-order method (not the 3/8 rule).
pub const RK4: Tableau = Tableau {
    name: "rk4",
    order: 4,
    c: &[0.0, 0.5, 0.5, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    e: None,
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
};

/// Every method, in the order that help texts list them.
pub const ALL: [&Tableau; 5] = [&EULER, &MIDPOINT, &HEUN, &RK4, &DOPRI5];
