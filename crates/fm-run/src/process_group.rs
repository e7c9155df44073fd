//! Programs that run as several processes, started by torchrun, Slurm or `cargo xtask launch`. With
//! one process, every operation here is the identity.

use anyhow::{Context, ensure};
use clap::Args;
use fm_cli::given;
use fm_core::choice;
use fm_dist::ProcessGroup;
use fm_dist::group::{Reduce, Started};
use fm_dist::place::Rendezvous;
use fm_terminal::eprintln;
use fm_train::checkpoint::{self, Meta, RunInfo};
use fm_train::collective::{Collective, Pending, Shard};
use fm_train::error::Outside;
use fm_train::train::TrainState;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tch::{Device, Kind, Tensor};

choice! {
    /// The precision in which gradients are exchanged between processes.
    #[derive(Default, Eq)]
    pub enum ReduceIn("precision of gradients between processes") {
        /// 32-bit floats.
        #[default]
        F32 = "f32",
        /// bfloat16: half the bytes, and sums rounded to 8 bits.
        Bf16 = "bf16",
    }
}

/// The flags of programs that can run as several processes.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Distributed")]
pub struct GroupArgs {
    /// Time after which a process that waits for the others fails; allow for the saving and drawing
    /// of rank 0 (default: 600).
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub dist_timeout: Option<u64>,
}

/// The processes of a run, as one of them.
#[derive(Debug)]
pub struct Group {
    processes: ProcessGroup,
    restarted: bool,
}

/// Samples made by one process.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct GeneratedShard {
    /// The values of the samples.
    pub values: Vec<f32>,
    /// Two statistics of the samples, defined by the caller.
    pub about: [f64; 2],
}

impl Group {
    /// Runs a program as one of the processes of a launcher. If it ends with an error or a panic,
    /// the other processes fail with that cause.
    ///
    /// # Errors
    /// Errors of the program, and the failure of another process.
    pub fn run(
        args: &GroupArgs,
        program: impl FnOnce(&Arc<Self>) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let seconds = args.dist_timeout.unwrap_or(600);
        ensure!((1..=1_000_000).contains(&seconds), "--dist-timeout is {seconds}; choose 1 to 1000000 seconds");
        let place = Rendezvous::from_env()?;
        let restarted = place.as_ref().is_some_and(|place| place.restarts > 0);
        let waiting = place.filter(|place| place.world_size > 1).map(say_what_is_waited_for);
        let processes = ProcessGroup::from_env(Duration::from_secs(seconds))?;
        drop(waiting);
        let group = Arc::new(Self { processes, restarted });
        match catch_unwind(AssertUnwindSafe(|| program(&group))) {
            Ok(Ok(code)) => {
                // Rank 0 ends last; the barrier makes its failure a failure of all.
                group.processes.barrier()?;
                given::warn(&[("dist_timeout", !group.shard().is_whole(), "several processes")]);
                Ok(code)
            }
            Ok(Err(error)) => {
                // The others report this cause, unless one of them failed first.
                group.processes.leave(&fm_cli::program::one_line(&error));
                Err(error)
            }
            Err(panic) => {
                group.processes.leave("a panic, or an exception of libtorch; see the output of that process");
                resume_unwind(panic)
            }
        }
    }

    /// A group of one process.
    pub fn alone() -> Self {
        Self::of(ProcessGroup::alone())
    }

    /// A group of these processes.
    pub fn of(processes: ProcessGroup) -> Self {
        Self { processes, restarted: false }
    }

    /// Fails if a launcher started several processes, for programs that would repeat the same work
    /// in each.
    ///
    /// # Errors
    /// Several processes.
    pub fn refuse(program: &str) -> anyhow::Result<()> {
        let several = Rendezvous::from_env()?.is_some_and(|place| place.world_size > 1);
        ensure!(
            !several,
            "cannot run {program} as several processes; start it without a launcher, or unset RANK, WORLD_SIZE and MASTER_ADDR"
        );
        Ok(())
    }

    /// Whether this is rank 0, which prints and writes files.
    pub fn is_first(&self) -> bool {
        self.processes.rank() == 0
    }

    /// Whether a launcher has restarted this program after a failure.
    pub fn restarted(&self) -> bool {
        self.restarted
    }

