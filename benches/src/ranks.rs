//! Sums over several ranks, and their time.

use crate::Failure;
use fm_run::process_group::{Group, ReduceIn};
use fm_train::collective::{Collective, Pending, Shard};
use fm_train::error::Outside;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// The ranks that train together, with timing.
#[derive(Debug)]
pub struct Timed {
    inner: Arc<dyn Collective>,
    /// Time spent in sums so far, including waiting for other ranks, but without sums that overlap
    /// the backward pass.
    pub spent: Mutex<Duration>,
}

impl Timed {
    /// The ranks of a group.
    pub fn new(group: &Arc<Group>) -> Self {
        Self { inner: group.peers(ReduceIn::F32), spent: Mutex::default() }
    }
}

impl Collective for Timed {
    fn shard(&self) -> Shard {
        self.inner.shard()
    }

    fn is_alone(&self) -> bool {
        self.inner.is_alone()
    }

    fn all_reduce(&self, gradient: Option<&mut Tensor>, exact: &mut [Tensor]) -> Result<(), Outside> {
        let started = Instant::now();
        let added = self.inner.all_reduce(gradient, exact);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        *spent += started.elapsed();
        added
    }

    fn start(&self, part: &Tensor) -> Result<Box<dyn Pending>, Outside> {
        self.inner.start(part)
    }
}

/// Sums vectors of `count` values, as a step does; returns the mean seconds of the fastest half.
///
/// # Errors
/// A lost rank.
pub fn reduce(group: &Arc<Group>, count: i64, kind: &str, times: usize) -> Result<String, Failure> {
    let peers = group.peers(if kind == "bf16" { ReduceIn::Bf16 } else { ReduceIn::F32 });
    let mut vector = Tensor::ones([count], (Kind::Float, Device::Cpu));
    let mut seconds = Vec::new();
    for _ in 0..times {
        let _ = vector.fill_(1.0);
        peers.all_reduce(Some(&mut vector), &mut []).map_err(|e| e.to_string())?;
        let started = Instant::now();
        peers.all_reduce(Some(&mut vector), &mut []).map_err(|e| e.to_string())?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let half = &seconds[..times.div_ceil(2)];
    let mean = half.iter().sum::<f64>() / half.len() as f64;
    Ok(format!(r#"{{"seconds": {mean:e}, "value": {:e}}}"#, vector.double_value(&[0])))
}
