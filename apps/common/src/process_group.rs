//! A program run by several processes, as torchrun, Slurm or `cargo xtask launch` start them; or by one, to which all of this is the identity.

use anyhow::{Context, ensure};
use clap::Args;
use fm_core::choice;
use fm_dist::ProcessGroup;
use fm_dist::group::{Reduce, Started};
use fm_dist::place::Rendezvous;
use fm_train::checkpoint::{self, Meta, RunInfo};
use fm_train::collective::{Collective, Pending, Shard};
use fm_train::error::Outside;
use fm_train::train::TrainState;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tch::{Device, Kind, Tensor};

choice! {
    /// The precision in which gradients travel between processes.
    #[derive(Default, Eq)]
    pub enum ReduceIn("precision of gradients between processes") {
        /// 32-bit floats.
        #[default]
        F32 = "f32",
        /// Brain floats: half the bytes, and sums rounded to 8 bits.
        Bf16 = "bf16",
    }
}

/// The flags of programs that several processes can run.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "By several processes")]
pub struct GroupArgs {
    /// How long processes wait for each other before they end, rank 0's saving and drawing included (600).
    #[arg(long, value_name = "SECONDS")]
    pub dist_timeout: Option<u64>,
}

/// The processes of this run, seen from one of them.
#[derive(Debug)]
pub struct Group {
    processes: ProcessGroup,
    restarted: bool,
}

/// Samples made by one process.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct GeneratedShard {
    /// Their values.
    pub values: Vec<f32>,
    /// Two numbers about them.
    pub about: [f64; 2],
}

impl Group {
    /// Runs a program as one of the processes that a launcher has started. One that ends by an error, or a panic, tells the others why.
    ///
    /// # Errors
    /// The program's own, and what became of the other processes.
    pub fn run(
        args: &GroupArgs,
        program: impl FnOnce(&Arc<Self>) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let seconds = args.dist_timeout.unwrap_or(600);
        ensure!((1..=1_000_000).contains(&seconds), "--dist-timeout is {seconds}: choose 1 to 1000000 seconds");
        let restarted = Rendezvous::from_env()?.is_some_and(|place| place.restarts > 0);
        let group = Arc::new(Self { processes: ProcessGroup::from_env(Duration::from_secs(seconds))?, restarted });
        match catch_unwind(AssertUnwindSafe(|| program(&group))) {
            Ok(Ok(code)) => {
                // So that a failure of rank 0, which ends last, is a failure of all.
                group.processes.barrier()?;
                Ok(code)
            }
            Ok(Err(error)) => {
                // Heard by the others unless it was one of them that failed first.
                group.processes.leave(&crate::cli::one_line(&error));
                Err(error)
            }
            Err(panic) => {
                group.processes.leave("a defect of the program, or an error of libtorch; see its own output");
                resume_unwind(panic)
            }
        }
    }

    /// A program that one process runs.
    pub fn alone() -> Self {
        Self::of(ProcessGroup::alone())
    }

    /// A program that these processes run.
    pub fn of(processes: ProcessGroup) -> Self {
        Self { processes, restarted: false }
    }

    /// Refuses to be one of several, for programs that would only do the same work again.
    ///
    /// # Errors
    /// When a launcher has started several processes.
    pub fn refuse(program: &str) -> anyhow::Result<()> {
        let several = Rendezvous::from_env()?.is_some_and(|place| place.world_size > 1);
        ensure!(!several, "{program} is run by one process; start it without a launcher");
        Ok(())
    }

    /// Whether this is rank 0, which speaks and writes.
    pub fn is_first(&self) -> bool {
        self.processes.rank() == 0
    }

    /// Whether a launcher has started this program anew after a failure.
    pub fn restarted(&self) -> bool {
        self.restarted
    }

    /// Checks that every process has something to do, and says who does what.
    ///
    /// # Errors
    /// Fewer rows than processes.
    pub fn describe(&self, batch_size: usize) -> anyhow::Result<Option<String>> {
        let Shard { rank, count } = self.shard();
        ensure!(
            batch_size >= count,
            "batch_size is {batch_size}, and there are {count} processes: give each at least one row (--batch-size)"
        );
        let rows = Shard { rank, count }.rows(batch_size).len();
        let more = if batch_size.is_multiple_of(count) { "" } else { " or one less" };
        Ok((count > 1).then(|| format!("processes {count}, each with {rows} rows{more} of every {batch_size}")))
    }

    /// The share of this process.
    pub fn shard(&self) -> Shard {
        Shard { rank: self.processes.rank(), count: self.processes.world_size() }
    }

    /// What tensors on this device travel by from now on.
    ///
    /// # Errors
    /// NCCL that does not start.
    pub fn use_device(&self, device: Device) -> anyhow::Result<()> {
        Ok(self.processes.use_device(device)?)
    }