    /// Describes how a batch is split; `None` for a single process.
    ///
    /// # Errors
    /// Fewer rows than processes.
    pub fn describe(&self, batch_size: usize) -> anyhow::Result<Option<String>> {
        let Shard { rank, count } = self.shard();
        ensure!(
            batch_size >= count,
            "cannot split batch_size {batch_size} over {count} processes: each needs a row; raise --batch-size"
        );
        let rows = Shard { rank, count }.rows(batch_size).len();
        let more = if batch_size.is_multiple_of(count) { "" } else { " or one less" };
        Ok((count > 1).then(|| format!("processes {count}, each with {rows} rows{more} of every {batch_size}")))
    }

    /// The share of this process in each batch.
    pub fn shard(&self) -> Shard {
        Shard { rank: self.processes.rank(), count: self.processes.world_size() }
    }

    /// Chooses the backend (NCCL or host memory) for tensors on this device.
    ///
    /// # Errors
    /// NCCL that does not start.
    pub fn use_device(&self, device: Device) -> anyhow::Result<()> {
        Ok(self.processes.use_device(device)?)
    }

    /// Computes a value on rank 0 and broadcasts it to all processes.
    ///
    /// # Errors
    /// Errors of `make`, on rank 0, and a lost process.
    pub fn agree<T: Serialize + DeserializeOwned>(
        &self,
        make: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        /// The value is sent as TOML, which has infinity; a TOML document is a table.
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
            let text = toml::to_string(&sent).context("cannot serialise the value of rank 0; please report this")?;
            self.processes.broadcast_bytes(text.as_bytes(), 0)?;
            return Ok(sent.value);
        }
        let text = String::from_utf8(self.processes.broadcast_bytes(&[], 0)?)?;
        Ok(toml::from_str::<Sent<T>>(&text)
            .context("cannot read the value of rank 0; start the same program in all processes")?
            .value)
    }

    /// Broadcasts the training state of rank 0 to all processes.
    ///
    /// # Errors
    /// A lost process.
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

    /// The samples of all processes, ordered by rank; each process has at most `most` values.
    ///
    /// # Errors
    /// A lost process.
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

    /// The collective operations of a training run on these processes.
    pub fn peers(self: &Arc<Self>, reduce_in: ReduceIn) -> Arc<dyn Collective> {
        Arc::new(Trainers { group: self.clone(), reduce_in })
    }
}

/// The time in which processes of a launcher usually meet.
const USUAL: Duration = Duration::from_secs(1);

/// Prints which processes are missing and why they may be (such as environment variables of another
/// program), if they do not join soon. Dropping the result cancels the message.
fn say_what_is_waited_for(place: Rendezvous) -> Sender<()> {
    let (came, coming) = channel();
    std::thread::spawn(move || {
        if coming.recv_timeout(USUAL) == Err(RecvTimeoutError::Timeout) {
            let set = |name: &&str| std::env::var_os(name).is_some();
            let launcher = ["RANK", "WORLD_SIZE"];
            let names = if launcher.iter().any(set) { launcher } else { ["SLURM_PROCID", "MASTER_ADDR"] };
            let unset = if names == launcher { "env -u RANK -u WORLD_SIZE" } else { "env -u MASTER_ADDR" };
            let values = names.map(|name| format!("{name}={}", std::env::var(name).unwrap_or_default())).join(" and ");
            let (size, address) = (place.world_size, place.address());
            eprintln!(
                "note: waiting at {address} for all of {size} processes, because {values} are set; to run alone: {unset} PROGRAM ..."
            );
        }
    });
    came
}

/// Collective operations of processes that train one model.
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
    /// A part of the gradient in the precision of the all-reduce.
    fn sent(&self, part: &Tensor) -> Tensor {
        match self.reduce_in {
            ReduceIn::F32 => part.shallow_clone(),
            ReduceIn::Bf16 => part.to_kind(Kind::BFloat16),
        }
    }
}

/// A running all-reduce of a part of the gradient.
struct PartialSum {
    group: Arc<Group>,
    sum: Started,
    /// In bf16: the destination of the sum, and the bf16 copy that is reduced.
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
