//! Parsing and drawing of toy distributions.

use super::recipe::Recipe;
use crate::DataError;
use fm_core::choice::{Choice, Domain};
use fm_core::rng::{Key, Stream};
use ndarray::Array2;
use rand::Rng;
use rand_distr::StandardNormal;
use std::f64::consts::PI;

fm_core::choice! {
    /// A toy distribution.
    ///
    /// | name | distribution |
    /// |---|---|
    /// | `spiral` | scale (theta / 2 pi) (cos theta, sin theta), theta uniform on [0, 6 pi], plus normal noise |
    /// | `moons` | 3 (m + noise u (1, 1) + normal z) - 1, m on the unit two-moons, u uniform on [0, 1), z normal |
    /// | `8gaussians` | eight Gaussians of a variance on a circle of radius `scale` |
    /// | `checkerboard` | uniform on the dark squares of a 4 x 4 board over [-4, 4]^2 |
    /// | `gaussian` | a correlated normal distribution of `dim` columns, from a [recipe](super::recipe) and its seed |
    pub enum Toy("toy distribution") {
        /// A spiral of three turns.
        Spiral = "spiral" {
            /// Its radius after one turn.
            scale = 1.0, Domain::above(0.0, 1e3);
            /// The standard deviation of the noise.
            noise = 0.1, Domain::within(0.0, 1e3)
        },
        /// Two moons.
        Moons = "moons" {
            /// The width of the uniform shift of both coordinates, before the factor 3.
            noise = 0.2, Domain::within(0.0, 1e3);
            /// The standard deviation of normal noise, before the factor 3.
            normal = 0.0, Domain::within(0.0, 1e3)
        },
        /// Eight Gaussians on a circle.
        EightGaussians = "8gaussians" {
            /// The radius of the circle.
            scale = 5.0, Domain::above(0.0, 1e3);
            /// The variance of each Gaussian, in each coordinate; sqrt(.1) by default.
            variance = 0.316_227_766_016_837_94, Domain::within(0.0, 1e6)
        },
        /// The dark squares of a board.
        Checkerboard = "checkerboard",
        /// A correlated normal distribution.
        Gaussian = "gaussian" {
            /// The number of columns.
            dim = 4.0, Domain::whole(1.0, 256.0);
            /// The seed of mean and covariance.
            seed = 41.0, Domain::whole(0.0, 4_294_967_295.0)
        },
    }
}

/// The names of the toy distributions.
pub const TOYS: [&str; Toy::TABLE.len()] = {
    let (mut names, mut i) = ([""; Toy::TABLE.len()], 0);
    while i < names.len() {
        names[i] = Toy::TABLE[i].names[0];
        i += 1;
    }
    names
};

/// The toy distribution of a name with parameters.
///
/// # Errors
/// [`DataError::UnknownPoints`] for a name that is not in [`TOYS`], [`DataError::Toy`] for a wrong
/// parameter.
pub(crate) fn parse(text: &str) -> Result<Toy, DataError> {
    let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
    let gap = parameters.contains(',') && parameters.split(',').any(|each| each.trim().is_empty());
    if !TOYS.contains(&name) || gap {
        return Err(DataError::UnknownPoints { given: text.into(), known: TOYS.join(", ") });
    }
    Toy::parse(text).map_err(DataError::Toy)
}

impl Toy {
    /// The distribution that this name meant before `moons` and `8gaussians` were torchcfm's:
    /// normal noise of .2, and a variance of .1. Runs of that time stored names without parameters.
    pub fn of_older_runs(name: &str) -> Option<Self> {
        match name {
            "moons" => Some(Self::Moons { noise: 0.0, normal: 0.2 }),
            "8gaussians" => Some(Self::EightGaussians { scale: 5.0, variance: 0.1 }),
            other => Self::parse(other).ok(),
        }
    }

    /// Values per point.
    pub fn dim(self) -> usize {
        if let Self::Gaussian { dim, .. } = self { dim as usize } else { 2 }
    }