    /// A value that rank 0 makes, for everyone.
    ///
    /// # Errors
    /// What making it runs into, on rank 0; and a process that is lost.
    pub fn agree<T: Serialize + DeserializeOwned>(
        &self,
        make: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        /// TOML, because it knows infinity, has tables at its top only.
        #[derive(Serialize, Deserialize)]
        struct Sent<T> {
            value: T,
        }
        if self.shard().is_whole() {
            return make();
        }
        if self.is_first() {
            let value = make()?;
            let sent = Sent { value };
            let text = toml::to_string(&sent).context("cannot send what rank 0 has made")?;
            self.processes.broadcast_bytes(text.as_bytes(), 0)?;
            return Ok(sent.value);
        }
        let text = String::from_utf8(self.processes.broadcast_bytes(&[], 0)?)?;
        Ok(toml::from_str::<Sent<T>>(&text).context("rank 0 has sent something else")?.value)
    }

    /// Gives everyone the training state of rank 0.
    ///
    /// # Errors
    /// A process that is lost.
    pub fn share(&self, state: &mut TrainState, info: &RunInfo) -> anyhow::Result<()> {
        if self.shard().is_whole() {
            return Ok(());
        }
        let text = self.agree(|| Ok(serde_json::to_string(&checkpoint::describe(state, info, BTreeMap::new()))?))?;
        let meta: Meta = serde_json::from_str(&text)?;
        for tensor in state.tensors() {
            self.processes.broadcast(tensor, 0)?;
        }
        state.params.refresh();
        checkpoint::adopt(&meta, state).map_err(anyhow::Error::msg)?;
        Ok(())
    }

    /// What all processes have made, by rank; each at most `most` values.
    ///
    /// # Errors
    /// A process that is lost.
    pub fn gather(&self, made: GeneratedShard, most: usize) -> anyhow::Result<Vec<GeneratedShard>> {
        if self.shard().is_whole() {
            return Ok(vec![made]);
        }
        let about = Tensor::from_slice(&[made.values.len() as f64, made.about[0], made.about[1]]);
        let padded = Tensor::zeros([most as i64], (Kind::Float, Device::Cpu));
        padded.narrow(0, 0, made.values.len() as i64).copy_(&Tensor::from_slice(&made.values));
        let (about, values) = (self.processes.all_gather(&about)?, self.processes.all_gather(&padded)?);
        (0..self.shard().count as i64)
            .map(|rank| {
                let [length, a, b] = [0, 1, 2].map(|k| about.double_value(&[rank, k]));
                let values = Vec::try_from(values.get(rank).narrow(0, 0, length as i64))?;
                Ok(GeneratedShard { values, about: [a, b] })
            })
            .collect()
    }

    /// These processes as those that train one model.
    pub fn peers(self: &Arc<Self>, reduce_in: ReduceIn) -> Arc<dyn Collective> {
        Arc::new(Trainers { group: self.clone(), reduce_in })
    }
}

/// Processes that train one model.
#[derive(Debug)]
struct Trainers {
    group: Arc<Group>,
    reduce_in: ReduceIn,
}

impl Collective for Trainers {
    fn shard(&self) -> Shard {
        self.group.shard()
    }

    fn is_alone(&self) -> bool {
        self.group.processes.is_alone()
    }

    fn all_reduce(&self, gradient: Option<&mut Tensor>, exact: &mut [Tensor]) -> Result<(), Outside> {
        let sent = gradient.as_ref().map(|gradient| self.sent(gradient));
        let mut all: Vec<Tensor> = exact.iter().map(Tensor::shallow_clone).chain(sent).collect();
        self.group.processes.all_reduce(&mut all, Reduce::Sum)?;
        if let (Some(gradient), ReduceIn::Bf16, Some(sum)) = (gradient, self.reduce_in, all.last()) {
            gradient.copy_(sum);
        }
        Ok(())
    }

    fn start(&self, part: &Tensor) -> Result<Box<dyn Pending>, Outside> {
        let (group, sent) = (self.group.clone(), self.sent(part));
        let sum = group.processes.start_sum(&sent)?;
        let narrowed = (self.reduce_in == ReduceIn::Bf16).then(|| (part.shallow_clone(), sent));
        Ok(Box::new(PartialSum { group, sum, narrowed }))
    }
}

impl Trainers {
    /// A part of the gradient in the type in which it travels.
    fn sent(&self, part: &Tensor) -> Tensor {
        match self.reduce_in {
            ReduceIn::F32 => part.shallow_clone(),
            ReduceIn::Bf16 => part.to_kind(Kind::BFloat16),
        }
    }
}

/// A part of the gradient that is being added up.
struct PartialSum {
    group: Arc<Group>,
    sum: Started,
    /// Where the sum goes, and the copy of less precision in which it arrives.
    narrowed: Option<(Tensor, Tensor)>,
}

impl Pending for PartialSum {
    fn finish(self: Box<Self>) -> Result<(), Outside> {
        let Self { group, sum, narrowed } = *self;
        group.processes.finish(sum)?;
        if let Some((mut part, sum)) = narrowed {
            tch::no_grad(|| part.copy_(&sum));
        }
        Ok(())
    }
}
