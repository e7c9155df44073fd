//! Toy distributions, by name and parameters.
//!
//! [`Toy`] lists them. Points are drawn once ([`toy`]), or when they are read ([`ToyStream`]).
//!
//! The defaults of `moons` and `8gaussians` are torchcfm's `sample_moons` (one uniform shift of
//! both coordinates, from torchdyn) and `sample_8gaussians` (covariance sqrt(.1), the identity
//! scaled). torchdyn takes even angles; here they are uniform.
//!
//! ```
//! use fm_data::points::{Toy, toy};
//! let a = toy("8gaussians:variance=0.1", 500, 1)?;
//! assert_eq!(a.dim(), (500, 2));
//! let radius = a.rows().into_iter().map(|r| r.dot(&r).sqrt()).sum::<f32>() / 500.0;
//! assert!((radius - 5.0).abs() < 0.1);
//! assert_eq!("moons:0.1".parse::<Toy>()?.to_string(), "moons:noise=0.1,normal=0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod recipe;
mod stream;
mod threefry;
mod toy;

pub(crate) use toy::{draw, parse};

pub use stream::ToyStream;
pub use toy::{TOYS, Toy, ToySampler, toy};
