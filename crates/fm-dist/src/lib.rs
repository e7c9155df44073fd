//! Process groups for data-parallel training, based on libtorch's c10d.
//!
//! N processes with ranks 0..N run the same program. They exchange data with collectives, which
//! every rank calls in the same order. CPU tensors use Gloo; GPU tensors use NCCL (feature `nccl`)
//! or, without it, are copied through the host.
//!
//! | call | result on every rank |
//! |---|---|
//! | [`all_reduce`](ProcessGroup::all_reduce) | the sum, mean or maximum over ranks r of x_r, element by element |
//! | [`broadcast`](ProcessGroup::broadcast) | x of one rank |
//! | [`all_gather`](ProcessGroup::all_gather) | (N, ...), with x_r as row r |
//! | [`barrier`](ProcessGroup::barrier) | none; it returns after all ranks have called it |
//!
//! | module | content |
//! |---|---|
//! | [`place`] | rank and address of a process, from the environment of torchrun, Slurm or `cargo xtask launch` |
//! | [`group`] | the group and its collectives |
//! | `roll_call` | after a failure: which rank is missing, and why |
//!
//! A process without a launcher is a group of one: every call is the identity, and no network is
//! used:
//!
//! ```
//! use fm_dist::{ProcessGroup, group::Reduce};
//! use tch::Tensor;
//! let alone = ProcessGroup::alone();
//! let mut x = [Tensor::from_slice(&[1.0, 2.0])];
//! alone.all_reduce(&mut x, Reduce::Sum)?;
//! assert_eq!((alone.rank(), alone.world_size()), (0, 1));
//! assert_eq!(Vec::<f64>::try_from(&x[0]).unwrap(), [1.0, 2.0]);
//! # Ok::<(), fm_dist::DistError>(())
//! ```
//!
//! Two ranks, here as threads of one process:
//!
//! ```
//! use fm_dist::{ProcessGroup, group::Reduce, place::Rendezvous};
//! use std::{thread, time::Duration};
//! use tch::Tensor;
//! let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
//! let run = move |rank: usize| {
//!     let (master, world_size) = ("127.0.0.1".to_owned(), 2);
//!     let place = Rendezvous { rank, world_size, local_rank: rank, master, port, restarts: 0, served: false, interface: None };
//!     let group = ProcessGroup::open(&place, Duration::from_secs(20)).unwrap();
//!     let mut x = [Tensor::from_slice(&[1.0 + rank as f64, 10.0])];
//!     group.all_reduce(&mut x, Reduce::Mean).unwrap();
//!     let rows = group.all_gather(&Tensor::from(rank as f64)).unwrap();
//!     group.barrier().unwrap();
//!     (Vec::<f64>::try_from(&x[0]).unwrap(), Vec::<f64>::try_from(&rows).unwrap())
//! };
//! let other = thread::spawn(move || run(1));
//! assert_eq!(run(0), (vec![1.5, 10.0], vec![0.0, 1.0]));
//! assert_eq!(other.join().unwrap(), (vec![1.5, 10.0], vec![0.0, 1.0]));
//! ```

pub mod error;
mod ffi;
pub mod group;
pub mod place;
mod roll_call;

pub use error::DistError;
pub use group::ProcessGroup;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
