//! Data-parallel gradients by hand: every rank differentiates the loss of its own rows, and all
//! take the mean.
//!
//! `cargo run -p fm-dist --example mean_gradient` runs two ranks as threads. A launcher
//! (`torchrun`, `srun`) starts them as processes, which call `ProcessGroup::from_env` instead of
//! `open`.

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_dist::{DistError, ProcessGroup, group::Reduce, place::Rendezvous};
use std::net::TcpListener;
use std::{thread, time::Duration};
use tch::{Kind, Tensor};

/// d/dw of mean((x w - y)^2) at w = 0 over the rows of this rank, then over those of all ranks.
fn gradient(group: &ProcessGroup) -> Result<f64, DistError> {
    let rows: Vec<f64> = (0..4).map(|i| (4 * group.rank() + i) as f64).collect();
    let (x, w) = (Tensor::from_slice(&rows), Tensor::from(0.0).set_requires_grad(true));
    let y = &x * 3.0;
    (&x * &w - y).square().mean(Kind::Double).backward();
    let mut shared = [w.grad()];
    group.all_reduce(&mut shared, Reduce::Mean)?;
    Ok(shared[0].double_value(&[]))
}

pub(crate) fn gradients() -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let run = move |rank| {
        let (world_size, master) = (2, "127.0.0.1".to_owned());
        let place = Rendezvous {
            rank,
            world_size,
            local_rank: rank,
            master,
            port,
            restarts: 0,
            served: false,
            interface: None,
        };
        gradient(&ProcessGroup::open(&place, Duration::from_secs(60))?)
    };
    let ranks = [0, 1].map(|rank| thread::spawn(move || run(rank)));
    let joined = ranks.map(|rank| rank.join().map_err(|_| "a rank panicked"));
    joined.into_iter().map(|gradient| Ok(gradient??)).collect()
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("the gradient on each rank: {:?}", gradients()?);
    Ok(())
}