    /// The mean and the covariance of `gaussian`.
    pub fn recipe(self) -> Option<Recipe> {
        match self {
            Self::Gaussian { dim, seed } => Some(Recipe::new(dim as usize, seed as u64)),
            _ => None,
        }
    }

    /// A sampler of points.
    pub fn sampler(self) -> ToySampler {
        ToySampler { toy: self, recipe: self.recipe() }
    }
}

/// A sampler of a toy distribution.
#[derive(Debug, Clone)]
pub struct ToySampler {
    toy: Toy,
    recipe: Option<Recipe>,
}

/// A generator of numbers.
type Numbers<'a> = &'a mut dyn FnMut() -> f64;

impl ToySampler {
    /// The distribution.
    pub fn toy(&self) -> Toy {
        self.toy
    }

    /// Writes one point, from generators of uniform numbers on [0, 1) and of standard normal
    /// numbers. `out` holds [`dim`](Toy::dim) values; further ones stay as they are.
    pub fn draw(&self, u: Numbers<'_>, z: Numbers<'_>, out: &mut [f64]) {
        let point = match self.toy {
            Toy::Spiral { scale, noise } => {
                let theta = 6.0 * PI * u();
                let radius = scale * theta / (2.0 * PI);
                [radius * theta.cos() + noise * z(), radius * theta.sin() + noise * z()]
            }
            Toy::Moons { noise, normal } => {
                let (upper, angle) = (u() < 0.5, PI * u());
                let moon = if upper { [angle.cos(), angle.sin()] } else { [1.0 - angle.cos(), 0.5 - angle.sin()] };
                let shift = noise * u();
                moon.map(|m| 3.0 * (m + shift + normal * z()) - 1.0)
            }
            Toy::EightGaussians { scale, variance } => {
                let angle = 2.0 * PI * (8.0 * u()).floor() / 8.0;
                [scale * angle.cos() + variance.sqrt() * z(), scale * angle.sin() + variance.sqrt() * z()]
            }
            Toy::Checkerboard => {
                let x = 8.0 * u() - 4.0;
                let column = (x / 2.0).floor() as i64;
                let row = 2.0 * (2.0 * u()).floor() + column.rem_euclid(2) as f64;
                [x, 2.0 * (row + u()) - 4.0]
            }
            Toy::Gaussian { .. } => {
                self.recipe.iter().for_each(|recipe| recipe.draw(z, out));
                return;
            }
        };
        out.iter_mut().zip(point).for_each(|(to, value)| *to = value);
    }
}

/// Draws `rows` points from a toy distribution, given by its name and parameters: a fixed set for
/// each seed.
///
/// # Errors
/// [`DataError::UnknownPoints`] for a name that is not in the table above, [`DataError::Toy`] for a
/// wrong parameter, [`DataError::TooMany`] for more rows than fit into memory.
#[doc(alias = "make_moons")]
#[doc(alias = "sample_moons")]
#[doc(alias = "eight_normal_sample")]
pub fn toy(name: &str, rows: usize, seed: u64) -> Result<Array2<f32>, DataError> {
    draw(parse(name)?, rows, seed)
}

/// As [`toy`], of a parsed name.
pub(crate) fn draw(toy: Toy, rows: usize, seed: u64) -> Result<Array2<f32>, DataError> {
    let (sampler, dim) = (toy.sampler(), toy.dim());
    let fits = rows.checked_mul(dim).is_some_and(|n| Vec::<f32>::new().try_reserve_exact(n).is_ok());
    if !fits {
        return Err(DataError::TooMany { rows });
    }
    let (mut points, mut point) = (Array2::zeros((rows, dim)), vec![0.0; dim]);
    for (i, mut row) in points.rows_mut().into_iter().enumerate() {
        let mut uniform = Key::new(seed, 0, Stream::Data).generator(i);
        let mut normal = Key::new(seed, 1, Stream::Data).generator(i);
        sampler.draw(&mut || uniform.random(), &mut || normal.sample(StandardNormal), &mut point);
        row.iter_mut().zip(&point).for_each(|(to, value)| *to = *value as f32);
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toys_lie_where_they_should() {
        for name in TOYS {
            let points = toy(name, 4000, 3).unwrap();
            let reach = points.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(reach > 2.0 && reach < 8.5, "{name}: {reach}");
            assert_eq!(points, toy(name, 4000, 3).unwrap());
        }
        let board = toy("checkerboard", 4000, 0).unwrap();
        assert!(board.rows().into_iter().all(|p| ((p[0] / 2.0).floor() + (p[1] / 2.0).floor()) as i64 % 2 == 0));
        assert!(toy("cube", 1, 0).is_err());
        for rows in [usize::MAX, usize::MAX / 16, 1 << 48] {
            assert!(matches!(toy("moons", rows, 0), Err(DataError::TooMany { .. })));
        }
        assert_eq!(toy("moons", 0, 0).unwrap().dim(), (0, 2));
    }

    #[test]
    fn parameters_are_checked_and_change_what_is_drawn() {
        for (text, says) in [
            ("moons:noise=-1", "noise is -1"),
            ("8gaussians:variance=x", "'x' is not a number"),
            ("spiral:turns=2", "it has scale, noise"),
            ("gaussian:dim=0", "dim from 1 to 256"),
            ("gaussian:dim=2.5", "whole numbers"),
            ("checkerboard:3", "it has none"),
        ] {
            let error = toy(text, 1, 0).unwrap_err().to_string();
            assert!(error.contains(says) && error.len() < 300, "{text}: {error}");
        }
        let spread = |text: &str| toy(text, 4000, 0).unwrap().column(0).std(1.0);
        assert!((spread("spiral:scale=2,noise=0") / spread("spiral:scale=1,noise=0") - 2.0).abs() < 1e-5);
        assert!(spread("8gaussians:variance=4") > spread("8gaussians") + 0.3);
        let exact = toy("8gaussians:scale=2,variance=0", 100, 0).unwrap();
        assert!(exact.rows().into_iter().all(|p| (p.dot(&p).sqrt() - 2.0).abs() < 1e-6));
    }

    /// Rows that the program drew before `moons` and `8gaussians` had parameters, from seed 3.
    #[test]
    fn the_sets_of_older_runs_are_drawn_as_before() {
        for (name, want) in OLDER {
            let points = draw(Toy::of_older_runs(name).unwrap(), 2, 3).unwrap();
            assert_eq!(points.as_slice().unwrap(), want, "{name}");
        }
        assert_eq!(Toy::of_older_runs("cube"), None);
    }

    #[test]
    fn draws_have_the_moments_of_the_recipe() {
        const N: usize = 40_000;
        let (drawn, recipe) = (toy("gaussian:dim=3,seed=7", N, 5).unwrap().mapv(f64::from), Recipe::new(3, 7));
        let covariance = recipe.covariance();
        let mean = drawn.mean_axis(ndarray::Axis(0)).unwrap();
        let centred = &drawn - &mean;
        let found = centred.t().dot(&centred) / (N as f64 - 1.0);
        for i in 0..3 {
            assert!((mean[i] - recipe.mean[i]).abs() < 5.0 * (covariance[[i, i]] / N as f64).sqrt());
            for j in 0..3 {
                let error = (covariance[[i, i]] * covariance[[j, j]] + covariance[[i, j]].powi(2)) / N as f64;
                assert!((found[[i, j]] - covariance[[i, j]]).abs() < 5.0 * error.sqrt(), "{i} {j}");
            }
        }
    }
    const OLDER: [(&str, [f32; 4]); 3] = [
        ("moons", [-3.597_166, 2.040_011_4, -1.229_624_4, 2.747_7]),
        ("8gaussians", [4.794_585, 0.531_491_8, 3.655_23, 3.948_037_9]),
        ("spiral", [-0.197_540_64, 0.457_514_9, -0.054_474_145, -0.593_503_3]),
    ];
}
